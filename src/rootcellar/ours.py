"""Where Rootcellar keeps what is its own: one data directory and one config file, per user.

The data directory holds what must not be lost (ownership records and backups of hosts' configs, the journal, the index
of keys), so whoever moves it with `ROOTCELLAR_DATA` must move it for hosts and terminal alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rootcellar.errors import BadArgument

DATA, CONFIG = "ROOTCELLAR_DATA", "ROOTCELLAR_CONFIG"


class NoHome(BadArgument):
    """Nothing says where our data directory would be."""


def data_directory(env: Mapping[str, str]) -> Path:
    """Our data directory, absolute, whether or not it exists yet (who makes it, makes it 0700)."""
    named = env.get(DATA, "").strip()
    if not named:
        from platformdirs import user_data_path

        try:
            return user_data_path("rootcellar", appauthor=False).absolute()
        except RuntimeError:
            raise NoHome("this user has no home directory", f"set HOME, or {DATA} to a whole path") from None
    path = Path(os.path.expanduser(named))  # noqa: PTH111 - an unknown `~user` must be refused below, not raise
    if not path.is_absolute():  # a host may start us anywhere
        raise BadArgument(f"`{DATA}={named}` is not absolute", "write the whole path")
    return Path(os.path.normpath(path))


def data_here() -> str:
    """Our data directory, by the environment of this process."""
    return str(data_directory(os.environ))


def config_file(env: Mapping[str, str]) -> Path:
    """The settings file: the one that `ROOTCELLAR_CONFIG` names, or `config.toml` in the user's config folder."""
    if named := env.get(CONFIG, "").strip():
        return Path(named).expanduser()
    from platformdirs import user_config_path

    try:
        return user_config_path("rootcellar", appauthor=False) / "config.toml"
    except RuntimeError:  # no HOME, and no entry for this user: so there are no settings either
        return Path(os.devnull)
