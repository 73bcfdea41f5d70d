"""The papers a project needs are there, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
PAPERS = ("README.md", ".github/CHANGELOG.md", ".github/SECURITY.md", ".github/CONTRIBUTING.md")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_file_that_a_paper_names_exists(paper: str) -> None:
    text = (HERE / paper).read_text("utf-8")
    named = re.findall(
        r"`((?:src|tests|scripts|packaging|\.github|\.ci)/[\w./*-]+)`",
        text.partition("<!-- tools")[0] + text.partition("<!-- /tools -->")[2],
    )
    assert named or paper.endswith("CHANGELOG.md")
    for name in named:
        assert list(HERE.glob(name.rstrip("/"))), (paper, name)


@pytest.mark.parametrize("paper", PAPERS)
def test_links_between_papers_lead_somewhere(paper: str) -> None:
    text = (HERE / paper).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((HERE / paper).parent / target).exists(), (paper, target)
