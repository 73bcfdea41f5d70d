"""The journal: every change is recorded before it is real, can be listed, shown and undone, and survives a crash.

`changes` the values; `store` the index and the contents, shared by all servers of a user; `files` what the witness of
file changes records; `undo` in which order, and what stands in the way.
"""
