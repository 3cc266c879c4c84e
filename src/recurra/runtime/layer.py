"""One recurrent layer of a loaded model: on the kernels, or over numpy alone, its slow twin."""

from collections.abc import Mapping, Sequence

import numpy as np

from recurra import native
from recurra.cells.graph import Program
from recurra.reference import Interpreter

States = tuple[np.ndarray, ...]

#: Products in a single step from which on other threads are worth waking: that takes a tenth of a
#: millisecond, in which one thread multiplies about a million of weights that are not in its cache.
_MANY = 1 << 23


class KernelLayer:
    """A layer on the kernels. A row's results are the same bits alone or among others.

    Args:
        program: the cell, one that `native.find` knows.
        weights: by name, float32.
        keep: per state the share of its old value that stays (zoneout), or empty.
    """

    def __init__(
        self, program: Program, weights: Mapping[str, np.ndarray], keep: Sequence[float]
    ) -> None:
        self._program, self._keep = program, list(keep)
        self._parameters = [np.ascontiguousarray(weights[p.name]) for p in program.parameters]
        self._packed = native.Packed(program, self._parameters)
        self._threads = native.threads()
        self._weights = sum(w.size for w in self._parameters)

    def run(
        self, x: np.ndarray, states: States, valid: np.ndarray | None, *, reverse: bool = False
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I) where `valid` (T, B): outputs (T, B, R) and the states after it.

        With `reverse` from the last step to the first; outputs stay at the place of their input.
        """
        if x.shape[0] == 1 and valid is None:
            threads = self._threads if self._weights * x.shape[1] >= _MANY else 1
            found = self._packed.step(x[0], list(states), self._keep, threads)
            return found[0][None], tuple(found)
        y = np.empty((*x.shape[:2], states[0].shape[1]), np.float32)
        last = tuple(np.empty(s.shape, np.float32) for s in states)
        inputs = native.Inputs(
            self._program,
            x,
            self._parameters,
            [np.ascontiguousarray(s) for s in states],
            None if valid is None else np.ascontiguousarray(valid),
            keep=self._keep,
            reverse=reverse,
            threads=self._threads,
        )
        native.forward(inputs, y, last, packed=self._packed)
        return y, last


class NumpyLayer:
    """A layer by the reference over numpy; arguments as for `KernelLayer`."""

    def __init__(
        self, program: Program, weights: Mapping[str, np.ndarray], keep: Sequence[float]
    ) -> None:
        self._interpreter = Interpreter(program, weights)
        self._keep = list(keep) or None

    def run(
        self, x: np.ndarray, states: States, valid: np.ndarray | None, *, reverse: bool = False
    ) -> tuple[np.ndarray, States]:
        """Read x (T, B, I) where `valid` (T, B): outputs (T, B, R) and the states after it.

        With `reverse` from the last step to the first; outputs stay at the place of their input.
        """
        return self.loop(self.hoist(x), len(x), states, valid, reverse=reverse)

    def hoist(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """What the steps read of x (T, B, I), each row of it by itself."""
        return self._interpreter.hoist(x)

    def loop(
        self,
        hoisted: Mapping[int, np.ndarray],
        steps: int,
        states: States,
        valid: np.ndarray | None,
        *,
        reverse: bool = False,
    ) -> tuple[np.ndarray, States]:
        """`run`, from what `hoist` made of the input."""
        run = self._interpreter.loop(
            hoisted, steps, states, valid=valid, keep=self._keep, reverse=reverse
        )
        return run.outputs, run.states


def on_kernels(program: Program, weights: Mapping[str, np.ndarray]) -> bool:
    """Whether the kernels run such a layer."""
    return all(w.dtype == np.float32 for w in weights.values()) and native.find(program) is not None
