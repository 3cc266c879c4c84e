"""Fixtures every test folder shares."""

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

_CELLS = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def example(name: str) -> Any:
    """The module of a script in `examples/`, as `example("tag/entities")`."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_configure(config: pytest.Config) -> None:
    """Cells are compiled once for the whole run, whose processes inherit the environment.

    They find the package where this one does, in whatever folder they are started.
    """
    if "PYTHONPATH" in os.environ:
        paths = map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    if "RECURRA_CACHE" not in os.environ:
        config.stash[_CELLS] = tempfile.TemporaryDirectory(prefix="recurra-tests-")
        os.environ["RECURRA_CACHE"] = config.stash[_CELLS].name


def pytest_unconfigure(config: pytest.Config) -> None:
    if _CELLS in config.stash:
        config.stash[_CELLS].cleanup()
        del os.environ["RECURRA_CACHE"]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data beside the checkout (or `RECURRA_DATA`); skips where it is absent."""
    path = Path(os.environ.get("RECURRA_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}: set RECURRA_DATA to its folder")
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of every task: see `company`. RECURRA_TEST_MODELS names a folder with them."""
    if given := os.environ.get("RECURRA_TEST_MODELS"):
        return Path(given)
    import company

    folder = tmp_path_factory.mktemp("models")
    company.build(folder)
    return folder
