"""sqlite3: the file in `inside/` that stands in its place needs nothing."""
