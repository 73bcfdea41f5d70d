"""Several servers share one store and one tree, and change and undo at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from journal.cellar import Cellar
from rootcellar.errors import Refusal
from rootcellar.journal.changes import Filter, State
from rootcellar.journal.undo import Chain
from rootcellar.policy import Effect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the trash is Linux's")


def together(monkeypatch: pytest.MonkeyPatch, servers: int, calls: int) -> None:
    script = Path(__file__).with_name("two_servers.py")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as base:
        place = Path(os.path.realpath(base))
        monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
        (place / "root/d").mkdir(parents=True)
        (place / "root/d/a").write_bytes(b"a")
        (place / "root/f").write_bytes(b"f" * 10_000)
        (place / "root/g").write_bytes(b"g")
        cellar = Cellar(place)
        before = cellar.tree()
        running = [
            subprocess.Popen([sys.executable, str(script), str(place), str(n), str(calls)], stdout=subprocess.PIPE)
            for n in range(servers)
        ]
        counts: Counter[str] = Counter()
        for server in running:
            out, _ = server.communicate(timeout=600)
            assert server.returncode == 0
            counts += Counter(json.loads(out))
        while True:
            found = cellar.store.changes(Filter(), count=100_000).changes
            assert not [change for change in found if change.interrupted and not change.steps]
            standing = [change for change in found if change.state is not State.UNDONE and not change.undoes]
            if not standing:
                break
            cellar.run(cellar.journal.plan([random.choice(standing).id], Chain.LATER))
            counts["undone after"] += 1
        print(dict(counts))
        assert cellar.tree() == before
        assert not list(cellar.root.rglob(".rootcellar-*"))
        used = cellar.store.ask(lambda: cellar.store.shelf().index.files())
        assert set(os.listdir(place / "journal/contents")) == used
        cellar.close()
        assert counts["made"] > servers
        assert counts["undone"] > 0


def test_two_servers_change_and_undo_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, 2, 40)


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_four_servers_change_and_undo_hundreds_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, 4, 500)


def test_a_server_that_settles_leaves_what_others_are_at(tmp_path: Path) -> None:
    """What a living server has begun is nobody else's to settle."""
    one, two = Cellar(tmp_path), Cellar(tmp_path)
    number = (draft := one.store.begin("t", "", "h", Effect.WRITE)).step("file.mkdir", {"at": {"anchor": "/", "parts": ["x"], "shown": "x"}}, (), ["/x"])  # fmt: skip
    two.store.settle()
    draft.amend(number, {})
    change = draft.seal("made")
    assert change is not None
    assert not two.store.change(change.id).interrupted
    one.close()
    two.close()
    with pytest.raises(Refusal):
        one.store.stored()
