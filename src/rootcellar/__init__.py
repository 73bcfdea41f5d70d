"""Rootcellar: a person's files and SQLite databases, for an assistant, inside the roots they gave."""

__version__ = "0.1.0"
