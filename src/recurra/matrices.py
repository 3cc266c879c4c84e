"""The parameters of a layer as interpreters and kernels take them: see `recurra.cells.matrices`."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.cells.graph import Program, form_of
from recurra.cells.matrices import GIVEN_FORMS, is_plain, plain, split_gate
from recurra.errors import InputError

Array = Any  # numpy.ndarray or torch.Tensor, not mixed

#: The most numbers of a matrix that is made of fewer.
_MOST = 1 << 30


def plain_parameters(program: Program, given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the parameters of `plain(program)`, made of those of the program.

    Over torch they are differentiable by what was given. Biases may be absent.

    Args:
        program: the cell's.
        given: arrays by name, with the shapes of `program.parameters`.

    Raises:
        InputError: the raw input is read, and the layer has other than H inputs.
    """
    if is_plain(program):
        return dict(given)
    return _Wide(program, given).parameters()


def units(program: Program, given: Mapping[str, Array]) -> int:
    """Return H of a layer with these parameters, of which biases may be absent."""
    shapes = [given[p.name].shape if p.name in given else (0, 0) for p in program.parameters]
    return program.widths(shapes)[0]


class _Wide:
    """Makes the blocks of rows, a gate each."""

    def __init__(self, program: Program, given: Mapping[str, Array]) -> None:
        self.program, self.given, self.plain = program, given, plain(program)
        self.own = {parameter.name for parameter in program.parameters}
        self.like = next(iter(given.values())) if given else np.zeros(0)
        self.hidden = units(program, given)
        if self.hidden * self.hidden * len(self.plain.gates) > _MOST:
            raise InputError(
                f"cell {program.cell}: matrices of {self.hidden} units that are not read whole "
                f"would be of more than {_MOST} numbers: choose fewer units"
            )
        raw = self.hidden if any(n.op == "raw" for n in program.nodes) else 0
        of_input = ("weight_ih", "weight_ih_masked", "fixed_ih")
        weight = next((given[n] for n in of_input if n in given), None)
        self.features = raw if weight is None else int(weight.shape[1])
        if raw and self.features != raw:
            raise InputError(
                f"cell {program.cell}: x.raw is the input itself, a number for each unit: expected "
                f"{raw} features, as many as units, received {self.features}: choose an input_size "
                "of hidden_size, or read it through a gate"
            )

    def parameters(self) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for parameter in self.plain.parameters:
            name = parameter.name
            kind, _, product = name.partition("_")
            if kind in ("weight", "bias") and product in ("ih", "hh"):
                make = self._rows if kind == "weight" else self._bias
                if kind == "bias" and f"bias_{product}" not in self.given:
                    if name not in self.own and self.program.option("bias"):  # raw, or all fixed
                        found[name] = self._zeros(self.hidden * len(self.plain.span(product)))
                    continue
                found[name] = self._join([make(g, product) for g in self.plain.span(product)])
            else:
                found[name] = self.given[name]
        return found

    def _rows(self, gate: str, product: str) -> Array:
        """The rows of a gate in a matrix, (H, columns)."""
        own, form = split_gate(gate)
        if product == "hh":
            return self._part(own, "hh") if not form else self._formed(own, form)
        if form in ("ih/masked", "ih/fixed") and form[3:] not in dict(self.program.inputs):
            width = self.features + self.program.further
            return self._beside(0, self._given_form(own, form), width)
        width = self.features + self.program.further
        if not form:
            return self._beside(0, self._part(own, "ih"), width)
        if form == "raw" and not own:
            return self._beside(0, self._constant(np.eye(self.hidden)), width)
        first = self.features
        for name, size in self.program.inputs:
            if form == f"ih/{name}":
                return self._beside(first, self._part(own, form), width)
            if form == name:
                return self._beside(first, self._constant(np.ones((self.hidden, 1))), width)
            first += size
        raise AssertionError(gate)

    def _bias(self, gate: str, product: str) -> Array:
        """The bias of a gate, once: of x.f where the equations read that, else of x.NAME.f."""
        own = split_gate(gate)[0]
        every, plain_gates = self.program.biased_gates(product), self.plain.span(product)
        fixed = f"{product}/fixed"
        same = [g for g in plain_gates if split_gate(g) != (own, fixed) and split_gate(g)[0] == own]
        if not own or gate not in same or (product == "ih" and same[0] != gate):
            return self._zeros(self.hidden)
        start = every.index(own) * self.hidden
        return self.given[f"bias_{product}"][start : start + self.hidden]

    def _part(
        self, gate: str, product: str, suffix: str = "", rows: int = 0, *, name: str = ""
    ) -> Array:
        """The rows of a gate in a parameter as it was given."""
        names = [n for n in self.program.gates if n in self._gates(product)]
        size = rows or self.hidden
        start = names.index(gate) * size
        name = name or f"weight_{product.replace('/', '_')}{suffix}"
        return self.given[name][start : start + size]

    def _gates(self, product: str) -> set[str]:
        nodes = [n for n in self.program.nodes if n.op == "affine" and n.name == product]
        full = {p.name: p.axes for p in self.program.parameters}.get(f"weight_{product}")
        if full is not None and full[0] == "GH":
            return set(self.program.gates)
        return {gate for node in nodes for gate in node.gates}

    def _formed(self, gate: str, product: str) -> Array:
        """A matrix (H, H) of another form."""
        kind, count = form_of(product)
        if kind in GIVEN_FORMS:
            return self._given_form(gate, product)
        units = np.arange(self.hidden)
        if kind == "rank":
            return self._part(gate, product, "_left") @ self._part(gate, product, "_right", count)
        part = self._part(gate, product)
        if kind == "heads":
            size = self.hidden // count
            mask = units[:, None] // size == units // size
            return self._join([part] * count, axis=1) * self._constant(mask)
        if kind in ("lower", "upper"):
            mask = units[:, None] >= units if kind == "lower" else units[:, None] <= units
            return part * self._constant(mask)
        above = part * self._constant(units[:, None] < units)
        return above - above.swapaxes(0, 1)

    def _given_form(self, gate: str, product: str) -> Array:
        """A matrix that is fixed, or has a mask."""
        if product.endswith("fixed"):
            return self._part(gate, product, name=f"fixed_{product[:2]}")
        mask = self._part(gate, product, name=f"mask_{product[:2]}")
        return self._part(gate, product) * mask

    def _beside(self, first: int, block: Array, width: int) -> Array:
        """The block from column `first` on, zeros in the others."""
        before, after = first, width - first - int(block.shape[1])
        parts = [self._zeros(self.hidden, before), block, self._zeros(self.hidden, after)]
        return self._join([part for part in parts if part.shape[1]], axis=1)

    def _zeros(self, *shape: int) -> Array:
        return self._constant(np.zeros(shape))

    def _constant(self, values: np.ndarray) -> Array:
        if isinstance(self.like, np.ndarray):
            return values.astype(self.like.dtype)
        return self.like.new_tensor(values.astype(np.float64))

    def _join(self, parts: list[Array], axis: int = 0) -> Array:
        if len(parts) == 1:
            return parts[0]
        if isinstance(self.like, np.ndarray):
            return np.concatenate(parts, axis)
        return importlib.import_module("torch").cat(parts, axis)
