"""docs/cells.md is what the definitions say, and the check notices when it is not."""

import importlib.util

import pytest

from conftest import ROOT
from recurra.cells import BUILT_IN, FUNCTIONS


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("cells_page", ROOT / "tools/make_cells_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["make_cells_page.py", *arguments])
    return tool.main()


def test_the_page_is_fresh(tool, monkeypatch):
    assert run(tool, monkeypatch, "--check") == 0


def test_every_definition_has_its_section(tool):
    text = tool.page()
    for name, cell in BUILT_IN.items():
        assert f"## `{name}`" in text
        for option in cell.options:
            assert f"`{option}" in text, f"{name} {option}"
    assert all(f"`{function}`" in text for function in FUNCTIONS)


def test_check_finds_a_stale_page_and_a_missing_one(tool, monkeypatch, tmp_path, capsys):
    page = tmp_path / "cells.md"
    monkeypatch.setattr(tool, "PAGE", page)
    assert run(tool, monkeypatch, "--check") == 1
    assert "run python tools/make_cells_page.py" in capsys.readouterr().out
    assert not page.exists()
    assert run(tool, monkeypatch) == 0
    assert run(tool, monkeypatch, "--check") == 0
    page.write_text(page.read_text(encoding="utf-8").replace("tanh", "sinh", 1), encoding="utf-8")
    assert run(tool, monkeypatch, "--check") == 1
