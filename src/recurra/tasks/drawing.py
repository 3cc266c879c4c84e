"""Figures in files, with matplotlib where it is installed."""

from pathlib import Path
from typing import Any

from recurra.errors import InputError
from recurra.given import path_of


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes; InputError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("a plot needs matplotlib: pip install recurra[report]") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def write_figure(figure: Any, path: str | Path) -> Path:
    """Write a figure in the format that the name ends in; InputError where that cannot be."""
    file = path_of(path, "plot", "the path of a picture", new=True)
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: the plot cannot be written: {error}: check the path and its permissions"
        ) from error
    return file
