"""One recurrent layer of a loaded model: on the kernels, or over numpy alone, its slow twin."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra import native
from recurra.cells.graph import Program
from recurra.errors import InputError
from recurra.given import brief
from recurra.reference import Interpreter

States = tuple[np.ndarray, ...]


class Resets(NamedTuple):
    """Where rows begin anew, `at` (T, B) booleans, and with what: `start`, states (B, ·)."""

    at: np.ndarray
    start: States


#: Products in a single step from which on other threads are worth waking: that takes a tenth of a
#: millisecond, in which one thread multiplies about a million of weights that are not in its cache.
_MANY = 1 << 23


class KernelLayer:
    """A layer on the kernels. A row's results are the same bits alone or among others.

    Args:
        program: the cell, one that `native.find` knows.
        weights: by name, float32.
        keep: per state the share of its old value that stays (zoneout), or empty.
        table: rows (V, I) that tokens choose from, whose products are then computed once; or None.
        half: compute products in bfloat16.
    """

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, np.ndarray],
        keep: Sequence[float],
        *,
        table: np.ndarray | None = None,
        half: bool = False,
    ) -> None:
        table = None if table is None else np.asarray(table, np.float32)
        self._program, self._keep, self._table = program, list(keep), table
        self._parameters = [np.ascontiguousarray(weights[p.name]) for p in program.parameters]
        self._half = half
        self.packed = native.Packed(program, self._parameters, table=table, half=half)
        self._threads = native.at_most(native.threads())
        self._weights = sum(w.size for w in self._parameters)

    @property
    def reads_tokens(self) -> bool:
        """Whether there is a table, for `read`."""
        return self._table is not None

    def run(
        self,
        x: np.ndarray,
        states: States,
        valid: np.ndarray | None,
        *,
        reverse: bool = False,
        resets: Resets | None = None,
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I) where `valid` (T, B): outputs (T, B, R) and the states after it.

        With `reverse` from the last step to the first; outputs stay at the place of their input.
        """
        # A layer before this one may have had weights of float64, which numpy ran.
        x = np.asarray(x, np.float32)
        if x.shape[0] == 1 and valid is None:
            threads = self._threads if self._weights * x.shape[1] >= _MANY else 1
            found = self.packed.step(x[0], _begun(states, resets), self._keep, threads)
            return found[0][None], tuple(found)
        return self._forward(x, None, x.shape[:2], states, valid, reverse=reverse, resets=resets)

    def read(
        self,
        tokens: np.ndarray,
        states: States,
        valid: np.ndarray | None,
        *,
        resets: Resets | None = None,
    ) -> tuple[np.ndarray, States]:
        """`run` of the rows of the table that tokens (T, B) choose."""
        assert self._table is not None
        tokens = np.ascontiguousarray(tokens, np.int64)
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < len(self._table):
            raise IndexError(f"expected tokens below {len(self._table)}, received {tokens.max()}")
        if len(tokens) == 1 and valid is None:
            threads = self._threads if self._weights * tokens.shape[1] >= _MANY else 1
            found = self.packed.step_tokens(tokens[0], _begun(states, resets), self._keep, threads)
            return found[0][None], tuple(found)
        return self._forward(self._table, tokens, tokens.shape, states, valid, resets=resets)

    def _forward(
        self,
        x: np.ndarray,
        tokens: np.ndarray | None,
        shape: tuple[int, ...],
        states: States,
        valid: np.ndarray | None,
        *,
        reverse: bool = False,
        resets: Resets | None = None,
    ) -> tuple[np.ndarray, States]:
        y = np.empty((*shape, states[0].shape[1]), np.float32)
        last = tuple(np.empty(s.shape, np.float32) for s in states)
        inputs = native.Inputs(
            self._program,
            x,
            self._parameters,
            [np.ascontiguousarray(s, np.float32) for s in states],
            None if valid is None else np.ascontiguousarray(valid),
            keep=self._keep,
            reverse=reverse,
            threads=-self._threads,
            half=self._half,
            tokens=tokens,
        )
        if resets is not None:
            start = [np.ascontiguousarray(s, np.float32) for s in resets.start]
            inputs = inputs._replace(reset=np.ascontiguousarray(resets.at), start=start)
        native.forward(inputs, y, last, packed=self.packed)
        return y, last


class NumpyLayer:
    """A layer by the reference over numpy; arguments as for `KernelLayer`."""

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, np.ndarray],
        keep: Sequence[float],
        *,
        table: np.ndarray | None = None,
    ) -> None:
        self._interpreter = Interpreter(program, weights)
        self._keep = list(keep) or None
        self._looked_up: dict[int, np.ndarray] | None = None
        if table is not None:
            hoisted = self._interpreter.hoist(table[None])
            self._looked_up = {n: np.ascontiguousarray(rows[0]) for n, rows in hoisted.items()}

    @property
    def reads_tokens(self) -> bool:
        """Whether there is a table, for `read`."""
        return self._looked_up is not None

    def run(
        self,
        x: np.ndarray,
        states: States,
        valid: np.ndarray | None,
        *,
        reverse: bool = False,
        resets: Resets | None = None,
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I) where `valid` (T, B): outputs (T, B, R) and the states after it.

        With `reverse` from the last step to the first; outputs stay at the place of their input.
        """
        hoisted = self._interpreter.hoist(x)
        run = self._interpreter.loop(
            hoisted,
            len(x),
            states,
            valid=valid,
            keep=self._keep,
            reverse=reverse,
            **_named(resets),
        )
        return run.outputs, run.states

    def read(
        self,
        tokens: np.ndarray,
        states: States,
        valid: np.ndarray | None,
        *,
        resets: Resets | None = None,
    ) -> tuple[np.ndarray, States]:
        """`run` of the rows of the table that tokens (T, B) choose."""
        assert self._looked_up is not None
        hoisted = {node: rows[tokens] for node, rows in self._looked_up.items()}
        run = self._interpreter.loop(
            hoisted, len(tokens), states, valid=valid, keep=self._keep, **_named(resets)
        )
        return run.outputs, run.states


def _begun(states: States, resets: Resets | None) -> list[np.ndarray]:
    """The states as the only step reads them."""
    if resets is None:
        return list(states)
    pairs = zip(resets.start, states, strict=True)
    return [np.where(resets.at[0][:, None], start, state) for start, state in pairs]


def _named(resets: Resets | None) -> dict[str, Any]:
    return {} if resets is None else {"reset": resets.at, "start": resets.start}


def on_kernels(program: Program, weights: Mapping[str, np.ndarray]) -> bool:
    """Whether the kernels run such a layer."""
    if any(w.size == 0 for w in weights.values()):  # no inputs: nothing that kernels would speed up
        return False
    return all(w.dtype == np.float32 for w in weights.values()) and native.find(program) is not None


def in_half(precision: str, program: Program, *, served: bool) -> bool:
    """Whether a precision means products in bfloat16, which the kernels have if they are `served`.

    Raises:
        InputError: products of that precision cannot be had.
    """
    if not isinstance(precision, str) or precision not in native.PRECISIONS:
        known = ", ".join(native.PRECISIONS)
        raise InputError(f"precision: expected one of {known}, received {brief(precision)}")
    if precision == "float32":
        return False
    if missing := native.without_half(program) or ("" if served else "a model over numpy"):
        raise InputError(
            "precision bf16: expected a CPU with bfloat16 products, and a model that the kernels "
            f"run; received {missing}: use precision float32"
        )
    return True
