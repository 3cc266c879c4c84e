"""The rules of the house that no other tool checks."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import ROOT
from recurra.cli.parser import VERBS

WRITTEN = ("src", "tests", "tools", "examples", "bench", "native")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def tracked() -> list[Path]:
    """The files git would take along: tracked, or new and not ignored."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    done = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_written_file_is_longer_than_400_lines():
    written = [
        path
        for path in tracked()
        if path.relative_to(ROOT).parts[0] in WRITTEN
        and path.suffix in {".py", ".js", ".css", ".h", ".cpp"}
    ]
    assert {ROOT / "src" / "recurra" / "errors.py", ROOT / "native" / "forward.h"} <= set(written)
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in written}
    assert {path: count for path, count in lines.items() if count > 400} == {}


def test_no_text_file_is_larger_than_a_megabyte():
    large = [path for path in tracked() if path.stat().st_size > 1_000_000]
    assert [str(path) for path in large if b"\0" not in path.read_bytes()] == []


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in requirements:
        assert str(pin.specifier).startswith("=="), f"{pin} is no full pin"
    return {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in requirements}


def direct_requirements() -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_every_direct_dependency_is_pinned_in_its_range(requirement):
    version = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_the_core_needs_numpy_and_safetensors_alone():
    assert {Requirement(line).name for line in PROJECT["dependencies"]} == {"numpy", "safetensors"}


def test_all_is_every_extra_of_users():
    (everything,) = (Requirement(line) for line in EXTRAS["all"])
    assert everything.extras == EXTRAS.keys() - {"all", "bench", "dev", "fuzz"}


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = (line for line in makefile.splitlines() if line.startswith(".PHONY:"))
    helped = subprocess.run(
        ["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True
    ).stdout
    listed = [line.split()[1] for line in helped.splitlines() if line.startswith("  make ")]
    assert sorted(listed) == sorted(phony.split()[1:])


#: Pages that show the order of imports: how its block begins, and how the folders stand there.
ORDERS = {
    "CONTRIBUTING.md": ("errors", "<", ","),
    "docs/decisions/002-house.md": ("cli ", "\n", "|"),
}


def layers() -> list[set[str]]:
    """The contract of pyproject.toml, the lowest first, but for the file that starts all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (rule,) = (c for c in contracts["contracts"] if c["type"] == "layers")
    lines = [set(re.findall(r"\w+", line)) for line in reversed(rule["layers"])]
    return [line for line in lines if line != {"__main__"}]


@pytest.mark.parametrize("page", ORDERS)
def test_pages_show_the_order_of_imports_that_the_contract_has(page):
    start, between, beside = ORDERS[page]
    text = (ROOT / page).read_text(encoding="utf-8")
    (block,) = (b for b in re.findall(r"```text\n(.*?)```", text, re.S) if b.startswith(start))
    if between == "\n":  # the highest first, and behind two spaces what lives there
        lines = [line.partition("  ")[0] for line in reversed(block.splitlines())]
    else:
        lines = block.split(between)
    shown = [{name.strip() for name in line.split(beside)} for line in lines]
    expected = " < ".join(", ".join(sorted(line)) for line in layers())
    assert shown == layers(), f"{page}: expected the order of pyproject.toml: {expected}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    missing = sorted(page for page in pages if f"({page})" not in index)
    assert missing == [], "docs/README.md: expected a line for each page of docs/"


def test_every_verb_has_its_line_and_its_file():
    """A file of `cli` that declares arguments is a verb; what verbs share declares none."""
    files = {
        path.stem
        for path in (ROOT / "src" / "recurra" / "cli").glob("*.py")
        if re.search(r"^def add_arguments\(", path.read_text(encoding="utf-8"), re.M)
    }
    without = sorted(files - set(VERBS))
    assert without == [], "VERBS in recurra/cli/parser.py: expected a line for each file of a verb"
    assert sorted(set(VERBS) - files) == [], "recurra/cli: expected a file with add_arguments"
