"""README, CONTRIBUTING and docs/ show only what works, and link only to what is there."""

import re
import subprocess
import sys
from pydoc_data.topics import topics

import pytest

from conftest import ROOT
from project import documents
from project.documents import blocks, broken_links

DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))


def name(path):
    return str(path.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path):
    """What every document may count on: a small English corpus and its held-out end."""
    text = "\n\n".join(topics[key].strip() for key in sorted(topics))[:66_000]
    (tmp_path / "corpus.txt").write_text(text[:60_000], encoding="utf-8")
    (tmp_path / "held-out.txt").write_text(text[60_000:], encoding="utf-8")
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_what_it_shows_is_what_happens(path, folder):
    """In a process of its own: what a page defines or registers stays its own."""
    command = [sys.executable, "-W", "error", documents.__file__, path, folder]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    assert broken_links(path) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_make_commands_exist(path):
    text = "".join(block.text for block in blocks(path))
    assert set(re.findall(r"^(?:\$ )?make ([a-z-]+)", text, flags=re.M)) <= TARGETS


def test_the_readme_shows_the_command_that_ci_runs():
    *_, command = (ROOT / ".ci" / "run").read_text().splitlines()
    shown = [line for block in blocks(ROOT / "README.md") for line in block.text.splitlines()]
    assert command in [line.removeprefix("$ ").partition("#")[0].strip() for line in shown]


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs" / "decisions").glob("[0-9]*.md")]
    assert pages
    assert [page for page in sorted(pages) if f"({page})" not in index] == []
