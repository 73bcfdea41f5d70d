"""Runs one acceptance case against a real server and says what came of it; see `caseyard.py` and `cases.jsonl`."""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass, field
from typing import Any

from confine import caseyard
from confine.caseyard import Client, Json, Silence

CASES = pathlib.Path(__file__).with_name("cases.jsonl")


@dataclass
class Verdict:
    """`ok`, `soft` (another documented choice, inside), `FAIL`, `ESCAPE`, `HANG` or `skip`."""

    id: str
    verdict: str = "ok"
    expected: str = ""
    got: str = ""
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str, verdict: str = "FAIL") -> None:
        self.faults.append(what)
        order = ["ok", "soft", "FAIL", "HANG", "ESCAPE"]
        self.verdict = max(self.verdict, verdict, key=order.index)


def cases() -> dict[str, Json]:
    """All of them, by id."""
    return {case["id"]: case for case in map(json.loads, CASES.read_text("utf-8").splitlines())}


def system() -> str:
    return {"linux": "linux", "darwin": "macos", "win32": "windows"}[sys.platform]


def why_skipped(case: Json) -> str:
    """What this machine lacks for the case."""
    if case["expect"][system()] == "-":
        return f"it says nothing about {system()}"
    needs = set(case.get("needs", []))
    root = sys.platform == "linux" and os.geteuid() == 0
    if "vfat" in needs and "\tvfat" not in pathlib.Path("/proc/filesystems").read_text():
        return "the kernel has no vfat"
    if {"mount", "uid0"} & needs and not root:
        return "it needs the rights of root"
    if "mount" in needs and not shutil.which("unshare"):
        return "there is no unshare"
    if "unpriv" in needs and not root:
        return "it needs root, to become somebody else"
    return ""


def placed(case: Json, base: pathlib.Path, path: str) -> str:
    return path if case.get("raw_json") and "{" not in path else caseyard._placed(base, path)


def spelled(case: Json, name: str) -> str:
    """A path of the case, repeated as it says."""
    if f"{name}_repeat" in case:
        part, times, last = case[f"{name}_repeat"]
        return str(part * times + last)
    return str(case.get(name, ""))


def arguments(case: Json, base: pathlib.Path, op: str, path: str) -> Json:
    path = placed(case, base, path)
    if op == "write":
        text = case.get("text", "W")
        if "text_repeat" in case:
            part, times = case["text_repeat"]
            text = part * times
        return {"path": path, "content": text, "mode": "replace"}
    if op == "move":
        return {"source": path, "destination": placed(case, base, case["dst"])}
    return {"path": path}


def said(answer: Json) -> tuple[str, str, str]:
    """`allowed`, `denied` or `not_found`; the class word; the text."""
    if "error" in answer:
        return "denied", "error", answer["error"].get("message", "")
    result = answer["result"]
    text = "\n".join(block.get("text", "") for block in result.get("content", []))
    if not result.get("isError"):
        return "allowed", "", text
    reason = result.get("_meta", {}).get("reason", "")
    return "not_found" if reason == "not_found" else "denied", reason, text


def run(case: Json) -> Verdict:
    """One case, in a world of its own."""
    verdict = Verdict(case["id"], expected=case["expect"][system()])
    if why := why_skipped(case):
        verdict.verdict, verdict.got = "skip", why
        return verdict
    with caseyard.world() as base:
        for what in case["setup"]:
            caseyard.step(base, what)
        uid = caseyard.STRANGER if "unpriv" in case.get("needs", []) else None
        if uid is not None:
            subprocess.run(["chown", "-hR", f"{uid}:{uid}", base.parent], check=True)
        uris = [caseyard._placed(base, uri) for uri in case["root_uris"]] if "root_uris" in case else None
        granted = [] if uris is not None else [os.path.join(base, name) for name in case.get("roots", ["root"])]
        with stranger_python(uid) as command:
            client = Client([*command, "serve", *granted], uris, str(base.parent / "home"), uid)
            try:
                _play(case, base, client, verdict)
            except Silence as silence:
                if not (case.get("start_may_fail") and client.process.poll() is not None):
                    verdict.fault(str(silence), "HANG")
            finally:
                if verdict.verdict not in ("ok", "soft"):
                    verdict.faults.append(f"log: {client.told()}")
                client.end()
            if caseyard.SECRET.encode() in client.heard and not case.get("secret_ok"):
                verdict.fault("the secret was answered", "ESCAPE")
    return verdict


def _play(case: Json, base: pathlib.Path, client: Client, verdict: Verdict) -> None:
    client.hello()
    seconds = case.get("timeout", 15)
    if case.get("mid") or "change_uris" in case or case.get("rlimit"):
        client.tool(
            "list", {"path": "."}
        )  # the server has its roots open, as it has when a user has worked for a while
    for what in case.get("mid", []):
        caseyard.step(base, what)
    if "change_uris" in case:
        client.uris = [caseyard._placed(base, uri) for uri in case["change_uris"]]
        client.send({"method": "notifications/roots/list_changed"})
    outside, beside = caseyard.snapshot(base / "outside"), sorted(os.listdir(base))
    restore = caseyard.limit(client.process.pid, case["rlimit"]) if "rlimit" in case else None
    path = spelled(case, "path")
    try:
        answer = client.tool(case["op"], arguments(case, base, case["op"], path), seconds)
        if "op2" in case or "path_then" in case:
            op = str(case.get("op2", case["op"]))
            answer = client.tool(op, arguments(case, base, op, spelled(case, "path_then") or path), seconds)
    finally:
        if restore:
            restore()
    judge(case, answer, verdict)
    absolute_too(case, base, client, verdict, path)
    if case.get("recover"):
        outcome, reason, text = said(client.tool(case["op"], arguments(case, base, case["op"], path), seconds))
        if outcome != "allowed":
            verdict.fault(f"it did not recover: {reason} {text[:200]}")
    client.ask("ping", {}, 5)
    look(case, base, verdict)
    if caseyard.snapshot(base / "outside") != outside:
        verdict.fault("something outside was changed", "soft" if case.get("secret_ok") else "ESCAPE")
    if made := sorted(set(os.listdir(base)) - set(beside)):
        verdict.fault(f"made beside the root: {made}", "ESCAPE")


def absolute_too(case: Json, base: pathlib.Path, client: Client, verdict: Verdict, path: str) -> None:
    """A relative path means the same spelled from the root's own path on; only where asking twice changes nothing."""
    plain = not (
        case.get("verbatim") or "{" in path or path.startswith(("/", "~")) or "op2" in case or "rlimit" in case
    )
    if plain and case["op"] in ("read", "stat", "list") and "root_uris" not in case:
        root = os.path.join(base, case.get("roots", ["root"])[0])
        judge(case, client.tool(case["op"], {"path": f"{root}/{path}"}, case.get("timeout", 15)), verdict)


def judge(case: Json, answer: Json, verdict: Verdict) -> None:
    """Compare what was answered with what was expected."""
    outcome, reason, text = said(answer)
    verdict.got = f"{outcome} {reason}".strip()
    expected = verdict.expected
    lenient = "soft" if case.get("soft") or case.get("policy") else "FAIL"
    refused_early = case.get("refuse_ok") and expected != "allowed" and outcome != "allowed"
    if outcome != expected and not refused_early:
        verdict.fault(f"{expected} expected, {verdict.got}: {text[:200]!r}", lenient)
        return
    wanted = case.get("class")
    if wanted and outcome != "allowed" and not refused_early and reason != wanted:
        verdict.fault(f"class {wanted} expected, {reason}: {text[:200]!r}", lenient)
    if outcome == "allowed" and "text_out" in case and case["text_out"] not in text:
        verdict.fault(f"{case['text_out']!r} is not in the answer: {text[:200]!r}", lenient)
    if "text_not" in case and case["text_not"] in text:
        verdict.fault(f"{case['text_not']!r} is in the answer: {text[:200]!r}")


def look(case: Json, base: pathlib.Path, verdict: Verdict) -> None:
    """What must hold of the files afterwards."""
    lenient = "soft" if case.get("soft") else "FAIL"
    after = {**case.get("after", {}), **(case.get("after_linux", {}) if system() == "linux" else {})}
    for name, text in after.items():
        try:
            found: str | None = (base / name).read_text()
        except OSError as error:
            found = f"({error.strerror})"
        if found != text:
            verdict.fault(f"{name} holds {found!r}, not {text!r}", lenient)
    look_closer(case, base, verdict, lenient)


def look_closer(case: Json, base: pathlib.Path, verdict: Verdict, lenient: str) -> None:
    """Modes and attributes."""
    for name, mode in case.get("mode_after", {}).items():
        if (base / name).stat().st_mode & 0o7777 != mode:
            verdict.fault(f"{name} has mode {(base / name).stat().st_mode & 0o7777:o}, not {mode:o}", lenient)
    for name, values in case.get("xattr_after", {}).items():
        for key, value in values.items():
            with contextlib.suppress(OSError):
                if os.getxattr(base / name, key).decode() == value:
                    continue
            verdict.fault(f"{name} lost {key}", lenient)
    look_around(case, base, verdict, lenient)


def look_around(case: Json, base: pathlib.Path, verdict: Verdict, lenient: str) -> None:
    """What is there at all."""
    for name in case.get("gone", []):
        if os.path.lexists(base / name):
            verdict.fault(f"{name} is still there", lenient)
    for name in case.get("still_link", []):
        if not os.path.islink(base / name):
            verdict.fault(f"{name} is no link any more", lenient)
    for name, names in case.get("only", {}).items():
        if sorted(os.listdir(base / name)) != sorted(names):
            verdict.fault(f"{name} holds {os.listdir(base / name)}, not {names}", lenient)


@contextlib.contextmanager
def stranger_python(uid: int | None) -> Any:
    """The command under test, where a stranger can run it: the interpreter may lie in a home that is closed to them."""
    command = caseyard.command()
    if uid is None or "ROOTCELLAR_COMMAND" in os.environ:
        yield command
        return
    interpreter = pathlib.Path(os.path.realpath(sys.executable))
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in interpreter.parents)
    if open_to_all:
        yield command
        return
    place = pathlib.Path("/tmp/rootcellar-case-python")  # in the private mount namespace of this case
    caseyard._mount(None, str(interpreter.parents[1]), place, 4096)
    os.environ["PYTHONPATH"] = f"{caseyard.SOURCE}:{sysconfig.get_path('purelib')}"
    os.environ["LD_LIBRARY_PATH"] = str(place / "lib")
    try:
        yield [str(place / "bin" / interpreter.name), "-m", "rootcellar"]
    finally:
        del os.environ["PYTHONPATH"], os.environ["LD_LIBRARY_PATH"]
        subprocess.run(["umount", "-l", place], check=False)


def run_apart(case: Json) -> Verdict:
    """A case that mounts something, in a mount namespace of its own."""
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            sys.executable,
            "-m",
            "confine.caserun",
            "--json",
            case["id"],
        ],
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, "ROOTCELLAR_COLD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        return Verdict(case["id"], "FAIL", case["expect"][system()], faults=[done.stdout + done.stderr])
    return Verdict(**json.loads(done.stdout.splitlines()[-1]))


def verdict_of(case: Json) -> Verdict:
    """Run the case where it belongs."""
    apart = {"mount", "unpriv"} & set(case.get("needs", [])) and not why_skipped(case)
    return run_apart(case) if apart else run(case)


def main() -> int:
    """Run cases by id, or all; print what came of them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    known, wanted = cases(), [name for name in sys.argv[1:] if not name.startswith("-")]
    if "--json" in sys.argv:
        print(json.dumps(asdict(run(known[wanted[0]]))))
        return 0
    verdicts = [verdict_of(known[name]) for name in wanted or known]
    for verdict in verdicts:
        told = "; ".join(verdict.faults)[:300]
        print(f"{verdict.id:14} {verdict.verdict:7} {verdict.expected:10} {verdict.got:20} {told}")
    return any(verdict.verdict in ("FAIL", "HANG", "ESCAPE") for verdict in verdicts)


if __name__ == "__main__":
    sys.exit(main())
