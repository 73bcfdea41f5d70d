"""What the commands about secrets share: their switches, the keychain they use, and how a value is asked for."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from rootcellar import limits, ours
from rootcellar.errors import BadArgument, Declined, Refusal
from rootcellar.keychain import Keychain
from rootcellar.keys import Keys
from rootcellar.secrets import Secret

OK, REFUSED, USAGE = 0, 1, 2
NEVER_HERE: Final = "a value is never part of a command: every program on this machine can read it there"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The switches that all of them have."""
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="how long the keychain may take to answer")
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def quiet(parser: argparse.ArgumentParser) -> None:
    """Let a command line that is not understood be refused without being repeated: a value may stand in it."""

    def error(message: str) -> NoReturn:
        del message
        parser.print_usage(sys.stderr)
        parser.exit(USAGE, f"{parser.prog}: this is not understood; {NEVER_HERE}\n")

    parser.error = error  # type: ignore[method-assign]


def answered(chosen: argparse.Namespace, act: Callable[[], int]) -> int:
    """The exit code of a command; a refusal is told as the rest would be."""
    try:
        return act()
    except Refusal as refusal:
        if chosen.json:
            told = {"refused": refusal.message, "hint": refusal.hint, "reason": refusal.reason}
            print(json.dumps(told, indent=2))
        else:
            print(f"rootcellar: {refusal}", file=sys.stderr)
        return USAGE if isinstance(refusal, BadArgument) else REFUSED


def our_keys(chosen: argparse.Namespace) -> Keys:
    """The keychain and our index of it, for a person at a terminal."""
    seconds = limits.KEYCHAIN_PERSON_S if chosen.wait is None else max(0.1, chosen.wait)
    return Keys(ours.data_here, Keychain(seconds))


def value(what: str) -> Secret:
    """A value, typed twice and unseen at a terminal, or all of standard input but its last line end."""
    if sys.stdin is None:
        raise BadArgument("there is no standard input to read the value from", NEVER_HERE)
    if not sys.stdin.isatty():
        data = sys.stdin.buffer.read(limits.SECRET_BYTES_MAX + 2)
        return Secret(data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r"))
    try:
        first = Secret(getpass.getpass(f"{what[0].upper()}{what[1:]}: "))
        again = Secret(getpass.getpass("Once more: "))
    except (EOFError, KeyboardInterrupt):
        raise Declined("nothing was kept", "") from None
    if first != again:
        raise BadArgument("the two are not the same", "try again")
    return first
