"""Discounts of modified Kneser–Ney smoothing (Chen & Goodman 1998, equation 26)."""

import numpy as np

#: Where a text is too small or too regular for the formulas: those of KenLM's option for that.
FALLBACK = (0.5, 1.0, 1.5)


def discounts(counts: np.ndarray) -> tuple[tuple[float, float, float], bool]:
    """What is taken off n-grams counted once, twice, and three times or more.

    With n_j the number of n-grams counted j times, and Y = n_1 / (n_1 + 2 n_2):
    D_j = j - (j + 1) Y n_{j+1} / n_j.

    Args:
        counts: (G,) of the n-grams of one order, adjusted; zeros are n-grams never seen.

    Returns:
        The three discounts, and whether they are `FALLBACK`: because one of n_1, n_2, n_3 is zero
        (no D_j then), or a D_j would lie outside [0, j], as texts made by a rule have it.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if not n[:3].all():
        return FALLBACK, True
    y = n[0] / (n[0] + 2 * n[1])
    one, two, more = (j - (j + 1) * y * n[j] / n[j - 1] for j in (1, 2, 3))
    if not (0 <= one <= 1 and 0 <= two <= 2 and 0 <= more <= 3):
        return FALLBACK, True
    return (float(one), float(two), float(more)), False
