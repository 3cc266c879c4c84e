"""When a kernel computes what: the segments of a step, and what it keeps in memory.

A row node waits for all threads, so it ends a segment. Within a segment values live in registers;
a value a later segment reads has a slot in memory, and so has what the backward pass cannot
recompute from states and other slots.
"""

from dataclasses import dataclass

from recurra.cells.derive import LEAVES, ROWS, Derived, NoKernelError

#: Computed anew in the backward pass where their arguments are at hand, instead of kept.
CHEAP = ("add", "sub", "mul", "neg", "normalize", "mean", "total")


@dataclass(frozen=True)
class Segment:
    """Part of a step: products first, then pointwise work on each unit, then sums over rows.

    Attributes:
        level: how many synchronisations come before it in the step.
        space: "H" or "P", the units it works on.
        products: row nodes "u", "proj", "ut", "projt" whose values it reads, in order.
        rows: "moments" or "sums" nodes that it prepares.
    """

    level: int
    space: str
    products: tuple[int, ...]
    rows: tuple[int, ...]


class Schedule:
    """The segments forward and backward of a step, and the slots of both.

    Attributes:
        kept: forward nodes with a slot; `crossing` are those inference needs too.
        slots: backward nodes with a slot, by space: first the `final` ones, that are there when the
            step is done. One slot order serves several products, each of which finds its gates
            side by side (`span`).
        places: where in memory each of the slots is.
    """

    def __init__(self, step: Derived, *, keep_visible: bool = True) -> None:
        self.step, self.nodes, self._keep_visible = step, step.graph.nodes, keep_visible
        self.x = {i for i, n in enumerate(self.nodes) if n.op == "x"}
        self.level: list[int] = []
        self.space: list[str] = []
        self._place()
        self.fresh = {index: s for s, index in reversed(list(enumerate(step.fresh.values())))}
        self.crossing = self._crossing()
        self.backward = self._reachable(self._roots(), step.forward)
        self.kept = self._kept()
        self.forward_segments = self._segments(range(step.forward))
        self.backward_segments = self._segments(sorted(self.backward))
        self._read: dict[int, int] = {}
        self.slots = self._slots()
        self.places = {space: self._places(space) for space in self.slots}

    def span(self, gradients: tuple[int, ...], space: str) -> int:
        """Return the first of the neighbouring slots that hold these gradients in this order."""
        slots = self.slots[space]
        for first in range(len(slots) - len(gradients) + 1):
            if set(slots[first : first + len(gradients)]) == set(gradients) and len(
                set(gradients)
            ) == len(gradients):
                return first
            if slots[first : first + len(gradients)] == gradients:
                return first
        raise NoKernelError("the gradients of a product have no neighbouring slots")

    def hoisted(self, index: int) -> bool:
        """Whether a node is the moments of the whole input product, for many steps at once."""
        node = self.nodes[index]
        return node.op == "moments" and not node.name and set(node.args) == self.x

    def from_forward(self, index: int) -> bool:
        """Whether a node of the backward half depends on forward values alone."""
        node = self.nodes[index]
        if index < self.step.forward or node.op == "constant":
            return True
        return node.op in CHEAP and all(self.from_forward(a) for a in node.args)

    def _place(self) -> None:
        projected: set[str] = set()
        while True:
            self.level, self.space = [], []
            for index in range(len(self.nodes)):
                self._place_node(index, projected)
            self._delay_gradients()
            self._delay_cheap()
            found = {s for s, i in self.step.fresh.items() if self.space[i] == "P"}
            if found == projected:
                return self._check_projection(projected)
            projected = found

    def _check_projection(self, projected: set[str]) -> None:
        """Refuse what has not the shapes of a layer, whose first state alone is projected."""
        step = self.step
        projects = any(not p.gates for p in step.products)
        if projected != {s for s in step.program.states[:1] if projects}:
            raise NoKernelError("a projection is of the first state, and of no other")
        for product in step.products:
            argument = product.argument
            fits = self.space[argument] == "H"
            if product.gates and projects:
                fits = self.space[argument] == "P" and self.nodes[argument].op == "old"
            if not fits:
                raise NoKernelError("a product beside a projection is not of the output")

    def _delay_gradients(self) -> None:
        """Take dL/d(state) from memory where it is first used, not at the step's beginning."""
        used: dict[int, int] = {}
        for index, node in enumerate(self.nodes):
            for arg in node.args:
                if self.nodes[arg].op == "grad":
                    level = self.level[index] - (node.op in ROWS)
                    used[arg] = min(used.get(arg, level), level)
                    if (direct := self.step.direct.get(self.nodes[arg].name)) is not None:
                        # Its place in memory is where dL/d(old state) goes: read, then written.
                        used[arg] = min(used[arg], self.level[direct])
        for index, level in used.items():
            self.level[index] = level

    def _delay_cheap(self) -> None:
        """Compute what is cheap where it is first used: it may be kept there, and not before."""
        used: dict[int, int] = {}
        states = set(self.step.fresh.values())
        for index in reversed(range(self.step.forward)):
            node = self.nodes[index]
            if node.op in CHEAP and index not in states:
                self.level[index] = used.get(index, self.level[index])
            for arg in node.args:
                level = self.level[index] - (node.op in ROWS)
                used[arg] = min(used.get(arg, level), level)

    def _place_node(self, index: int, projected: set[str]) -> None:
        node, step = self.nodes[index], self.step
        args = node.args
        backward = index >= step.forward
        levels = [0 if backward and a < step.forward else self.level[a] for a in args]
        level = max(levels, default=0)
        argument = self.nodes[args[0]] if args else None
        waits = node.op in ROWS
        if node.op == "u" and argument and argument.op == "old":
            waits = False  # old states are complete when the step begins
        if self.hoisted(index):
            waits = False
        spaces = {self.space[a] for a in args if self.nodes[a].op not in ("constant", "weight")}
        space = "P" if "P" in spaces else "H"
        if node.op in ("old", "grad"):
            space = "P" if node.name in projected else "H"
        elif node.op in ("u", "projt"):
            space = "H"
        elif node.op == "proj":
            space = "P"
        elif node.op == "ut":
            space = self.space[step.products[int(node.value)].argument]
        elif len(spaces) > 1:
            raise NoKernelError("units before and after a projection meet in one operation")
        elif space == "P" and any(self.nodes[a].op in ("weight", "moments") for a in args):
            raise NoKernelError("projected units have a norm or a peephole")
        self.level.append(level + waits)
        self.space.append(space)

    def _crossing(self) -> set[int]:
        """The forward values that a later segment needs, and cannot cheaply compute anew."""
        crossing: set[int] = set()
        for index in range(self.step.forward):
            node = self.nodes[index]
            for arg in node.args:
                if node.op in ("u", "proj"):
                    if self.nodes[arg].op != "old":
                        crossing.add(arg)
                elif self.level[arg] < self.level[index] - (node.op == "moments"):
                    self._cross(arg, crossing)
        return crossing

    def _cross(self, index: int, crossing: set[int]) -> None:
        node = self.nodes[index]
        if node.op in LEAVES or node.op == "moments" or index in self.fresh or index in crossing:
            return
        if node.op in CHEAP:
            for arg in node.args:
                self._cross(arg, crossing)
        else:
            crossing.add(index)

    def _roots(self) -> list[int]:
        step = self.step
        roots = [*step.inputs.values(), *step.direct.values(), *step.weights.values()]
        for product in step.products:
            roots += product.gradients
        return roots

    def _reachable(self, roots: list[int], start: int) -> set[int]:
        found: set[int] = set()
        pending = list(roots)
        while pending:
            index = pending.pop()
            if index >= start and index not in found:
                found.add(index)
                pending.extend(self.nodes[index].args)
        return found

    def _kept(self) -> tuple[int, ...]:
        step = self.step
        needed = {
            a
            for index in (*self.backward, *self._roots())
            for a in (*self.nodes[index].args, index)
            if a < step.forward
        }
        needed |= {p.argument for p in step.products}
        kept = set(self.crossing)
        if self._keep_visible:
            kept |= {i for i in step.visible.values() if not self._at_hand(i, set())}
        dear = {i for i in needed if self.nodes[i].op not in CHEAP}
        kept |= {i for i in dear if not self._at_hand(i, kept)}
        for index in sorted(needed - dear):
            if not self._at_hand(index, kept):
                kept.add(index)
        return tuple(sorted(kept))

    def _at_hand(self, index: int, kept: set[int] | tuple[int, ...]) -> bool:
        """Whether the backward pass can have a forward value without a slot of its own."""
        node = self.nodes[index]
        if index in kept or index in self.fresh or node.op == "moments":
            return True
        if node.op in ("old", "weight", "constant"):
            return True
        if node.op in ("x", "u", "proj"):
            return False
        if node.op not in CHEAP and not all(self._of_states(a) for a in node.args):
            return False
        return all(self._at_hand(a, kept) for a in node.args)

    def _of_states(self, index: int) -> bool:
        """Whether a forward value is cheap to have from the states alone."""
        node = self.nodes[index]
        if index in self.fresh or node.op in ("old", "weight", "constant", "moments"):
            return True
        return node.op in CHEAP and all(self._of_states(a) for a in node.args)

    def _segments(self, indices: object) -> tuple[Segment, ...]:
        places: dict[tuple[int, str], tuple[list[int], list[int]]] = {}
        for index in indices:  # type: ignore[attr-defined]
            node = self.nodes[index]
            if node.op in ("old", "x", "weight", "constant"):
                if index in self.kept or index in self.fresh:
                    places.setdefault((0, self.space[index]), ([], []))
                continue
            if index >= self.step.forward and self.from_forward(index):
                continue
            level, space = self.level[index], self.space[index]
            if node.op in ("moments", "sums"):
                if self.hoisted(index):
                    continue
                places.setdefault((level - 1, space), ([], []))[1].append(index)
                continue
            products, _ = places.setdefault((level, space), ([], []))
            if node.op in ROWS:
                products.append(index)
        return tuple(
            Segment(level, space, tuple(products), tuple(rows))
            for (level, space), (products, rows) in sorted(places.items())
        )

    def _slots(self) -> dict[str, tuple[int, ...]]:
        step = self.step
        inputs = tuple(step.inputs.values())
        recurrent = [p.gradients for p in step.products if p.gates]
        shared = [g for r in recurrent for g in r if g in inputs]
        order: list[int] = []
        for gradients in recurrent:
            order += [g for g in gradients if g not in inputs]
            order += [g for g in gradients if g in inputs]
        order += [g for g in inputs if g not in shared]
        slots = {"H": list(dict.fromkeys(order)), "P": []}
        for group in (*recurrent, inputs):
            slots["H"] = self._beside(slots["H"], group)
        for product in step.products:
            if not product.gates:
                slots["P"] += product.gradients
            if self.nodes[product.argument].op != "old":
                slots["H"].append(product.argument)
        self.final = {space: len(found) for space, found in slots.items()}
        for index in sorted(self.backward):
            node = self.nodes[index]
            level = self.level[index] - (node.op in ROWS)
            for arg in node.args:
                self._hand_on(arg, level, slots)
        return {space: tuple(found) for space, found in slots.items()}

    def _hand_on(self, index: int, level: int, slots: dict[str, list[int]]) -> None:
        """Give a slot to what a backward node on this level needs of an earlier one."""
        node, space = self.nodes[index], self.space[index]
        if index not in self.backward or node.op == "sums" or self.level[index] >= level:
            return
        if self.from_forward(index) or index in slots[space][: self.final[space]]:
            return
        others = [a for a in node.args if self.nodes[a].op not in ("weight", "constant")]
        if node.op in CHEAP and len(others) == 1:  # as soon computed anew as read
            return self._hand_on(others[0], level, slots)
        if index not in slots[space]:
            slots[space].append(index)
        self._read[index] = max(level, self._read.get(index, 0))

    def _places(self, space: str) -> tuple[int, ...]:
        """Where in memory slots are: what is handed on is where a gradient will be written last."""
        slots, final = self.slots[space], self.final[space]
        free = {
            place: self.level[index]
            for place, index in enumerate(slots[:final])
            if index >= self.step.forward and not self.from_forward(index)
        }
        taken: dict[int, int] = {}
        places = list(range(final))
        for index in sorted(slots[final:], key=lambda i: (self.level[i], i)):
            fits = [
                place
                for place, until in free.items()
                if self._read[index] <= until and taken.get(place, -1) <= self.level[index]
            ]
            place = min(fits, default=max([final - 1, *taken]) + 1)
            free.setdefault(place, len(self.nodes))
            taken[place] = self._read[index]
            places.append(place)
        handed = sorted(slots[final:], key=lambda i: (self.level[i], i))
        by_node = dict(zip(handed, places[final:], strict=True))
        return (*places[:final], *(by_node[i] for i in slots[final:]))

    @staticmethod
    def _beside(slots: list[int], group: tuple[int, ...]) -> list[int]:
        """Return the slots, with the group once more at the end where it is not side by side."""
        for first in range(len(slots) - len(group) + 1):
            window = slots[first : first + len(group)]
            if sorted(window) == sorted(group) and len(set(group)) == len(group):
                return slots
        return slots + list(group)
