"""Flags over environment over config.toml over defaults."""

from __future__ import annotations

import pytest

from rootcellar.errors import BadArgument
from rootcellar.policy import SEALED
from rootcellar.settings import ClientRoots, Flags, LogLevel, Settings, resolve


def resolved(flags: Flags | None = None, environ: dict[str, str] | None = None, config: str = "") -> Settings:
    return resolve(flags or Flags(), environ or {}, config, config_name="config.toml", separator=":")


def test_nothing_said_is_the_defaults() -> None:
    assert resolved() == Settings()


def test_flags_win_over_environment_over_file() -> None:
    config = 'client_roots = "ignore"\nlog_level = "debug"\nread_only = true\nroots = ["/c"]\n'
    environ = {"ROOTCELLAR_CLIENT_ROOTS": "add", "ROOTCELLAR_LOG_LEVEL": "error", "ROOTCELLAR_ROOTS": "/a:/b"}
    settings = resolved(Flags(client_roots="narrow"), environ, config)
    assert settings.client_roots is ClientRoots.NARROW
    assert settings.log_level is LogLevel.ERROR
    assert settings.policy.read_only
    assert settings.roots == ("/a", "/b")


def test_a_list_replaces_the_list_below_it() -> None:
    assert resolved(Flags(roots=["/x"]), {"ROOTCELLAR_ROOTS": "/a"}, 'roots = ["/c"]').roots == ("/x",)


def test_seals_are_added_to_the_defaults_never_taken_away() -> None:
    assert resolved(Flags(seal=["*.secret"])).policy.sealed == (*SEALED, "*.secret")


@pytest.mark.parametrize(
    ("environ", "config", "told"),
    [
        ({"ROOTCELLAR_CLIENT_ROOTS": "all"}, "", "`ROOTCELLAR_CLIENT_ROOTS` must be one of narrow, add, ignore"),
        ({"ROOTCELLAR_READ_ONLY": "maybe"}, "", "`ROOTCELLAR_READ_ONLY` must be true or false"),
        ({}, 'client_roots = "all"', "`client_roots` in `config.toml` must be one of narrow, add, ignore"),
        ({}, "roots = 'x'", "`roots` in `config.toml` must be a list of texts"),
        ({}, "root = ['x']", "`config.toml` has an unknown key `root`"),
        ({}, "roots = [", "`config.toml` is not TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(environ: dict[str, str], config: str, told: str) -> None:
    with pytest.raises(BadArgument) as refused:
        resolved(None, environ, config)
    assert refused.value.message.startswith(told)
