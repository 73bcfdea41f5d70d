"""`rootcellar changes`, `show` and `undo`: the journal at a terminal, also while servers run.

What a person names here is not confined to roots: what is undone is undone where it was made. Nothing is asked: an undo
is itself a change, and can be undone.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from rootcellar.errors import BadArgument, Refusal

COMMANDS: Final = ("changes", "show", "undo")
OK, REFUSED, USAGE = 0, 1, 2

CHANGES: Final = """\
What assistants changed through rootcellar, newest first: change_id, local time, tool, place, who.

  rootcellar changes                       the newest 50
  rootcellar changes --since 2h            of the last two hours (also 30s, 10m, 3d, 2026-11-21T10:00)
  rootcellar changes --path ~/notes        of a file, a folder or a database
  rootcellar changes --tool delete_file --host claude-code --json"""

SHOW: Final = """\
What one change did, step by step: the diff of a text, the rows of a database before and after.

  rootcellar show c3f0q8m2k1t"""

UNDO: Final = """\
Take changes back, all or nothing. Refused, with nothing changed, where newer work would be lost: when a file or a row
was changed since, or a later change stands on this one (--chain takes that back too). An undo is itself a change:
undo it, and the change is there again.

  rootcellar undo c3f0q8m2k1t              one change
  rootcellar undo c3f0q8m2k1t --dry-run    what that would do
  rootcellar undo --last                   the newest change that is not undone
  rootcellar undo --since 10m              everything of the last ten minutes"""

CODES: Final = "exit codes: 0 done · 1 refused, and nothing was changed · 2 bad arguments"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands of this family."""

    def command(name: str, about: str, text: str) -> argparse.ArgumentParser:
        shape = argparse.RawDescriptionHelpFormatter
        made = commands.add_parser(name, help=about, description=text, epilog=CODES, formatter_class=shape)
        made.add_argument("--json", action="store_true", help="answer in JSON")
        return made

    changes = command("changes", "list what assistants changed", CHANGES)
    changes.add_argument("--path", metavar="PATH", help="only what touched this file, or something in this folder")
    changes.add_argument("--database", metavar="PATH", help="only changes of this database's content")
    changes.add_argument("--since", metavar="TIME", help="only since then")
    changes.add_argument("--tool", metavar="NAME", help="only by this tool")
    changes.add_argument("--host", metavar="NAME", help="only by this application, as it calls itself")
    changes.add_argument("--cursor", default="", metavar="CURSOR", help="go on where the last answer ended")
    show = command("show", "show what a change did", SHOW)
    show.add_argument("change_id", metavar="ID", help="as `changes` lists it")
    undo = command("undo", "take changes back", UNDO)
    undo.add_argument("change_id", nargs="*", metavar="ID", help="as `changes` lists it")
    undo.add_argument("--last", action="store_true", help="the newest change that is not undone")
    undo.add_argument("--since", metavar="TIME", help="everything since then")
    undo.add_argument("--chain", action="store_true", help="with the later changes that build on it")
    undo.add_argument("--dry-run", action="store_true", help="say what would be done")


def run(chosen: argparse.Namespace) -> int:
    """Do one of these; the exit code says how it went."""
    from rootcellar import changes_doing  # the journal, and all that it stands on: only when it is asked for

    try:
        facts, text = changes_doing.answer(chosen)
    except Refusal as refusal:
        if chosen.json:
            print(json.dumps({"refused": refusal.message, "hint": refusal.hint, "reason": refusal.reason}, indent=2))
        else:
            print(f"rootcellar: {refusal}", file=sys.stderr)
        return USAGE if isinstance(refusal, BadArgument) else REFUSED
    print(json.dumps(facts, indent=2) if chosen.json else text)
    return OK
