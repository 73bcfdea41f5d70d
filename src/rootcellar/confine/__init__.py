"""The wall: the only code that touches the user's files."""
