"""C++ of a cell: its pointwise segments as functions, and its plan as a table.

The text is meant to be read. What it means is defined by `native/ports.h` (what a segment reads
and writes) and `native/plan.h` (how segments and products make up a step).
"""

from collections import Counter
from dataclasses import replace

from recurra.cells.derive import NoKernelError, derive
from recurra.cells.graph import Program, prune
from recurra.cells.layout import Layout
from recurra.cells.schedule import Schedule, Segment

__all__ = ["NoKernelError", "header", "key", "own"]

_INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}
#: How many of a node's arguments are values, and not rows.
_VALUES = {
    **{"normalize": 1, "denormalize": 2},
    **dict.fromkeys(("mean", "total", "mean_gradient", "total_gradient"), 0),
}


def key(program: Program) -> str:
    """Return the name of the program's kernels: the cell, then what is not its default."""
    parts = [program.cell]
    for name, value in program.options:
        if name in ("activation", "recurrent_activation"):
            usual = "tanh" if name == "activation" else "sigmoid"
            if value != usual:
                parts.append(str(value) if name == "activation" else f"by_{value}")
        elif name != "bias" and value is True:
            parts.append(name)
        elif name != "bias" and isinstance(value, str) and value != "after":
            parts.append(value)
    return "_".join(parts)


def header(program: Program) -> str:
    """Return the C++ header of a program that comes compiled, with the names of its equations.

    Raises:
        NoKernelError: kernels do not compute these equations, which says why.
    """
    name = key(program)
    return (
        f"// {name}: generated from the equations of the cell {program.cell!r}. Do not edit.\n"
        f'#pragma once\n#include "plan.h"\n\n{_namespace(program, name, readable=True)}'
    )


def own(program: Program) -> str:
    """Return the C++ of any program, in namespace `own`.

    Nothing in it comes from a name that somebody chose: equal equations have equal text. Programs
    with and without biases have the same kernels, which take null for a bias. What is only to be
    looked at is left out; what is kept anyway is named by its place in `program.visible`.

    Raises:
        NoKernelError: as `header`.
    """
    program = program.biased()
    nodes, renamed = prune(program.nodes, program.next, norms=False)
    states = tuple(renamed[index] for index in program.next)
    seen = tuple((str(n), renamed[i]) for n, (_, i) in enumerate(program.visible) if i in renamed)
    program = replace(program, nodes=nodes, next=states, visible=seen)
    return _namespace(program, "own", readable=False)


def _namespace(program: Program, name: str, *, readable: bool) -> str:
    step = derive(program)
    schedule = Schedule(step, keep_visible=readable)
    writer = _Writer(step, schedule, readable=readable)
    writer.check_size()
    functions, plan = writer.functions(), writer.plan(name)
    return (
        f"namespace RECURRA_NAMESPACE::{name} {{\n\n{functions}\n{plan}\n"
        f"}}  // namespace RECURRA_NAMESPACE::{name}\n"
    )


class _Writer(Layout):
    """The functions of a cell."""

    @property
    def bounded(self) -> bool:
        """Whether values may be no numbers in padding, where all that is read is 0."""
        return any(node.op in ("div", "log", "mean", "total") for node in self.nodes)

    def functions(self) -> str:
        """Return the pointwise segments, forward and then backward."""
        text = [
            self._function(f"forward_{n}", segment, backward=False)
            for n, segment in enumerate(self.schedule.forward_segments)
        ]
        text += [
            self._function(f"backward_{n}", segment, backward=True)
            for n, segment in enumerate(self.schedule.backward_segments)
        ]
        return "\n".join(text)

    def _function(self, name: str, segment: Segment, *, backward: bool) -> str:
        stores = self._stores(segment, backward=backward)
        body = _Body(self, segment, backward=backward)
        lines = body.lines([root for root, _, _ in stores])
        sums = []
        for root, form, condition in stores:
            text = form.format(body.text(root))
            if text.startswith("+"):
                sums.append(text[1:].split("|"))
                text = f"d{len(sums) - 1} += {sums[-1][1]};"
            lines.append(f"if constexpr (Keep) {text}" if condition else text)
        lines += [body.row(row) for row in segment.rows]
        template = "template <class V>" if backward else "template <class V, bool Keep>"
        out = [f"{template}\nvoid {name}(const Ports<V>& ports) {{", "  const Ports<V> p = ports;"]
        if sums:
            out.append("  V " + ", ".join(f"d{n} = V{{}}" for n in range(len(sums))) + ";")
        out.append("  for (long b = 0; b < p.rows; ++b) {")
        out += [f"    {line}" for line in lines]
        out.append("  }")
        out += [f"  {target.format(f'd{n}')}" for n, (target, _) in enumerate(sums)]
        return "\n".join([*out, "}\n"])

    def _stores(self, segment: Segment, *, backward: bool) -> list[tuple[int, str, bool]]:
        step, schedule = self.step, self.schedule
        stores: list[tuple[int, str, bool]] = []

        def here(index: int) -> bool:
            if backward and (index < step.forward or schedule.from_forward(index)):
                return segment == self._home
            return (schedule.level[index], schedule.space[index]) == (segment.level, segment.space)

        if not backward:
            for slot, index in enumerate(schedule.kept):
                if here(index) or (self.nodes[index].op == "x" and segment.level == 0):
                    text = f"p.keep(b, {slot}, {{}});"
                    stores.append((index, text, index not in schedule.crossing))
            for number, index in enumerate(step.fresh.values()):
                if here(index):
                    stores.append((index, f"p.set_fresh(b, {number}, {{}});", False))
            return stores
        for slot, index in enumerate(self.slots[segment.space]):
            if here(index):
                place = schedule.places[segment.space][slot]
                value = "p.units({})" if self.bounded else "{}"
                stores.append((index, f"p.set_slot(b, {place}, {value});", False))
                if segment.space == "H" and any(s == slot for _, _, s in self.biases):
                    stores.append((index, f"+p.add_bias({slot}, {{{{}}}});|{{}}", False))
        for state, index in step.direct.items():
            if here(index):
                text = f"p.set_direct(b, {self.states.index(state)}, {{}});"
                stores.append((index, text, False))
        for weight, index in step.weights.items():
            if here(index):
                number = self.weights.index(weight)
                stores.append((index, f"+p.add_weight({number}, {{{{}}}});|{{}}", False))
        return stores

    @property
    def _home(self) -> Segment:
        """The segment where the backward pass computes what depends on forward values alone."""
        return next(s for s in self.schedule.backward_segments if s.space == "H")


class _Body:
    """The statements of one segment: a line for what is named or used twice, the rest inline."""

    def __init__(self, writer: _Writer, segment: Segment, *, backward: bool) -> None:
        self.writer, self.segment, self.backward = writer, segment, backward
        self.nodes, self.schedule = writer.nodes, writer.schedule
        self.known: dict[int, str] = {}
        self.uses: Counter[int] = Counter()

    def lines(self, roots: list[int]) -> list[str]:
        """Return the declarations that the roots and the segment's row nodes need, in order."""
        wanted = [*roots]
        for row in self.segment.rows:
            wanted += self.nodes[row].args
        visited: set[int] = set()

        def visit(index: int) -> None:
            self.uses[index] += 1
            if index not in visited:
                visited.add(index)
                if self._leaf(index) is None:
                    for arg in self._args(index):
                        visit(arg)

        for root in wanted:
            visit(root)
        lines = []
        for index in sorted(visited):
            leaf = self._leaf(index)
            constant = self.nodes[index].op == "constant"
            named = index in self.writer.names or self.uses[index] > 1
            if not constant and (named or index in wanted):
                text = leaf if leaf is not None else self._expression(index)
                name = self._name(index)
                lines.append(f"const V {name} = {text};")
                self.known[index] = name
        return lines

    def text(self, index: int, above: int = 0) -> str:
        """Return the expression of a node, in brackets where the operator above binds stronger."""
        if index in self.known:
            return self.known[index]
        leaf = self._leaf(index)
        if leaf is not None:
            return leaf
        text = self._expression(index)
        weak = _INFIX.get(self.nodes[index].op, ("", 9))[1] <= above
        return f"({text})" if weak else text

    def row(self, index: int) -> str:
        """Return the statement that prepares the sums of a row node."""
        number = self.segment.rows.index(index)
        form = "p.units({})" if self.writer.bounded else "{}"
        args = ", ".join(form.format(self.text(a)) for a in self.nodes[index].args)
        node = self.nodes[index]
        return f"p.{'largest' if node.name == 'largest' else node.op}(b, {number}, {{{args}}});"

    def _args(self, index: int) -> tuple[int, ...]:
        node = self.nodes[index]
        count = _VALUES.get(node.op, len(node.args))
        return node.args[:count]

    def _name(self, index: int) -> str:
        writer, op = self.writer, self.nodes[index].op
        if index in writer.names:
            return writer.names[index]
        if index in writer.deltas:
            return writer.deltas[index]
        if op == "grad" and writer.readable:
            return f"d_{self.nodes[index].name}"
        return f"v{index}"

    def _leaf(self, index: int) -> str | None:
        writer, schedule, node = self.writer, self.schedule, self.nodes[index]
        step = writer.step
        here = (self.segment.level, self.segment.space)
        mine = (schedule.level[index], schedule.space[index]) == here
        match node.op:
            case "constant":
                return f"splat<V>({node.value!r})"
            case "weight":
                return f"p.weight({writer.weights.index(node.name)})"
            case "old":
                return f"p.old(b, {writer.states.index(node.name)})"
            case "x" if not self.backward:
                return f"p.x(b, {list(step.inputs).index(node.name)})"
        forward = index < step.forward
        if forward and (self.backward or not mine):
            if index in schedule.fresh:
                return f"p.fresh(b, {schedule.fresh[index]})"
            if index in schedule.kept and (self.backward or index in schedule.crossing):
                return f"p.kept(b, {schedule.kept.index(index)})"
            return None
        if node.op in ("u", "proj", "ut", "projt") and mine:
            return f"p.u(b, {self._place(index)})"
        if node.op == "grad" and mine:
            return f"p.grad(b, {writer.states.index(node.name)})"
        slots = writer.slots[self.segment.space]
        if not (forward or mine or schedule.from_forward(index)) and index in slots:
            return f"p.slot(b, {schedule.places[self.segment.space][slots.index(index)]})"
        return None

    def _place(self, index: int) -> int:
        place = 0
        seen: list[int] = []
        for other in self.segment.products:
            number = self.writer.product_number(other)
            if number not in seen:
                seen.append(number)
        target = self.writer.product_number(index)
        for number in seen:
            product = self.writer.step.products[number]
            if number == target:
                return place + (0 if self.backward else product.outputs.index(index))
            place += 1 if self.backward else len(product.outputs)
        raise AssertionError(index)

    def _expression(self, index: int) -> str:
        node = self.nodes[index]
        if node.op in _INFIX:
            sign, strength = _INFIX[node.op]
            left = self.text(node.args[0], strength - 1)
            right = self.text(node.args[1], strength if sign in "-/" else strength - 1)
            return f"{left} {sign} {right}"
        if node.op == "neg":
            return f"-{self.text(node.args[0], 9)}"
        args = ", ".join(self.text(a) for a in self._args(index))
        if node.op == "normalize":
            return f"p.normalize(b, {self.writer.moments.index(node.args[1])}, {args})"
        if node.op in ("mean", "total"):
            return f"p.row_{node.op}(b, {self.writer.moments.index(node.args[0])})"
        if node.op in ("mean_gradient", "total_gradient"):
            return f"p.{node.op}(b, {self.writer.moments.index(node.args[1])})"
        if node.op == "denormalize":
            number = self.writer.moments.index(node.args[3])
            return f"p.denormalize(b, {number}, {args})"
        return f"{node.op}({args})"
