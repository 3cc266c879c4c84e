"""Fixtures every test folder shares."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data beside the checkout (or `RECURRA_DATA`); skips where it is absent."""
    path = Path(os.environ.get("RECURRA_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}: set RECURRA_DATA to its folder")
    return path
