"""The front: the client's two pipes, both eras at once, and an end in time. Standard library only.

`serving` owns the threads, `exchange` says which message goes where, `ledger` who is owed an answer; `calls`, `eras`,
`port` (what an engine must offer) and `frames` lie below, and `wire` holds the pipes.
"""

from rootcellar.front.serving import serve

__all__ = ["serve"]
