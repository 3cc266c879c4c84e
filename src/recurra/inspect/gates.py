"""Gates, candidates and states of every step, and how surprised a language model is by a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief
from recurra.inspect.language import Language
from recurra.inspect.network import Ran, Visible
from recurra.inspect.reading import Reading, chosen_layers, read
from recurra.inspect.results import Result, axes


@dataclass(frozen=True, eq=False)
class Gates(Result):
    """What a cell's equations name, at each of N steps.

    layers: by layer, from each name to values (N, H); of a layer that reads in both directions the
        names of the second end in `_reverse`.
    values: those of the last of `layers`.
    surprise: of a language model -log2 P(token | tokens before it), bits, (N,); NaN of the first
        token of a text, and of other models. Its sum is what `evaluate` measures.
    tokens: what each step adds to the text; empty where the data have no text.
    sequence, step: (N,), whose step it is, and which of it.
    states: which of the names are states.
    """

    layers: tuple[dict[str, np.ndarray], ...]
    surprise: np.ndarray
    tokens: tuple[str, ...]
    sequence: np.ndarray
    step: np.ndarray
    states: tuple[str, ...]

    @property
    def values(self) -> dict[str, np.ndarray]:
        """From each name to values (N, H), of the last layer that was asked for."""
        return self.layers[-1]

    @property
    def bits(self) -> float:
        """The sum of the surprise, in bits."""
        return float(np.nansum(self.surprise))

    def figure(self, name: str | None = None, units: int = 64) -> Any:
        """A heat map of units × steps of one name (None: the first)."""
        chosen = next(iter(self.values)) if name is None else name
        values = self.values[chosen][:, :units].T
        figure, area = axes(f"{chosen}, unit by unit", "step", "unit")
        low, high = (0.0, 1.0) if values.min(initial=0) >= 0 else (-1.0, 1.0)
        image = area.imshow(values, aspect="auto", cmap="viridis", vmin=low, vmax=high)
        figure.colorbar(image, ax=area)
        return figure


def gates(
    model: Any,
    data: Any,
    layer: int | None = None,
    names: Sequence[str] | None = None,
    *,
    part: str | None = None,
    double: bool = False,
) -> Gates:
    """What every gate, candidate and state of a model does while it reads. Needs no torch.

    Args:
        model: a model of any task; a layer of `recurra.nn`, or `RNN`, `LSTM`, `GRU` of `torch.nn`.
        data: of a language model a text or tokens (N,); of other tasks what `predict` takes; of a
            layer an input (T, I) or (T, B, I).
        layer: which one; None: all.
        names: of those that the cell's equations have (`recurra.cells`); None: all.
        part: which layers, of a model that has several stacks.
        double: whether to compute in float64.

    Raises:
        InputError: a model without recurrent layers, data it cannot read, an unknown name.
    """
    reading = read(model, data, "gates", part=part, double=double)
    ran = reading.run()
    chosen = chosen_layers(reading.network, layer, "gates")
    known = [name for name, _ in reading.network.program.visible]
    wanted = known if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise InputError(
                f"gates: expected names among {', '.join(known)}, received {brief(name)}"
            )
    seen = tuple(named(reading, ran.visible[k], wanted) for k in chosen)
    return Gates(
        seen,
        surprise_of(reading, ran),
        reading.labels,
        reading.sequence,
        reading.step,
        reading.network.states,
    )


def named(
    reading: Reading, sides: Sequence[Visible], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """What the directions of a layer name, (N, H) each; the second one's end in `_reverse`."""
    return {
        f"{name}_reverse" if back else name: reading.flat(values)
        for back, side in enumerate(sides)
        for name, values in side.items()
        if names is None or name in names
    }


def surprise_of(reading: Reading, ran: Ran) -> np.ndarray:
    """-log2 P (N,) of the tokens that were read; NaN where none were expected."""
    found = np.full((len(ran.outputs), len(reading.lengths)), np.nan)
    own: Language | None = reading.language
    if own is not None and reading.tokens is not None and len(found) > 1:
        ahead = reading.tokens[1:]
        found[1:] = -own.steps.chosen(ran.outputs[:-1], ahead) / np.log(2)
    return reading.flat(found)
