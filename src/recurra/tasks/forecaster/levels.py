"""Levels of quantiles, as they are given."""

from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import listed, shown


def levels_of(levels: Any) -> tuple[float, ...] | None:
    """Levels of quantiles, as numbers or a text of them; InputError where they are none."""
    if levels is None:
        return None
    if isinstance(levels, str):
        try:
            levels = [float(q) for q in levels.split(",")]
        except ValueError as error:
            raise InputError(
                f"levels: expected numbers separated by commas, as 0.1,0.5,0.9, received {levels!r}"
            ) from error
    found = listed(levels, "levels", "a list of numbers between 0 and 1")
    for level in found:
        right = isinstance(level, int | float | np.number) and not isinstance(level, bool)
        if not right or not 0 < level < 1:
            raise InputError(f"levels: expected numbers between 0 and 1, received {shown(level)}")
    return tuple(map(float, found)) or None
