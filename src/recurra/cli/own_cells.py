"""`--cells FILE.py`: cells of one's own at the command line."""

import argparse
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from recurra.errors import InputError


def add_cells(parser: argparse.ArgumentParser) -> None:
    """Add the option of verbs that train models."""
    parser.add_argument(
        "--cells",
        metavar="FILE.py",
        action="append",
        default=[],
        help="run this file, which defines cells, so that --cell can name them; a trained model "
        "carries its cell, and needs the file no more",
    )


def define_cells(files: Sequence[str]) -> None:
    """Run files that define cells, each once.

    Raises:
        InputError: a file cannot be read, fails, or defines no cell.
    """
    from recurra.cells import find, names

    for number, given in enumerate(dict.fromkeys(files)):
        before = [find(name) for name in names()]
        _run(Path(given), f"recurra_cells_{number}")
        if [find(name) for name in names()] == before:
            raise InputError(
                f"--cells {given}: expected a file that defines a cell with @cell, received one "
                "that defines none"
            )


def _run(path: Path, name: str) -> None:
    """Import a file as a module; whatever it raises becomes one line."""
    if not path.is_file():
        raise InputError(f"--cells {path}: no such file: give the Python file that defines a cell")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"--cells {path}: expected a Python file, whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        raise InputError(f"--cells {path}: {error}") from error
    except SyntaxError as error:
        raise InputError(f"--cells {path}: line {error.lineno}: {error.msg}") from error
    except Exception as error:  # of a file that is not ours, and of every kind
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path.resolve())]
        where = f"line {lines[-1]}: " if lines else ""
        text = str(error).partition("\n")[0][:300]
        raise InputError(f"--cells {path}: {where}{type(error).__name__}: {text}") from error
