"""Facts that stand in one place, and what repeats them."""

import ast
import dataclasses
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import recurra
from recurra.cells import BUILT_IN, limits
from recurra.cli.parser import make_parser
from recurra.generate import Options
from recurra.tasks.catalog import ENTRIES
from recurra.text import KINDS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "recurra").rglob("*.py"))


def lists_of(names: set[str], path: Path) -> list[str]:
    """Places of a file where two or more of some names stand side by side in a literal."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        held = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
        held = node.keys if isinstance(node, ast.Dict) else held
        texts = {item.value for item in held if isinstance(item, ast.Constant)}
        if len(names & texts) > 1:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_every_cell_of_the_package_is_in_its_table():
    """By it kernels, the page of cells, help and the tables of tests know the cell."""
    defined = {
        node.name: path.name
        for path in (ROOT / "src" / "recurra" / "cells").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(one).startswith("cell(") for one in node.decorator_list)
    }
    assert {"rnn", "lstm", "gru"} <= set(defined)
    missing = [f"{name} of {file}" for name, file in defined.items() if name not in BUILT_IN]
    assert missing == [], "expected in BUILT_IN of recurra/cells/built_in.py"


def test_kinds_of_tokenizers_are_listed_once():
    # Types of options are written from the tables, and `make check` holds them to those.
    paths = [path for path in SOURCES if path.name != "options.py"]
    found = [place for path in paths for place in lists_of(set(KINDS), path)]
    assert [place.partition(":")[0] for place in found] == ["src/recurra/text/kinds.py"]


@pytest.mark.skipif(not (ROOT / "native").is_dir(), reason="a package without its C++")
def test_limits_of_kernels_are_written_from_one_table():
    header = ROOT / "native" / "sizes.h"
    assert header.read_text(encoding="utf-8") == limits.header()
    others = [p for p in (ROOT / "native").rglob("*.h") if p != header]
    for name in (*limits.LIMITS, "most_parts"):
        for path in others:
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf"\b{name} = \d", text), f"{path}: {name} has a number of its own"
    for path in SOURCES:
        if path.name != "limits.py":
            assert not re.search(r"^_?PAD = ", path.read_text(encoding="utf-8"), re.M), path


def test_options_of_generation_are_described_once():
    """The table that `generate` takes is what the command line shows and reads."""
    parser = make_parser()
    parser.parse_args(["generate", "run"])
    text = parser._verbs.choices["generate"].format_help()
    shown = " ".join(text.split())
    for field in dataclasses.fields(Options):
        assert field.metadata["help"], field.name
        if field.metadata["python"]:
            continue
        flag = {"eos": "--ignore-eos"}.get(field.name, "--" + field.name.replace("_", "-"))
        assert flag in text
        if field.name not in ("stop", "include_stop", "eos"):
            assert field.metadata["help"].split(",")[0] in shown


def test_the_version_stands_in_the_package():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert "version" in project["dynamic"]
    assert metadata.version("recurra") == recurra.__version__


def test_all_public_names_are_told():
    wanted = {entry.model for entry in ENTRIES} | set(recurra._WHERE)
    assert wanted <= set(recurra.__all__)
    assert set(recurra.__all__) <= set(dir(recurra))
    assert {"export", "nn"} <= set(dir(recurra))
    for name in dir(recurra):
        assert getattr(recurra, name) is not None
