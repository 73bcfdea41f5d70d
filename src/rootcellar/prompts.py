"""Prompts a person can pick: a good first question about their own folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rootcellar import limits
from rootcellar.errors import BadArgument

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: its arguments by name, and the text they are put into."""

    name: str
    title: str
    description: str
    arguments: dict[str, str]
    text: str

    def spec(self) -> Json:
        """The prompt as `prompts/list` shows it; every argument is required."""
        listed = [{"name": name, "description": told, "required": True} for name, told in self.arguments.items()]
        return {"name": self.name, "title": self.title, "description": self.description, "arguments": listed}

    def filled(self, given: dict[str, str]) -> Json:
        """The prompt as `prompts/get` answers it; raises BadArgument that names what is missing."""
        for name, told in self.arguments.items():
            if not given.get(name):
                raise BadArgument(f"the prompt `{self.name}` needs `{name}`", told)
            if len(given[name]) > limits.PATH_BYTES_MAX:
                shorter = f"use at most {limits.PATH_BYTES_MAX:,} characters"
                raise BadArgument(f"the prompt's `{name}` is too long", shorter)
        text = self.text.format(**{name: given[name] for name in self.arguments})
        message = {"role": "user", "content": {"type": "text", "text": text}}
        return {"description": self.description, "messages": [message]}


PROMPTS = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            "explore",
            "Explore a folder",
            "What is in this folder, and what is it for?",
            {"path": "The folder, for example `notes`"},
            "Look at the folder `{path}` with directory_tree, read the two or three files that say most about it, and "
            "tell me in a few sentences what is in it, how it is organised, and what looks out of place.",
        ),
        Prompt(
            "find",
            "Find something I wrote",
            "Where did I write about this?",
            {"topic": "What it was about"},
            "Find where I wrote about “{topic}”: try search_text with several wordings, then search_files by name. "
            "Show me the best places as path:line with one sentence each, and quote the most telling lines.",
        ),
        Prompt(
            "tidy",
            "Tidy a folder",
            "Propose a better order for a folder, and change nothing before I agree.",
            {"path": "The folder, for example `Downloads`"},
            "Look at the folder `{path}` with directory_tree and list_directory. Propose a better order as a table of "
            "moves (from, to, why). Change nothing until I agree; then use create_directory and move_file.",
        ),
    )
}
