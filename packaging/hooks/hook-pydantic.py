"""pydantic: what its lazy attributes lead to; the stock hook brings every module there is, version 1's too."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules(
    "pydantic", filter=lambda name: not name.startswith(("pydantic.v1", "pydantic.mypy", "pydantic._internal._mypy"))
)
