"""What every measure returns: arrays, numbers as JSON, a figure."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import numpy as np

from recurra.errors import InputError


@dataclass(frozen=True, eq=False)
class Result(ABC):
    """Base of frozen results; their fields are arrays and plain values."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; a number that is not finite is null."""
        shown = [f.name for f in fields(self) if not f.name.startswith("_")]
        return {name: plain(getattr(self, name)) for name in shown}

    @abstractmethod
    def figure(self) -> Any:
        """A figure of matplotlib, which this needs."""


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, numbers that are not finite as None."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def axes(title: str, x: str, y: str, *, wide: float = 7.0, high: float = 3.6) -> tuple[Any, Any]:
    """A new figure and its axes; InputError where matplotlib is not installed."""
    try:
        figures = import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        raise InputError("a figure needs matplotlib: pip install recurra[report]") from error
    figure = figures.Figure(figsize=(wide, high), layout="constrained")
    area = figure.subplots()
    area.set(title=title, xlabel=x, ylabel=y)
    for side in ("top", "right"):
        area.spines[side].set_visible(False)
    return figure, area
