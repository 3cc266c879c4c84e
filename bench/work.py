"""What is measured: one layer of a cell at a size, its numbers, its arithmetic."""

from typing import NamedTuple

import numpy as np

Numbers = dict[str, np.ndarray]

CELLS = ("rnn", "gru", "lstm")
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
#: B, T and H = I.
GRID = (
    (1, 100, 64),
    (1, 100, 512),
    (32, 10, 64),
    (32, 35, 200),
    (20, 35, 650),
    (64, 128, 256),
    (64, 128, 512),
)
#: H of one step of one stream, and how many steps it has taken when its h is compared.
STREAMS = (64, 256, 512, 1024)
TAKEN = 3
#: Where the share of the peak is asked for.
LARGEST = (64, 128, 512)

#: Options of the LSTM, and the share that is dropped or kept with them.
OPTIONS: dict[str, dict[str, float | bool]] = {
    "plain": {},
    "layer norm": {"layer_norm": True},
    "peepholes": {"peephole": True},
    "projection": {},  # to H / 2
    "recurrent dropout": {"recurrent_dropout": 0.25},
    "zoneout": {"zoneout": 0.1},
    "ragged lengths": {},  # T / 2 to T
}


class Work(NamedTuple):
    """A layer with I = H features, from zero states.

    Attributes:
        kind: "training" (forward and backward: y, and the gradients by x, weights and biases from
            given dL/dy), "inference" (y), or "step" (one step of a stream that goes on: h).
        cell: "rnn" (tanh), "gru" (reset after the product), "lstm".
        batch, steps, hidden: B, T, H.
    """

    kind: str
    cell: str
    batch: int
    steps: int
    hidden: int

    @property
    def flop(self) -> int:
        """Additions and multiplications of the products alone; backward has twice as many."""
        forward = 2 * self.steps * self.batch * GATES[self.cell] * self.hidden * 2 * self.hidden
        return 3 * forward if self.kind == "training" else forward

    def numbers(self) -> Numbers:
        """Return x and dy (T, B, H) and the parameters, named and laid out as in torch."""
        draw = np.random.default_rng(0)
        rows, h = GATES[self.cell] * self.hidden, self.hidden
        shapes = {"x": (self.steps, self.batch, h), "dy": (self.steps, self.batch, h)}
        found = {n: draw.standard_normal(s, np.float32) for n, s in shapes.items()}
        shapes = {"weight_ih": (rows, h), "weight_hh": (rows, h), "bias_ih": (rows,)}
        shapes["bias_hh"] = (rows,)
        for name, shape in shapes.items():
            found[name] = ((2 * draw.random(shape, np.float32) - 1) * h**-0.5).astype(np.float32)
        return found


PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def reorder(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return gates stacked along the first axis in another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[k] for k in order])


class Text(NamedTuple):
    """Text to be written by a language model, one stream.

    Attributes:
        model: path of the model directory.
        characters: how many, drawn with `temperature` among the `top_k` likeliest.
        compared: how many of the likeliest text must be the same.
    """

    model: str
    characters: int
    prompt: str
    temperature: float = 0.8
    top_k: int = 10
    compared: int = 200

    def numbers(self, text: str) -> Numbers:
        """Return a text to be compared."""
        return {"text": np.array([ord(c) for c in text], np.int64)}
