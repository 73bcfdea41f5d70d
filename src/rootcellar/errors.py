"""Failures that the caller can act on.

Refusal
├── NoRoots         no root is in force for this call
├── OutsideRoots    a path, link or name leads outside the roots
├── Sealed          inside a root, yet never touched (keys, `.env`, host configs)
├── ReadOnly        the root, or the whole server, admits no change
├── NotFound        nothing has that name
├── Exists          something already has that name
├── WrongKind       a directory where a file was meant, a FIFO, a device, ...
├── LinkLoop        links that lead to themselves
├── BadName         a name that no file can have here, or that is too long
├── Denied          the operating system says no
├── NoSpace         the disk, or a quota, is full
├── Busy            out of descriptors or memory for now, or locked by another program
├── TooLarge        over a named limit
│   └── TooLargeToKeep  what a change would replace cannot be kept for its undo
├── Stale           the file is no longer the version the caller saw
├── InTheWay        a later change stands on the one to be undone
├── NotText         bytes that no text encoding explains
├── NoMatch         the text to replace is not there, or not once
├── BadArgument     an argument that cannot mean anything
├── BadConfig       a host's config file that cannot be edited without harm
├── NotOurs         an entry that has our name, but that we did not write
├── Declined        the user said no
├── NeedsConsent    the user has to say yes first
├── Cancelled       the caller took the request back
├── TimedOut        over its deadline
├── NotADatabase    bytes that are no SQLite database
│   └── NewerFormat a database of a later SQLite than ours
├── EmptyFile       no bytes at all where a database was meant
├── Corrupt         a damaged database
│   └── Truncated   a database whose end is missing
├── Hostile         a database, or a file beside it, made to reach other files
├── NeedsKey        an encrypted database and no key, or the wrong one
├── NoSecret        nothing is kept under that name
├── KeychainFailed  the keychain did not do what it was asked
│   ├── NoKeychain        there is none that can be reached
│   ├── KeychainLocked    it is locked, and cannot show its prompt
│   ├── KeychainRefused   the user, or the system, said no
│   └── KeychainSilent    nobody answered within the deadline
├── Forbidden       SQL that this call does not admit
├── BadSql          SQL that SQLite does not understand
├── Constraint      a change that the database's own rules refuse
└── Failed          the device or the file system failed

A message says what failed with the name in backticks and no full stop; the hint is the next step.
Neither ever holds an absolute path that lies outside the roots.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - the design's word; an error is what a refusal is not
    """A failure the caller can act on: what failed, and the next step."""

    reason: ClassVar[str] = "refused"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, then the hint as a sentence of its own."""
        return f"{self.message}. {self.hint[0].upper()}{self.hint[1:]}" if self.hint else self.message


class NoRoots(Refusal):
    """No root is in force for this call."""

    reason = "no_roots"


class OutsideRoots(Refusal):
    """A path, link or name leads outside the roots."""

    reason = "escape"


class Sealed(Refusal):
    """Inside a root, yet never read, written or searched."""

    reason = "sealed"


class ReadOnly(Refusal):
    """The root, or the whole server, admits no change."""

    reason = "read_only"


class NotFound(Refusal):
    """Nothing has that name."""

    reason = "not_found"


class Exists(Refusal):
    """Something already has that name."""

    reason = "exists"


class WrongKind(Refusal):
    """Not the kind of thing the verb works on."""

    reason = "type"


class LinkLoop(Refusal):
    """Links that lead to themselves, or too many of them."""

    reason = "loop"


class BadName(Refusal):
    """A name that no file can have here."""

    reason = "invalid"


class NameTooLong(BadName):
    """A name or path over the file system's length."""

    reason = "too_long"


class Denied(Refusal):
    """The operating system says no."""

    reason = "permission"


class NoSpace(Refusal):
    """The disk, a quota or a file-size limit is full."""

    reason = "nospace"


class Busy(Refusal):
    """Out of descriptors or memory for now, or locked by another program."""

    reason = "busy"


class TooLarge(Refusal):
    """Over a named limit."""

    reason = "too_big"


class TooLargeToKeep(TooLarge):
    """What a change would replace cannot be kept for its undo; nothing has changed."""

    reason = "too_large_to_keep"


class Stale(Refusal):
    """The file is no longer the version the caller saw."""

    reason = "stale"


class InTheWay(Refusal):
    """Later changes stand on the one to be undone."""

    reason = "in_the_way"


class NotText(Refusal):
    """Bytes that no text encoding explains."""

    reason = "not_text"


class NoMatch(Refusal):
    """The text to replace is not there, or not as often as said."""

    reason = "no_match"


class BadArgument(Refusal):
    """An argument that cannot mean anything."""

    reason = "argument"


class BadConfig(Refusal):
    """A host's config file that cannot be edited without harm."""

    reason = "config"


class NotOurs(Refusal):
    """An entry that has our name, but that we did not write."""

    reason = "not_ours"


class Declined(Refusal):
    """The user said no."""

    reason = "declined"


class NeedsConsent(Refusal):
    """The user has to say yes to exactly this first; nothing has changed."""

    reason = "consent"

    def __init__(self, statement: str, fingerprint: str) -> None:
        super().__init__("the user has to agree to this change first", "ask the user, then try again")
        self.statement = statement  # what will happen, for the user
        self.fingerprint = fingerprint  # the same for the same change of the same things
        self.is_further = False  # something was agreed to already, and still holds


class Cancelled(Refusal):
    """The caller took the request back."""

    reason = "cancelled"


class TimedOut(Refusal):
    """Over its deadline."""

    reason = "timeout"


class Failed(Refusal):
    """The device or the file system failed."""

    reason = "io"


class NotADatabase(Refusal):
    """Bytes that are no SQLite database."""

    reason = "not_a_database"


class NewerFormat(NotADatabase):
    """A database of a later SQLite than ours."""

    reason = "newer_format"


class EmptyFile(Refusal):
    """No bytes at all where a database was meant."""

    reason = "empty"


class Corrupt(Refusal):
    """A damaged database."""

    reason = "corrupt"


class Truncated(Corrupt):
    """A database whose end is missing."""

    reason = "truncated"


class Hostile(Refusal):
    """A database, or a file beside it, made to reach other files."""

    reason = "hostile"


class NeedsKey(Refusal):
    """An encrypted database and no key, or the wrong one; with its identity where a key would be kept for it."""

    reason = "needs_key"

    def __init__(self, message: str, hint: str = "", *, name: str = "", path: str = "", salt: bytes = b"") -> None:
        super().__init__(message, hint)
        self.name, self.path, self.salt = name, path, salt  # the path is for the user alone


class NoSecret(Refusal):
    """Nothing is kept under that name."""

    reason = "no_secret"


class KeychainFailed(Refusal):
    """The keychain did not do what it was asked."""

    reason = "keychain"


class NoKeychain(KeychainFailed):
    """There is no keychain that can be reached."""

    reason = "no_keychain"


class KeychainLocked(KeychainFailed):
    """The keychain is locked, and cannot show its prompt."""

    reason = "keychain_locked"


class KeychainRefused(KeychainFailed):
    """The user, or the system, said no."""

    reason = "keychain_refused"


class KeychainSilent(KeychainFailed):
    """Nobody answered within the deadline."""

    reason = "keychain_silent"


class Forbidden(Refusal):
    """SQL that this call does not admit."""

    reason = "forbidden"


class BadSql(Refusal):
    """SQL that SQLite does not understand."""

    reason = "sql"


class Constraint(Refusal):
    """A change that the database's own rules refuse."""

    reason = "constraint"
