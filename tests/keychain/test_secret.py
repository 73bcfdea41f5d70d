"""A secret shows nothing of itself, whatever is done with it; names, sizes and references are what they may be."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from rootcellar import errors, limits
from rootcellar.secrets import Secret, check_name, check_size, reference

VALUE = "CANARY-4711"


@dataclass
class Holder:
    """Something that has a secret."""

    secret: Secret


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret!r} {secret:>40} {{}}".format(secret),
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - what is tried
    "list": lambda secret: str([secret, {"x": secret}]),
    "dataclass": lambda secret: repr(Holder(secret)),
    "pprint": lambda secret: pprint.pformat({"a": [secret]}),
    "dir": lambda secret: [
        repr(getattr(secret, name, "")) for name in dir(secret) if not name.startswith(("__", "_held"))
    ],
    "exception": lambda secret: str(errors.Refusal(f"about {secret}")),
}
REFUSED: dict[str, Callable[[Secret], object]] = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda secret: asdict(Holder(secret)),
    "json": lambda secret: json.dumps({"x": secret}),
    "hash": hash,
    "vars": vars,
    "bytes": lambda secret: bytes(secret),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_no_picture_of_a_secret_shows_it(show: Callable[[Secret], object]) -> None:
    assert VALUE not in str(show(Secret(VALUE)))


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_a_secret_is_not_written_down(write: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as refused:
        write(Secret(VALUE))
    assert VALUE not in str(refused.value)


def test_logs_and_tracebacks_with_locals_show_nothing() -> None:
    stream = io.StringIO()
    log = logging.getLogger("canary")
    log.addHandler(logging.StreamHandler(stream))
    log.propagate = False
    log.setLevel(logging.DEBUG)
    secret = Secret(VALUE)
    log.debug("with %s", secret)
    try:
        raise errors.Failed("on purpose") from KeyError(secret)  # noqa: TRY301 - it has locals
    except errors.Failed as error:
        log.exception("failed")
        told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = Secret(...)" in told
    assert VALUE not in told + stream.getvalue()


def test_it_is_what_it_was_made_of_until_it_is_cleared() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    assert secret == Secret(VALUE)
    assert secret != Secret("other")
    assert secret != VALUE
    secret.clear()
    assert secret.reveal() == ""
    assert len(Secret.random().reveal()) == 64
    assert Secret.random() != Secret.random()
    assert Secret("a\udcff").reveal() == "a\udcff"


@pytest.mark.parametrize("name", ["a", "Token-1", "x.y_z", "0" * 64])
def test_names_are_what_a_person_types(name: str) -> None:
    assert check_name(name) == name
    assert reference(f"keychain:{name}") == name


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", ".x", "a/b", "x" * 65, "ключ", "a\n", "$(x)"])
def test_other_names_are_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(errors.BadArgument):
        check_name(name)
    with pytest.raises(errors.BadArgument) as refused:
        reference(f"keychain:{name}" if name else "")
    assert not name.strip() or name not in str(refused.value) or name in ("-x", ".x", " ")


def test_a_value_where_a_reference_belongs_is_refused_and_not_repeated() -> None:
    with pytest.raises(errors.BadArgument, match="reference") as refused:
        reference(VALUE)
    assert VALUE not in str(refused.value)


# Windows' Credential Manager keeps 2,560 bytes of UTF-16: a character outside the first plane is two units.
SIZES = [
    ("k" * limits.SECRET_WINDOWS_UNITS_MAX, "win32", True),
    ("k" * (limits.SECRET_WINDOWS_UNITS_MAX + 1), "win32", False),
    ("🔑" * (limits.SECRET_WINDOWS_UNITS_MAX // 2), "win32", True),
    ("🔑" * (limits.SECRET_WINDOWS_UNITS_MAX // 2) + "k", "win32", False),
    ("k" * (limits.SECRET_WINDOWS_UNITS_MAX + 1), "linux", True),
    ("k" * limits.SECRET_BYTES_MAX, "darwin", True),
    ("k" * (limits.SECRET_BYTES_MAX + 1), "darwin", False),
    ("", "linux", False),
]


@pytest.mark.parametrize(("value", "platform", "fits"), SIZES, ids=[f"{len(row[0])}-{row[1]}" for row in SIZES])
def test_each_systems_size_is_checked_before_anything_is_written(value: str, platform: str, fits: bool) -> None:  # noqa: FBT001
    if fits:
        check_size(Secret(value), platform)
        return
    with pytest.raises(errors.Refusal) as refused:
        check_size(Secret(value), platform)
    assert not value or value not in str(refused.value)
