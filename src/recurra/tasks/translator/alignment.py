"""Where a translator looked: the weights of its attention, and a picture of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.errors import InputError


@dataclass(frozen=True, eq=False)
class Alignment:
    """The tokens of a source and of its translation, and the weights of each step.

    weights: (T, S), of each target token, the end included, over the source's tokens; each row sums
    to one.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: np.ndarray

    def plot(self, path: str | Path) -> Path:
        """Write the weights as a picture, the darker the larger; the end of the name says which
        kind (.png, .svg, .pdf). Returns its path.

        Raises:
            InputError: matplotlib is not installed, or the file cannot be written.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise InputError("a plot needs matplotlib: pip install recurra[report]") from error
        rows, columns = self.weights.shape
        longest = max(map(len, self.target), default=1), max(map(len, self.source), default=1)
        width, height = (
            0.36 * columns + 0.11 * longest[0] + 1.2,
            0.36 * rows + 0.11 * longest[1] + 1,
        )
        figure = Figure(figsize=(max(width, 2.4), max(height, 2.0)), layout="constrained")
        axes = figure.add_subplot()
        picture = axes.imshow(self.weights, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        # A "$" would begin a formula.
        names = [[_shown(token) for token in side] for side in (self.source, self.target)]
        axes.set_xticks(range(columns), names[0], rotation=60 if longest[1] > 2 else 0)
        axes.set_yticks(range(rows), names[1])
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        figure.colorbar(picture, ax=axes, shrink=0.6, label="weight")
        try:
            figure.savefig(path, dpi=150)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: the plot cannot be written: {error}: check the path and its permissions"
            ) from error
        return Path(path)


def _shown(token: str) -> str:
    return (token.replace(" ", "␣") or "∅").replace("$", r"\$")
