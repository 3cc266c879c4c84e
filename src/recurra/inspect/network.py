"""`Network`: recurrent layers as arrays, whatever they come from, run with all that they name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from recurra import native
from recurra.cells.graph import Program
from recurra.cells.matrices import plain
from recurra.matrices import plain_parameters
from recurra.reference import Interpreter
from recurra.runtime.stack import OneHot, RuntimeStack
from recurra.runtime.states import States

#: Row-steps of a call of the kernels, which bounds what they leave behind for looking at.
_CALL = 1 << 12

#: By name (T, B, ·), of one direction of a layer.
Visible = dict[str, np.ndarray]


@dataclass(frozen=True)
class Ran:
    """What layers computed: outputs (T, B, D * R), states at the end, what they name.

    visible: by layer, by direction (forward first), by name (T, B, H): gates, candidates, states.
    """

    outputs: np.ndarray
    states: States
    visible: tuple[tuple[Visible, ...], ...]


@dataclass(frozen=True, eq=False)
class Network:
    """Recurrent layers with their weights.

    Args:
        program: the cell's, as it was traced.
        weights: by name, of each layer and direction (forward first).
        starts: states before the first step, (R,) or (H,), likewise.
        features: I, of the input.
        directions: 1 or 2.
        residual: whether a layer above the first adds its input to its output.
        keep: of each state the share of its old value that stays (zoneout), or empty.
        reverse: whether layers of one direction run from the end to the start.
        merge: what becomes of the outputs of two directions: `concat`, `sum`, `mul`, `ave`.
        rows: what tokens choose from, (V, I), or None.
        held: by layer and direction a unit and the value that its output has for what follows.
    """

    program: Program
    weights: tuple[Mapping[str, np.ndarray], ...]
    starts: tuple[tuple[np.ndarray, ...], ...]
    features: int
    directions: int = 1
    residual: bool = False
    keep: tuple[float, ...] = ()
    reverse: bool = False
    merge: str = "concat"
    rows: np.ndarray | OneHot | None = None
    held: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    _edited: Mapping[int, Any] = field(default_factory=dict)

    @property
    def layers(self) -> int:
        """How many there are, one above the other."""
        return len(self.weights) // self.directions

    @property
    def dtype(self) -> np.dtype:
        """Of weights and all that is computed."""
        return np.dtype(next(iter(self.weights[0].values())).dtype)

    @property
    def hidden(self) -> int:
        """H, units of a layer and direction."""
        return self.program.widths([w.shape for w in self._parameters_in_order(0)])[0]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the cell's states; the first is what a layer puts out."""
        return self.program.states

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of what a step computes beside its states."""
        return tuple(n for n, _ in self.program.visible if n not in self.program.states)

    def in_double(self) -> "Network":
        """The same in float64."""

        def wide(values: Any) -> np.ndarray:
            return np.asarray(values, np.float64)

        rows = self.rows if self.rows is None or isinstance(self.rows, OneHot) else wide(self.rows)
        return replace(
            self,
            weights=tuple({n: wide(w) for n, w in each.items()} for each in self.weights),
            starts=tuple(tuple(map(wide, each)) for each in self.starts),
            rows=rows,
        )

    def edited(self, edits: Mapping[int, Any]) -> "Network":
        """The same with what stands in for `Interpreter` at some layers and directions."""
        return replace(self, _edited=dict(edits))

    def start(self, batch: int) -> States:
        """The states of `batch` sequences before their first step."""
        return tuple(
            tuple(np.tile(s.astype(self.dtype), (batch, 1)) for s in each) for each in self.starts
        )

    def inputs(self, tokens: np.ndarray) -> np.ndarray:
        """The rows (T, B, I) that tokens (T, B) choose."""
        assert self.rows is not None
        return np.asarray(self.rows[tokens], self.dtype)

    def run(
        self,
        x: np.ndarray | None,
        tokens: np.ndarray | None = None,
        *,
        lengths: np.ndarray | None = None,
        states: States | None = None,
        look: bool = True,
    ) -> Ran:
        """Read x (T, B, I), or tokens (T, B), of each sequence the first `lengths` (B,) steps.

        At other steps outputs and what is named are zero, and states wait.
        """
        given = tokens if x is None else x
        assert given is not None
        steps, batch = given.shape[:2]
        before = self.start(batch) if states is None else states
        valid = None
        if lengths is not None and not (np.asarray(lengths) == steps).all():
            valid = np.arange(steps)[:, None] < np.asarray(lengths)[None, :]
        ended: list[tuple[np.ndarray, ...]] = []
        visible = []
        further = self.program.further
        for layer in range(self.layers):
            sides, seen = [], []
            for back in range(self.directions):
                k = layer * self.directions + back
                read: tuple[Any, Any] = (None, tokens) if layer == 0 and x is None else (x, None)
                y, last, named = self._layer(
                    k, *read, before[k], valid, reverse=self.reverse or back == 1, look=look
                )
                if k in self.held:
                    unit, value = self.held[k]
                    y[..., unit] = value
                sides.append(y)
                ended.append(last)
                seen.append(named)
            visible.append(tuple(seen))
            outputs = sides[0] if len(sides) == 1 else _MERGES[self.merge](*sides)
            if self.residual and layer:
                assert x is not None
                outputs = outputs + x[..., : outputs.shape[-1]]
            if further and layer < self.layers - 1:
                below = self.inputs(tokens) if x is None and tokens is not None else x
                assert below is not None
                outputs = np.concatenate([outputs, below[..., below.shape[-1] - further :]], -1)
            x = outputs
        assert x is not None
        return Ran(x, tuple(ended), tuple(visible))

    def _parameters_in_order(self, k: int) -> list[np.ndarray]:
        weights = self.weights[k]
        return [weights.get(p.name, np.zeros((0, 0))) for p in self.program.parameters]

    @cached_property
    def _ready(self) -> list[tuple[Program, dict[str, np.ndarray], bool]]:
        """By layer and direction what runs, its parameters, and whether the kernels do it."""
        made = []
        for weights in self.weights:
            own, run = plain_parameters(self.program, weights), plain(self.program)
            whole = all(p.name in own for p in run.parameters)
            sized = all(w.size and w.dtype == self.dtype for w in own.values())
            own = {n: np.ascontiguousarray(w) for n, w in own.items()}
            made.append((run, own, whole and sized and native.find(run) is not None))
        return made

    def _interpreter(self, k: int) -> Interpreter:
        made = self._edited.get(k, Interpreter)
        return made(self.program, self.weights[k])

    def _layer(
        self,
        k: int,
        x: np.ndarray | None,
        tokens: np.ndarray | None,
        states: Sequence[np.ndarray],
        valid: np.ndarray | None,
        *,
        reverse: bool,
        look: bool,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...], Visible]:
        run, own, fast = self._ready[k]
        if fast and k not in self._edited:
            found = self._on_kernels(run, own, x, tokens, states, valid, reverse=reverse, look=look)
            if found is not None:
                return found
        if x is None:
            assert tokens is not None
            x = self.inputs(tokens)
        result = self._interpreter(k).run(
            np.asarray(x, self.dtype),
            [np.asarray(s, self.dtype) for s in states],
            valid=valid,
            reverse=reverse,
            keep=list(self.keep) or None,
            record=look,
        )
        return result.outputs, result.states, result.visible

    def _on_kernels(
        self,
        run: Program,
        own: Mapping[str, np.ndarray],
        x: np.ndarray | None,
        tokens: np.ndarray | None,
        states: Sequence[np.ndarray],
        valid: np.ndarray | None,
        *,
        reverse: bool,
        look: bool,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...], Visible] | None:
        """What the kernels compute, in calls of a bounded size; None: they do not keep it all."""
        given = tokens if x is None else x
        assert given is not None
        total, batch = given.shape[:2]
        few = max(1, _CALL // max(1, batch))
        parts = [slice(t, min(t + few, total)) for t in range(0, max(total, 1), few)]
        ys: list[np.ndarray] = []
        named: list[Visible] = []
        current = [np.ascontiguousarray(s, self.dtype) for s in states]
        parameters = [own[p.name] for p in run.parameters]
        for part in reversed(parts) if reverse else parts:
            inside = None if valid is None else np.ascontiguousarray(valid[part])
            chosen: np.ndarray | None = None
            if x is not None:
                rows = np.ascontiguousarray(x[part], self.dtype)
            elif isinstance(self.rows, np.ndarray) and not run.option("norm"):
                assert tokens is not None
                # Products are made once a row: only of those that occur.
                used, where = np.unique(tokens[part], return_inverse=True)
                rows = np.ascontiguousarray(self.rows[used], self.dtype)
                chosen = np.ascontiguousarray(where.reshape(tokens[part].shape), np.int64)
            else:
                assert tokens is not None
                rows = self.inputs(tokens[part])
            inputs = native.Inputs(
                run,
                rows,
                parameters,
                current,
                inside,
                keep=list(self.keep),
                reverse=reverse,
                threads=-native.at_most(native.threads()),
                tokens=chosen,
            )
            shape = given[part].shape[:2]
            y = np.empty((*shape, current[0].shape[1]), self.dtype)
            last = [np.empty_like(s) for s in current]
            saved = np.empty(native.saved_size(inputs), self.dtype) if look else None
            native.forward(inputs, y, last, saved=saved)
            if look:
                assert saved is not None
                seen = native.recorded(inputs, y, saved)
                if seen is None:
                    return None
                if inside is not None:
                    seen = {n: np.where(inside[..., None], v, 0) for n, v in seen.items()}
                named.append({n: np.array(v) for n, v in seen.items()})
            ys.append(y)
            current = last
        if reverse:
            ys.reverse()
            named.reverse()
        whole = {n: np.concatenate([part[n] for part in named]) for n in named[0]} if look else {}
        return np.concatenate(ys), tuple(current), whole


_MERGES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "concat": lambda one, other: np.concatenate((one, other), axis=-1),
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2,
}


def of_stack(stack: RuntimeStack) -> Network:
    """The layers of a loaded model; those that stand in for them, if they do."""
    edited = getattr(stack.instead, "network", None)
    if isinstance(edited, Network):
        return edited
    architecture = stack.architecture
    return Network(
        architecture.program,
        tuple(stack.weights),
        tuple(tuple(s[0] for s in layer) for layer in stack.start(1)),
        stack.features,
        directions=2 if architecture.bidirectional else 1,
        residual=architecture.residual,
        keep=architecture.zoneout if any(architecture.zoneout) else (),
        rows=stack.rows,
    )


def of_module(module: Any) -> Network:
    """A layer of `recurra.nn`, as it is in evaluation."""
    names = [p.name for p in module.program.parameters]
    suffixes = [
        f"_l{k}{'_reverse' if back else ''}"
        for k in range(module.num_layers)
        for back in range(2 if module.bidirectional else 1)
    ]

    def array(tensor: Any) -> np.ndarray:
        found: np.ndarray = tensor.detach().cpu().numpy()
        return found

    weights = tuple({n: array(getattr(module, n + s)) for n in names} for s in suffixes)
    starts = []
    for k in range(len(suffixes)):
        own = []
        pairs = zip(module.cell.states, module.state_sizes, module.program.first, strict=True)
        for state, size, first in pairs:
            learnt = getattr(module, f"initial_{state}")
            own.append(np.full(size, first) if learnt is None else array(learnt)[k])
        starts.append(tuple(own))
    return Network(
        module.program,
        weights,
        tuple(starts),
        module.input_size,
        directions=2 if module.bidirectional else 1,
        residual=module.residual,
        keep=tuple(module.zoneout) if any(module.zoneout) else (),
        reverse=module.reverse,
        merge=module.merge,
    )
