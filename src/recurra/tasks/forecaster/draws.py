"""Random numbers for windows side by side, so that no window's draws depend on the others."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Random(Protocol):
    """The part of `numpy.random.Generator` that distributions draw from."""

    def random(self, size: tuple[int, ...], /) -> np.ndarray:
        """Numbers in [0, 1)."""
        ...

    def standard_t(self, df: np.ndarray, /) -> np.ndarray:
        """Draws of Student's t with degrees of freedom `df`."""
        ...


class Draws:
    """A generator for each of B windows, all begun from one seed.

    What is drawn has rows (S * B, ...), the windows of a draw side by side. A window gets what it
    would get alone; windows get the same numbers, so their draws are not independent.
    """

    def __init__(self, seed: int, windows: int) -> None:
        self._each = [np.random.default_rng(seed) for _ in range(windows)]

    @classmethod
    def of(cls, generators: Sequence[np.random.Generator]) -> "Draws":
        """From a generator of its own for each window."""
        made = cls(0, 0)
        made._each = list(generators)
        return made

    def random(self, size: tuple[int, ...], /) -> np.ndarray:
        """Numbers in [0, 1)."""
        windows = len(self._each)
        found = np.empty((size[0] // windows, windows, *size[1:]))
        for window, generator in enumerate(self._each):
            found[:, window] = generator.random((len(found), *size[1:]))
        return found.reshape(size)

    def standard_t(self, df: np.ndarray, /) -> np.ndarray:
        """Draws of Student's t with degrees of freedom `df`."""
        windows = len(self._each)
        rows = df.reshape(-1, windows, *df.shape[1:])
        found = np.empty(rows.shape)
        for window, generator in enumerate(self._each):
            found[:, window] = generator.standard_t(rows[:, window])
        return found.reshape(df.shape)
