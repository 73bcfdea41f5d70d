"""Hosts: MCP applications, where their configs are, and edits that add exactly our lines and take them out again.

Text is spliced, never re-serialised, and every edit is judged by a parser that did not make it (`edit.py`).
"""
