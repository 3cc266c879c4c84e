"""The reference: a slow, obvious interpreter of a program over numpy or torch arrays.

Every fast path is tested against it, and it runs what no fast path covers. Over torch it is
differentiable by autograd; over numpy it is what runs a model where there is no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recurra.cells.graph import Node, Program, stored
from recurra.cells.matrices import plain
from recurra.matrices import plain_parameters, units
from recurra.reference.library import Array, library_of, pointwise

#: See `Interpreter.run`.
Tap = Callable[[Sequence[Array]], Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Run:
    """What a layer computed: outputs (T, B, R), final states, and by name what was recorded."""

    outputs: Array
    states: tuple[Array, ...]
    visible: dict[str, Array]


class Interpreter:
    """A program with its parameters, ready to run.

    Args:
        program: the traced cell.
        parameters: arrays by name, with the shapes of `program.parameters`; biases may be absent.
    """

    def __init__(self, program: Program, parameters: Mapping[str, Array]) -> None:
        self._library = library_of(next(iter(parameters.values())))
        self._parameters = plain_parameters(program, parameters)
        self.program = program = plain(program)
        self._affine = {
            index: self._select(node)
            for index, node in enumerate(program.nodes)
            if node.op == "affine"
        }
        # Split once: a property would walk the graph at every step.
        self._stepped = program.stepped
        timed = _after_input(program)
        self._over_time = [i for i in program.hoisted if i in timed]
        read = {a for i in self._stepped for a in program.nodes[i].args} | set(program.next)
        read |= {index for _, index in program.visible}
        self._read_later = [i for i in self._over_time if i in read]
        #: Nodes that are the same for every row: of parameters and numbers alone.
        self._alike = alike_in_rows(program)
        self._hidden = units(program, self._parameters)
        self._constants: dict[int, Array] = {}
        for index in program.hoisted:
            if index not in timed:
                node = program.nodes[index]
                values = [self._constants.get(i) for i in range(index)]
                self._constants[index] = self._compute(index, node, values, None, None)

    def run(
        self,
        x: Array,
        states: Sequence[Array],
        *,
        valid: Array | None = None,
        reverse: bool = False,
        recurrent_mask: Array | None = None,
        keep: Sequence[Array | float | None] | None = None,
        record: bool = False,
        tap: Tap | None = None,
        reset: Array | None = None,
        start: Sequence[Array] = (),
    ) -> Run:
        """Run the cell over time.

        Args:
            x: inputs (T, B, I).
            states: initial states (B, R) and (B, H), in the order of `program.states`.
            valid: booleans (T, B); where false the states pass unchanged and the output is zero.
            reverse: from the last step to the first; outputs stay at the place of their input.
            recurrent_mask: factors (B, R) on what enters a recurrent product, the same at every
                step (recurrent dropout, Gal & Ghahramani 2016).
            keep: per state None, or the share of the old state that stays (zoneout, Krueger et
                al. 2017): a number, or factors (T, B, H).
            record: also return every named value of the cell at every step, (T, B, H); zero where
                a step is not valid, and as the equations give it, before zoneout.
            tap: is called at every step that is computed, in their order, with the new states
                (after zoneout), and returns what outputs and later steps read in their place.
            reset: booleans (T, B): before which steps, by their place in `x`, the states of a row
                are replaced by its `start`, at steps that are not valid too.
            start: states as `states`; empty: zeros.
        """
        if valid is not None:  # whatever stands in the padding, even NaN, must not get through
            x = self._library.where(valid[..., None], x, self._library.zeros_like(x))
        return self.loop(
            self.hoist(x),
            x.shape[0],
            states,
            valid=valid,
            reverse=reverse,
            recurrent_mask=recurrent_mask,
            keep=keep,
            record=record,
            tap=tap,
            reset=reset,
            start=start,
        )

    def loop(
        self,
        hoisted: Mapping[int, Array],
        steps: int,
        states: Sequence[Array],
        *,
        valid: Array | None = None,
        reverse: bool = False,
        recurrent_mask: Array | None = None,
        keep: Sequence[Array | float | None] | None = None,
        record: bool = False,
        tap: Tap | None = None,
        reset: Array | None = None,
        start: Sequence[Array] = (),
    ) -> Run:
        """`run`, from what `hoist` made of the input."""
        library, current = self._library, tuple(states)
        if reset is not None and len(start) == 0:
            start = [library.zeros_like(s) for s in states]
        outputs: list[Array] = [None] * steps
        records: dict[str, list[Array]] = {n: [None] * steps for n, _ in self.program.visible}
        for t in range(steps - 1, -1, -1) if reverse else range(steps):
            if reset is not None:
                pairs = zip(start, current, strict=True)
                current = tuple(library.where(reset[t][:, None], s, c) for s, c in pairs)
            values = self.step({i: v[t] for i, v in hoisted.items()}, current, recurrent_mask)
            new = [values[index] for index in self.program.next]
            for k, index in enumerate(self.program.next):
                if index in self._alike:
                    new[k] = library.zeros_like(current[k]) + new[k]
            for k, rate in enumerate(keep or ()):
                if rate is not None:
                    share = rate if isinstance(rate, float) else rate[t]
                    new[k] = share * current[k] + (1 - share) * new[k]
            new = list(tap(new)) if tap else new
            outputs[t] = new[0]
            if valid is not None:
                here = valid[t][:, None]
                new = [library.where(here, n, old) for n, old in zip(new, current, strict=True)]
                outputs[t] = library.where(here, outputs[t], library.zeros_like(outputs[t]))
            current = tuple(new)
            for name, index in self.program.visible if record else ():
                value = values[index]
                if index in self._alike:
                    value = library.zeros_like(current[-1]) + value
                if valid is not None:
                    value = library.where(valid[t][:, None], value, library.zeros_like(value))
                records[name][t] = value
        if not steps:
            return Run(states[0][None][:0], current, {})
        visible = {n: library.stack(v) for n, v in records.items()} if record else {}
        return Run(library.stack(outputs), current, visible)

    def hoist(self, x: Array) -> dict[int, Array]:
        """Compute what depends on no state, for all of `x` (T, B, I).

        Returns by node index the values (T, B, ·) that the steps read. A row depends on its row of
        `x` alone, so that the rows of a table can be computed once and looked up.
        """
        values: list[Array] = [self._constants.get(i) for i in range(len(self.program.nodes))]
        for index in self._over_time:
            values[index] = self._compute(index, self.program.nodes[index], values, x, None)
        return {i: values[i] for i in self._read_later}

    def step(
        self, hoisted: Mapping[int, Array], states: Sequence[Array], recurrent_mask: Array | None
    ) -> list[Array]:
        """Compute one step from hoisted values of that step; return the value of every node."""
        values: list[Array] = [None] * len(self.program.nodes)
        for index, value in (*self._constants.items(), *hoisted.items()):
            values[index] = value
        by_name = dict(zip(self.program.states, states, strict=True))
        for index in self._stepped:
            node = self.program.nodes[index]
            if node.op == "state":
                values[index] = by_name[node.name]
            else:
                values[index] = self._compute(index, node, values, None, recurrent_mask)
        return values

    def _compute(
        self, index: int, node: Node, values: list[Array], x: Array, mask: Array | None
    ) -> Array:
        library = self._library
        args = [values[a] for a in node.args]
        match node.op:
            case "affine":
                return self._row(index, node, args[0] if args else x, mask)
            case "gate":
                source = self.program.nodes[node.args[0]]
                width = args[0].shape[-1] // len(source.gates)
                start = source.gates.index(node.name) * width
                return args[0][..., start : start + width]
            case "constant":
                return node.value
            case "weight":
                return self._parameters[f"peephole_{node.name}"]
            case "learnt":
                value = self._parameters[stored(node)]
                return self._library.repeated(value, self._hidden) if node.value else value
            case "mean" | "total" | "largest":
                return library.over_units[node.op](args[0])
            case "norm":
                normed = library.norm(args[0]) * self._parameters[f"norm_{node.name}"]
                bias = self._parameters.get(f"norm_{node.name}_bias")
                return normed if bias is None else normed + bias
            case "project":
                return library.linear(args[0], self._parameters["weight_hr"], None)
            case operation:
                return pointwise(library, operation, args)

    def _row(self, index: int, node: Node, value: Array, mask: Array | None) -> Array:
        weight, bias, gain = self._affine[index]
        if node.args and mask is not None:
            value = value * mask
        if not node.normed:
            return self._library.linear(value, weight, bias)
        product = self._library.norm(self._library.linear(value, weight, None)) * gain
        return product if bias is None else product + bias

    def _select(self, node: Node) -> tuple[Array, Array | None, Array | None]:
        """Weight, bias and norm gain of an affine node, cut to the gates it computes."""
        gates = self.program.span(node.name)
        found = (self._parameters.get(f"{kind}_{node.name}") for kind in ("weight", "bias", "norm"))
        weight, bias, gain = found
        if node.gates == gates:
            return weight, bias, gain

        def cut(array: Array) -> Array:
            width = array.shape[0] // len(gates)
            rows = [gates.index(g) * width for g in node.gates]
            return self._library.concatenate([array[r : r + width] for r in rows])

        return (
            cut(weight),
            None if bias is None else cut(bias),
            None if gain is None else cut(gain),
        )


def alike_in_rows(program: Program) -> set[int]:
    """Return the nodes that read neither the input nor a state."""
    found: set[int] = set()
    for index, node in enumerate(program.nodes):
        own = node.op == "state" or (node.op == "affine" and not node.args)
        if not own and all(a in found for a in node.args):
            found.add(index)
    return found


def _after_input(program: Program) -> set[int]:
    """Nodes that depend on the input at a step."""
    found: set[int] = set()
    for index, node in enumerate(program.nodes):
        if (node.op == "affine" and not node.args) or any(a in found for a in node.args):
            found.add(index)
    return found
