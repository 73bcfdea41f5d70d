"""`update`: says how this copy gets newer. It looks at this machine only; nothing is asked, nothing is sent."""

from __future__ import annotations

import argparse
import json

from rootcellar import __version__, installed, launching

UPDATE = """\
Say how this copy came here and how it gets newer. Nothing is downloaded or changed, and nothing is sent anywhere: what
you run is yours to update. Hosts keep starting the same command, and a server that runs now keeps running as it is."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    shape = argparse.RawDescriptionHelpFormatter
    update = commands.add_parser("update", help="say how to get newer", description=UPDATE, formatter_class=shape)
    update.add_argument("--json", action="store_true", help="answer in JSON")


def run(chosen: argparse.Namespace) -> int:
    """Tell; always 0."""
    program = launching.running()
    way = installed.found(program)
    command = launching.lasting_command(program)
    if chosen.json:
        told = {"version": __version__, "installed_by": way.by.name.lower(), "place": way.place, "command": command}
        print(json.dumps({**told, "steps": list(way.steps)}, indent=2, ensure_ascii=False))
        return 0
    print(f"rootcellar {__version__}, by {way.by.value}, in {way.place}")
    if command:
        print(f"hosts start {command}; that stays")
    print("for a newer one:")
    print("\n".join(f"  {step}" for step in way.steps))
    return 0
