"""The tools, one family a file; the order here is the order in `tools/list` and in the README."""

from rootcellar.tools import changes, databases, edits, files, folders, moves, search, secrets

TOOLSETS = (
    *(folders.FOLDERS, files.FILES, search.SEARCH, edits.EDITS, moves.MOVES, databases.DATABASES, secrets.SECRETS),
    changes.CHANGES,
)
