"""Names of before go on working, and say their new names."""

import subprocess
import sys
import warnings
from importlib import import_module

import pytest

from recurra import moved

MODULES = sorted(moved.MODULES.items())
NAMES = [(package, name) for package, names in moved.NAMES.items() for name in names]


@pytest.mark.parametrize(("old", "new"), MODULES)
def test_a_module_that_moved_is_imported_by_its_old_name(old, new):
    sys.modules.pop(f"recurra.{old}", None)
    if above := old.rpartition(".")[0]:  # which may have moved, too, and says so where it is new
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import_module(f"recurra.{above}")
    with pytest.warns(DeprecationWarning, match=rf"recurra\.{old} is now recurra\.{new}:"):
        module = import_module(f"recurra.{old}")
    assert module is import_module(f"recurra.{new}")
    assert module.__name__ == module.__spec__.name == f"recurra.{new}"


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_a_name_that_left_a_package_is_what_it_was(package, name):
    module, _, new = moved.NAMES[package][name].partition(":")
    home = import_module(f"recurra.{module}")
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{name} is now recurra\."):
        found = getattr(import_module(f"recurra.{package}"), name)
    assert found is getattr(home, new or name)


def test_what_never_was_there_is_an_error():
    with pytest.raises(AttributeError, match=r"recurra\.data.*nothing"):
        _ = import_module("recurra.data").nothing
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        import_module("recurra.nothing")


def test_the_warning_names_the_line_that_asks(tmp_path):
    script = tmp_path / "old.py"
    script.write_text(
        "import recurra\n\nfrom recurra.data import read_wav\nimport recurra.nn.crf\n"
    )
    command = [sys.executable, "-W", "always::DeprecationWarning", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "old.py:3: DeprecationWarning: recurra.data.read_wav is now" in done.stderr
    assert "old.py:4: DeprecationWarning: recurra.nn.crf is now" in done.stderr
