"""Figures that may be absent: a mean over nothing is no figure, and is NaN until it is shown."""

import math
from collections.abc import Mapping
from typing import Any


def mean(total: float, count: float) -> float:
    """`total` over `count`; NaN over nothing."""
    return total / count if count else math.nan


def plain(value: Any) -> Any:
    """A figure as a JSON value: null where it is not finite. Of a mapping or sequence, each."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shown(value: float, form: str) -> str:
    """A figure as text; a dash where it is absent."""
    return "–" if math.isnan(value) else format(value, form)


def present(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that are there: those over nothing are NaN or infinite."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}
