"""The operators RNN, LSTM and GRU of ONNX over numpy, with every attribute.

What one of our cells computes runs as that cell does: on the kernels, or by the reference. The rest
(clipped gates, coupled gates, other functions) runs as the standard spells it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.cells import Program, find
from recurra.errors import InputError
from recurra.interop.layouts import to_ours
from recurra.interop.onnx.activations import Activation, read_activations
from recurra.interop.onnx.operators import ACTIVATIONS
from recurra.native import Product
from recurra.runtime.layer import KernelLayer, NumpyLayer, States, on_kernels

Array = np.ndarray

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
#: The inputs of a node that are its weights, by place.
WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One node RNN, LSTM or GRU: its attributes, read once."""

    op: str
    hidden: int | None
    direction: str
    activations: tuple[tuple[Activation, ...], ...]  # by direction
    clip: float | None
    input_forget: bool
    reset_after: bool
    batch_first: bool

    @classmethod
    def read(cls, op: str, attributes: Mapping[str, Any]) -> "Recurrence":
        """Read the attributes of a node; InputError names a value that cannot be."""
        direction = attributes.get("direction", "forward")
        if direction not in DIRECTIONS:
            raise InputError(
                f"direction: expected one of {', '.join(DIRECTIONS)}, received {direction!r}"
            )
        clip, hidden = attributes.get("clip"), attributes.get("hidden_size")
        for name in ("layout", "linear_before_reset", "input_forget"):
            if attributes.get(name, 0) not in (0, 1):
                raise InputError(f"{name}: expected 0 or 1, received {attributes[name]}")
        if clip is not None and not clip > 0:
            raise InputError(f"clip: expected a number above 0, received {clip:g}")
        if hidden is not None and hidden < 1:
            raise InputError(f"hidden_size: expected a number from 1 on, received {hidden}")
        return cls(
            op,
            hidden,
            direction,
            read_activations(op, len(DIRECTIONS[direction]), attributes),
            clip,
            bool(attributes.get("input_forget", 0)),
            bool(attributes.get("linear_before_reset", 0)),
            bool(attributes.get("layout", 0)),
        )

    def program(self, direction: int, *, bias: bool, peephole: bool) -> Program | None:
        """The program of our cells that one direction is, or None."""
        functions = [activation.ours for activation in self.activations[direction]]
        names = ACTIVATIONS[self.op]
        chosen = dict(zip(names, functions, strict=True))
        alike = all(chosen[n] == f for n, f in zip(names, functions, strict=True))
        if None in functions or not alike or self.clip is not None or self.input_forget:
            return None
        options: dict[str, Any] = {n: f for n, f in chosen.items() if f is not None}
        if self.op == "GRU":
            options["reset"] = "after" if self.reset_after else "before"
        if self.op == "LSTM":
            options["peephole"] = peephole
        return find(self.op.lower()).program(bias=bias, **options)

    def prepare(
        self, W: Array, R: Array, B: Array | None = None, P: Array | None = None
    ) -> "Prepared":
        """Bind weights: W (D, GH, I), R (D, GH, H), B (D, 2GH), P (D, 3H).

        Raises:
            InputError: a shape or dtype does not fit; says what was expected and received.
        """
        wide, gates = len(DIRECTIONS[self.direction]), GATES[self.op]
        hidden = self.hidden or (R.shape[-1] if R.ndim == 3 else 0)
        inputs = W.shape[-1] if W.ndim == 3 else 0
        expected = {
            "W": (W, (wide, gates * hidden, inputs)),
            "R": (R, (wide, gates * hidden, hidden)),
            "B": (B, (wide, 2 * gates * hidden)),
            "P": (P, (wide, 3 * hidden)),
        }
        _check(expected, W.dtype)
        real = np.float64 if W.dtype == np.float64 else np.float32
        given = [None if a is None else np.ascontiguousarray(a, real) for a in (W, R, B, P)]
        rows = [[None if a is None else a[d] for a in given] for d in range(wide)]
        layers = [self._layer(d, *row) for d, row in enumerate(rows)]
        return Prepared(self, layers, W.dtype, inputs, hidden)

    def _layer(self, direction: int, W: Any, R: Any, B: Array | None, P: Array | None) -> Any:
        program = self.program(direction, bias=B is not None, peephole=P is not None)
        if program is None:
            return Spelled(self, direction, W, R, B, P)
        weights = to_ours("onnx", program, [a for a in (W, R, B, P) if a is not None])
        make = KernelLayer if on_kernels(program, weights) else NumpyLayer
        return make(program, weights, ())


@dataclass(frozen=True, slots=True)
class Prepared:
    """A node with its weights, ready to run.

    Attributes:
        node: its attributes.
        layers: a layer for each direction.
        dtype: of inputs and results.
        inputs, hidden: I and H.
    """

    node: Recurrence
    layers: Sequence[Any]
    dtype: np.dtype
    inputs: int
    hidden: int

    def run(
        self,
        X: Array,
        sequence_lens: Array | None = None,
        initial_h: Array | None = None,
        initial_c: Array | None = None,
    ) -> list[Array]:
        """Run over X (T, B, I); with `layout` 1 batch comes first everywhere.

        Args:
            X: the input.
            sequence_lens: steps of each row, integers (B,). A row without any ends where it starts.
            initial_h, initial_c: (D, B, H); None: zeros.

        Returns:
            Y (T, D, B, H), zero where a row has ended; Y_h, and for an LSTM Y_c (D, B, H).

        Raises:
            InputError: a shape or dtype does not fit; says what was expected and received.
        """
        node, wide = self.node, len(self.layers)
        turned = node.batch_first
        states = [initial_h, initial_c] if node.op == "LSTM" else [initial_h]
        if X.ndim != 3:
            raise InputError(f"expected X of three axes, received {X.shape}")
        batch, steps = X.shape[:2] if turned else X.shape[1::-1]
        size = (batch, wide, self.hidden) if turned else (wide, batch, self.hidden)
        shape = (batch, steps, self.inputs) if turned else (steps, batch, self.inputs)
        named = {"X": (X, shape), "initial_h": (initial_h, size), "initial_c": (initial_c, size)}
        _check(named, self.dtype)
        valid = _valid(sequence_lens, steps, batch)
        real = np.float64 if self.dtype == np.float64 else np.float32
        x = np.ascontiguousarray(X.swapaxes(0, 1) if turned else X, real)
        start = [_start(s, wide, batch, self.hidden, real, turned) for s in states]
        outputs, ended = [], []
        for d, reverse in enumerate(DIRECTIONS[node.direction]):
            y, last = self.layers[d].run(x, tuple(s[d] for s in start), valid, reverse=reverse)
            outputs.append(y)
            ended.append(last)
        Y = np.stack(outputs, axis=1)
        final = [np.stack(rows) for rows in zip(*ended, strict=True)]
        if turned:
            Y, final = Y.transpose(2, 0, 1, 3), [s.swapaxes(0, 1) for s in final]
        return [a.astype(self.dtype) for a in (Y, *final)]


class Spelled:
    """One direction as the standard's equations say, with their letters."""

    def __init__(
        self,
        node: Recurrence,
        direction: int,
        W: Array,
        R: Array,
        B: Array | None,
        P: Array | None,
    ) -> None:
        gates = GATES[node.op]
        self._node, self._functions = node, node.activations[direction]
        self._W, self._R = ([Product(part) for part in np.split(w, gates)] for w in (W, R))
        bias = np.zeros(2 * len(W), W.dtype) if B is None else B
        self._Wb, self._Rb = (np.split(half, gates) for half in np.split(bias, 2))
        self._P = [np.zeros(1, W.dtype)] * 3 if P is None else np.split(P, 3)
        steps: dict[str, Any] = {"RNN": self._rnn, "LSTM": self._lstm, "GRU": self._gru}
        self._step = steps[node.op]

    def run(
        self, x: Array, states: States, valid: Array | None, *, reverse: bool = False
    ) -> tuple[Array, States]:
        """Read x (T, B, I) where `valid` (T, B): outputs (T, B, H) and the states after it."""
        outputs, current = np.zeros((*x.shape[:2], states[0].shape[1]), x.dtype), states
        for t in range(len(x) - 1, -1, -1) if reverse else range(len(x)):
            new = self._step(x[t], *current)
            if valid is None:
                outputs[t] = new[0]
            else:
                here = valid[t][:, None]
                outputs[t] = np.where(here, new[0], 0)
                new = tuple(np.where(here, n, o) for n, o in zip(new, current, strict=True))
            current = new
        return outputs, current

    def _gate(self, k: int, x: Array, h: Array) -> Array:
        return self._W[k](x) + self._R[k](h) + self._Wb[k] + self._Rb[k]

    def _clip(self, v: Array) -> Array:
        c = self._node.clip
        return v if c is None else np.clip(v, -c, c)

    def _rnn(self, x: Array, h: Array) -> States:
        (f,) = self._functions
        return (f(self._clip(self._gate(0, x, h))),)

    def _gru(self, x: Array, h: Array) -> States:
        f, g = self._functions
        z = f(self._clip(self._gate(0, x, h)))
        r = f(self._clip(self._gate(1, x, h)))
        if self._node.reset_after:
            a = self._W[2](x) + r * (self._R[2](h) + self._Rb[2]) + self._Wb[2]
        else:
            a = self._gate(2, x, r * h)
        return ((1 - z) * g(self._clip(a)) + z * h,)

    def _lstm(self, x: Array, h: Array, c: Array) -> States:
        (f, g, last), (Pi, Po, Pf) = self._functions, self._P
        i = f(self._clip(self._gate(0, x, h) + Pi * c))
        forget = 1 - i if self._node.input_forget else f(self._clip(self._gate(2, x, h) + Pf * c))
        c = forget * c + i * g(self._clip(self._gate(3, x, h)))
        o = f(self._clip(self._gate(1, x, h) + Po * c))
        return o * last(c), c


def _check(arrays: Mapping[str, tuple[Array | None, tuple[int, ...]]], dtype: np.dtype) -> None:
    if dtype.name not in ("float32", "float64", "float16", "bfloat16"):
        raise InputError(f"expected floating point numbers, received {dtype.name}")
    for name, (array, shape) in arrays.items():
        if array is not None and (array.shape != shape or array.dtype != dtype):
            raise InputError(
                f"expected {name} of {dtype.name} {shape}, "
                f"received {array.dtype.name} {array.shape}"
            )


def _valid(lengths: Array | None, steps: int, batch: int) -> Array | None:
    if lengths is None:
        return None
    whole = np.issubdtype(lengths.dtype, np.integer) and lengths.shape == (batch,)
    if not whole or (batch and not 0 <= lengths.min() <= lengths.max() <= steps):
        raise InputError(
            f"expected sequence_lens of {batch} whole numbers from 0 to {steps}, "
            f"received {lengths.dtype.name} {lengths.shape}"
        )
    return np.arange(steps)[:, None] < lengths[None, :]


def _start(
    state: Array | None, wide: int, batch: int, hidden: int, real: Any, turned: bool
) -> Array:
    if state is None:
        return np.zeros((wide, batch, hidden), real)
    return np.ascontiguousarray(state.swapaxes(0, 1) if turned else state, real)
