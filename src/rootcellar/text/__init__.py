"""Functions over bytes and str: reading by lines, editing, diffs, globs, ignore files, search, media."""
