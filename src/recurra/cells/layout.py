"""The plan of a cell's kernels: a table in C++, and the numbers that functions and table share."""

from collections.abc import Iterable

from recurra.cells.derive import Derived, NoKernelError
from recurra.cells.limits import LIMITS
from recurra.cells.schedule import Schedule, Segment

#: What arrays of a type of C++ are called.
_ARRAYS = {
    **{"int": "numbers", "const char* const": "names", "RowSum": "sums", "Product": "products"},
    **{"Vectored": "vectors", "Bias": "biases", "Segment<V>": "segments", "Gradient": "gradients"},
}


class Layout:
    """Which number each state, gate, weight, moment and slot has; `plan` writes the table.

    Its rows are those of `Plan` in native/plan.h. Where it is `readable`, variables are called as
    in the equations, which takes names that mean nothing else in C++.
    """

    def __init__(self, step: Derived, schedule: Schedule, *, readable: bool) -> None:
        self.step, self.schedule, self.nodes = step, schedule, step.graph.nodes
        self.readable = readable
        self.states = step.program.states
        #: The gates that the rows of each product's matrix are of.
        self.rows = {name: step.program.span(name) for name in ("ih", "hh")}
        self.moments = [i for i, n in enumerate(self.nodes) if n.op == "moments"]
        self.weights = sorted({n.name for n in self.nodes if n.op == "weight"}, key=self._weight)
        self.slots = schedule.slots
        self.names = {i: n for n, i in step.visible.items()} if readable else {}
        self.deltas: dict[int, str] = {}
        if readable:
            self.deltas = {i: f"da_{g}" for g, i in step.inputs.items()}
            for product in step.products:
                for gate, gradient in zip(product.gates, product.gradients, strict=False):
                    self.deltas.setdefault(gradient, f"du_{gate}")
        normed = {w.split(".")[0] for w in self.weights}
        self.biases: list[tuple[str, int, int]] = []  # parameter, gate, slot
        if "norm_ih" not in normed:
            inputs = tuple(step.inputs.values())
            self._bias("bias_ih", tuple(step.inputs), inputs)
        if "norm_hh" not in normed:
            for product in step.products:
                if product.gates:
                    self._bias("bias_hh", product.gates, product.gradients)

    def _bias(self, name: str, gates: tuple[str, ...], gradients: tuple[int, ...]) -> None:
        for gate, gradient in zip(gates, gradients, strict=True):
            slot = self.slots["H"].index(gradient)
            product = name.removeprefix("bias_")
            self.biases.append((name, self.rows[product].index(gate), slot))

    def check_size(self) -> None:
        """Refuse what the fixed tables of the kernels have no place for."""
        step, schedule = self.step, self.schedule
        segments = schedule.forward_segments, schedule.backward_segments
        counts = {
            "max_gates": max(len(rows) for rows in self.rows.values()),
            "max_states": len(self.states),
            "max_parameters": len(step.program.listed),
            "max_rows": max(len(s.rows) for side in segments for s in side),
        }
        for name, (most, what) in LIMITS.items():
            if (count := counts[name]) > most:
                raise NoKernelError(f"{count} {what}, where kernels have at most {most}")

    def plan(self, name: str) -> str:
        """Return the table `plan` that the loop over time interprets, after those it points at."""
        self._arrays: dict[str, str] = {}  # by name, the declaration
        step, schedule = self.step, self.schedule
        forward = [self._segment(n, s, "forward") for n, s in enumerate(schedule.forward_segments)]
        backward = [
            self._segment(n, s, "backward") for n, s in enumerate(schedule.backward_segments)
        ]
        hoisted = [m for m in self.moments if schedule.hoisted(m)]
        projected = [str(int(schedule.space[i] == "P")) for i in step.fresh.values()]
        weights = ["{{{}, {}}}".format(*self._weight(w)) for w in self.weights]
        biases = [f"{{{2 + (n == 'bias_hh')}, {gate}, {slot}}}" for n, gate, slot in self.biases]
        names = {i: n for n, i in step.visible.items()}
        kept = [_quoted(names.get(i, "")) for i in schedule.kept]
        places = schedule.places["H"], schedule.places["P"]
        rows = [
            ("name", f'"{name}"'),
            ("states", f"{len(self.states)}"),
            ("gates", f"{{{len(self.rows['ih'])}, {len(self.rows['hh'])}}}"),
            ("x_gates", f"{{{self._gates(tuple(step.inputs), 'ih')}}}"),
            ("kept_names", self._array("const char* const", [*kept, "nullptr"])),
            ("kept", f"{len(schedule.kept)}"),
            ("slots", f"{{{', '.join(str(max(p, default=-1) + 1) for p in places)}}}"),
            ("moments", f"{len(self.moments)}"),
            ("x_moments", str(self.moments.index(hoisted[0]) if hoisted else -1)),
            (
                "normed",
                f"{{{int('norm_ih.' in '|'.join(self.weights))}, "
                f"{int('norm_hh.' in '|'.join(self.weights))}}}",
            ),
            ("projected", self._array("int", projected)),
            ("direct", self._array("int", [str(int(s in step.direct)) for s in self.states])),
            ("weights", self._table("Vectored", weights)),
            ("biases", self._table("Bias", biases)),
            ("forward", self._table("Segment<V>", forward)),
            ("backward", self._table("Segment<V>", backward)),
            ("incoming", self._table("Product", self._incoming())),
            ("gradients", self._table("Gradient", self._gradients())),
        ]
        body = "\n".join(f"    /* {label} */ {value}," for label, value in rows)
        arrays = "".join(f"{text}\n" for text in self._arrays.values())
        return f"{arrays}\ntemplate <class V>\ninline const Plan<V> plan = {{\n{body}\n}};\n"

    def _table(self, kind: str, items: list[str]) -> str:
        """A list of C++, whose items are an array beside the plan."""
        return f"{{{len(items)}, {self._array(kind, items)}}}"

    def _array(self, kind: str, items: list[str]) -> str:
        """The name of an array of these items, which is written once."""
        if not items:
            return "nullptr"
        template, begin = "", f"inline constexpr {kind}"
        if kind.endswith("<V>"):
            template, begin = "template <class V>\n", f"inline const {kind}"
        values = f"[] = {{{', '.join(items)}}};"
        for name, text in self._arrays.items():
            if text.startswith(f"{template}{begin} ") and text.endswith(f"{name}{values}"):
                return f"{name}<V>" if template else name
        word = _ARRAYS[kind]
        name = f"{word}_{len(self._arrays)}"
        self._arrays[name] = f"{template}{begin} {name}{values}"
        return f"{name}<V>" if template else name

    @property
    def _projected(self) -> str:
        """The gates of a projection, which has one."""
        return f"1, {self._array('int', ['0'])}"

    def _weight(self, name: str) -> tuple[int, int]:
        """The number of the parameter, and of the gate whose part of it this is (-1: all of it)."""
        parameter, _, gate = name.partition(".")
        number = self.step.program.listed.index(parameter)
        if gate:
            return number, self.rows[parameter.rpartition("_")[2]].index(gate)
        axes = {p.name: p.axes for p in self.step.program.parameters}[parameter]
        return number, -2 if axes == ("1",) else -1

    def _gates(self, gates: Iterable[str], product: str = "hh") -> str:
        numbers = [self.rows[product].index(g) for g in gates]
        return f"{len(numbers)}, {self._array('int', [str(n) for n in numbers])}"

    def _segment(self, number: int, segment: Segment, side: str) -> str:
        forward = side == "forward"
        products = dict.fromkeys(self.product_number(i) for i in segment.products)
        make = self._forward_product if forward else self._backward_product
        rows = [f"{{{self._moment(r)}, {self._width(r)}}}" for r in segment.rows]
        values = list(self.step.fresh.values()) if forward else self._state_gradients()
        here = (segment.level, segment.space)
        states = [
            str(state)
            for state, index in enumerate(values)
            if (self.schedule.level[index], self.schedule.space[index]) == here
        ]
        name = f"{side}_{number}<V"
        functions = f"{name}, false>, {name}, true>" if forward else f"{name}>, nullptr"
        tables = [
            self._table("Product", [make(n) for n in products]),
            self._table("RowSum", rows),
            self._table("int", states),
        ]
        return f"{{{segment.level}, {int(segment.space == 'P')}, {', '.join(tables)}, {functions}}}"

    def _state_gradients(self) -> list[int]:
        grads = {n.name: i for i, n in enumerate(self.nodes) if n.op == "grad"}
        return [grads[state] for state in self.states]

    def product_number(self, index: int) -> int:
        """Return which of the step's products a node is a value of, or flows back through."""
        node = self.nodes[index]
        if node.op == "proj":
            return next(n for n, p in enumerate(self.step.products) if index in p.outputs)
        return int(node.value)

    def _moment(self, row: int) -> int:
        node = self.nodes[row]
        return self.moments.index(row if node.op == "moments" else int(node.value))

    def _width(self, row: int) -> int:
        node = self.nodes[int(self.moments[self._moment(row)])]
        return 0 if node.name == "largest" else len(node.args)

    def _forward_product(self, number: int) -> str:
        product = self.step.products[number]
        argument = self.nodes[product.argument]
        state = self.states.index(argument.name) if argument.op == "old" else -1
        slot = -1 if state >= 0 else self.schedule.kept.index(product.argument)
        matrix = 1 if product.gates else 2
        gates = self._gates(product.gates) if product.gates else self._projected
        return f"{{{matrix}, {state}, {slot}, {gates}}}"

    def _backward_product(self, number: int) -> str:
        product = self.step.products[number]
        argument = self.nodes[product.argument]
        state = self.states.index(argument.name) if argument.op == "old" else -1
        if not product.gates:
            return (
                f"{{2, {state}, {self.slots['P'].index(product.gradients[0])}, {self._projected}}}"
            )
        first = self.schedule.span(product.gradients, "H")
        window = self.slots["H"][first : first + len(product.gates)]
        order = self._ordered(product.gates, product.gradients, window)
        return f"{{1, {state}, {first}, {self._gates(order)}}}"

    @staticmethod
    def _ordered(
        gates: tuple[str, ...], gradients: tuple[int, ...], window: tuple[int, ...]
    ) -> list[str]:
        if window == gradients:
            return list(gates)
        return [gates[gradients.index(g)] for g in window]

    def _incoming(self) -> list[str]:
        return [
            self._backward_product(n)
            for n, p in enumerate(self.step.products)
            if self.nodes[p.argument].op == "old"
        ]

    def _gradients(self) -> list[str]:
        """Products over time: matrix, state, slot of the argument, slot and gates of dL/dgate."""
        step = self.step
        gates = tuple(step.inputs)
        first = self.schedule.span(tuple(step.inputs.values()), "H")
        window = self.slots["H"][first : first + len(gates)]
        order = self._ordered(gates, tuple(step.inputs.values()), window)
        found = [f"{{0, -1, -1, {first}, {self._gates(order, 'ih')}}}"]
        for number, product in enumerate(step.products):
            argument = self.nodes[product.argument]
            slot = -1 if argument.op == "old" else self.slots["H"].index(product.argument)
            matrix, state, *rest = self._backward_product(number)[1:].split(", ", 2)
            found.append(f"{{{matrix}, {state}, {slot}, {rest[0]}")
        return found


def _quoted(text: str) -> str:
    """A literal of C++ that holds exactly this text, whatever is in it."""
    plain = (chr(c) if chr(c).isalnum() and c < 128 else f"\\{c:03o}" for c in text.encode())
    return f'"{"".join(plain)}"'
