"""Cells with random equations, each as a definition and as a step over torch, by number.

An equation is a tree: ("tanh", tree), ("add", tree, tree), ("gate", "x", "a") and so on. `define`
writes it with the words of `recurra.cells`, `Plain` evaluates it with torch's functions alone.
"""

import inspect
import random

import torch

from recurra import cells
from recurra.cells.definition import Cell

H = 6
_UNARY = ("tanh", "sigmoid", "softsign", "relu", "sin", "cos", "softplus", "abs", "square")
_RARE = ("decay", "root", "log", "mean", "total", "softmax", "floor", "hard_sigmoid", "neg")
_BINARY = ("add", "sub", "mul", "mul", "div", "maximum", "minimum")
_FORMS = ({}, {}, {}, {"heads": 2}, {"heads": 3}, {"rank": 2}, {"form": "lower"})
_FORMS += ({"form": "upper"}, {"form": "antisymmetric"})
#: Of cells from `_LATER` on: those before are as they were when faults showed in them.
_MORE = _FORMS + ({"form": "masked"}, {"form": "fixed"}) * 2
_LATER = 100000


def _mask(shape, random):
    return random.random(shape) < 0.6


class RandomCell:
    """The cell of a number: what it declares, and its equations as trees."""

    def __init__(self, number: int) -> None:
        self.draw = draw = random.Random(number)
        self.number = number
        self.states = [("h", 0.0), ("c", draw.choice((0.0, 1.0))), ("m", -0.5)]
        self.states = self.states[: draw.choice((1, 1, 2, 2, 3))]
        many = draw.random() < 0.15
        count = draw.randint(9, 12) if many else draw.randint(1, 4)
        self.gates = [f"g{n}" for n in range(count)]
        self.inputs = draw.choice(({}, {}, {"dt": 1}, {"s": 2}, {"dt": 1, "s": 3}))
        self.raw = draw.random() < 0.25
        self.learnt = draw.choice(({}, {"w": 0}, {"w": 0, "alpha": 1}))
        self.fixed = {"k": -1} if number >= _LATER and draw.random() < 0.5 else {}
        self.learnt = {**self.learnt, **self.fixed}
        self.forms = _MORE if number >= _LATER else _FORMS
        self.of_input = ("masked", "fixed") if number >= _LATER else ()
        self.products = 0
        self.most_products = draw.choice((1, 2, 3, 6))
        # A state that another equation already has may be read anew, as papers do.
        self.equations = {name: self.bounded(name) for name, _ in self.states}
        rest = [("gate", "x", gate) for gate in self.gates]
        rest += [("further", "s", self.gates[0])] if "s" in self.inputs else []
        rest += [("name", "dt")] if "dt" in self.inputs else []
        rest += [("learnt", name) for name in self.learnt]
        for tree in rest:  # so that all that is declared is read
            self.equations["h"] = ("add", self.equations["h"], ("scale", 0.1, ("tanh", tree)))
        self.features = (H if self.raw else 5) + sum(self.inputs.values())

    def bounded(self, name: str) -> tuple:
        """A new value that does not grow without end."""
        return (
            "add",
            ("scale", 0.5, ("state", name)),
            ("tanh", self.tree(self.draw.randint(2, 4))),
        )

    def tree(self, depth: int) -> tuple:
        draw = self.draw
        if depth == 0 or draw.random() < 0.1:
            return self.leaf()
        kind = draw.random()
        if kind < 0.22 and self.products < self.most_products:
            self.products += 1
            return (
                "product",
                draw.choice(self.forms),
                self.tree(draw.randint(0, depth - 1)),
                draw.choice(self.gates),
            )
        if kind < 0.5:
            return (draw.choice(_UNARY), self.tree(depth - 1))
        if kind < 0.6:
            return (draw.choice(_RARE), self.tree(depth - 1))
        if kind < 0.66:
            return ("where", *(self.tree(depth - 1) for _ in range(4)))
        if kind < 0.7:
            return ("before", self.tree(depth - 1))
        return (draw.choice(_BINARY), self.tree(depth - 1), self.tree(depth - 1))

    def leaf(self) -> tuple:
        draw = self.draw
        found = [("gate", "x", draw.choice(self.gates))] * 2
        found += [("state", draw.choice(self.states)[0])] * 2
        found += [("name", "dt")] if "dt" in self.inputs else []
        found += [("further", "s", draw.choice(self.gates))] if "s" in self.inputs else []
        found += [("name", "raw")] if self.raw else []
        found += [("learnt", draw.choice(list(self.learnt)))] if self.learnt else []
        found += [("formed", form, draw.choice(self.gates)) for form in self.of_input]
        found += [("number", draw.choice((0.5, -1.25, 2.0)))]
        return draw.choice(found)

    def cell(self) -> Cell:
        """The cell, which is not registered."""
        names = [name for name, _ in self.states]

        def define(x, u, *rest):
            return self._define(x, u, dict(zip(names, rest[:-1], strict=True)), rest[-1])

        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        arguments = [inspect.Parameter(name, plain) for name in ("x", "u", *names, "opt")]
        define.__signature__ = inspect.Signature(arguments)
        define.__name__ = f"random_{self.number}"
        return Cell(
            define,
            states=" ".join(f"{name}={start}" if start else name for name, start in self.states),
            gates=" ".join(self.gates),
            inputs=" ".join(["x", *(f"{name}:{size}" for name, size in self.inputs.items())]),
            learnt=" ".join(
                f"{n}:1" if one else n for n, one in self.learnt.items() if n not in self.fixed
            ),
            fixed=" ".join(self.fixed),
            init=self._draws(),
        )

    def _draws(self):
        """A mask for each product that the equations have one of."""
        said = str(self.equations)
        sides = {"hh": "{'form': 'masked'}", "ih": "'formed', 'masked'"}
        return {f"mask_{side}": _mask for side, text in sides.items() if text in said}

    def _define(self, x, u, states, opt):
        words = _Words(x, u, states, opt)
        return {name: words.of(tree) for name, tree in self.equations.items()}


class _Words:
    """A tree as a definition writes it."""

    def __init__(self, x, u, states, opt):
        self.x, self.u, self.states, self.opt = x, u, states, opt

    def of(self, tree):
        op, *args = tree
        match op:
            case "gate":
                return self.x[args[1]]
            case "further":
                return getattr(self.x, args[0])[args[1]]
            case "formed":
                return self.x(form=args[0])[args[1]]
            case "name":
                return getattr(self.x, args[0])
            case "state":
                return self.states[args[0]]
            case "learnt":
                return getattr(self.opt, args[0])
            case "number":
                return self.states["h"] * 0.0 + args[0]
            case "product":
                return self.u(self.of(args[1]), **args[0])[args[2]]
            case "scale":
                return args[0] * self.of(args[1])
        parts = [self.of(arg) for arg in args]
        match op:
            case "where":
                return cells.where(parts[0] > parts[1], *parts[2:])
            case "add" | "sub" | "mul" | "neg" | "abs" | "square":
                return _arithmetic(op, parts)
            case "div":
                return parts[0] / (parts[1] * parts[1] + 0.5)
            case "decay":
                return cells.exp(-abs(parts[0]))
            case "root" | "log":
                function = cells.sqrt if op == "root" else cells.log
                return function(parts[0] ** 2 + 0.5)
            case word:
                return getattr(cells, word)(*parts)


def _arithmetic(op, parts):
    match op:
        case "add":
            return parts[0] + parts[1]
        case "sub":
            return parts[0] - parts[1]
        case "mul":
            return parts[0] * parts[1]
        case "neg":
            return -parts[0]
        case "abs":
            return abs(parts[0])
        case _:
            return parts[0] ** 2


class Plain:
    """The same equations by a loop over time in torch, from the parameters of one direction."""

    def __init__(self, random_cell: RandomCell, program, parameters):
        self.cell, self.program, self.given = random_cell, program, parameters
        own = [n for n in program.nodes if n.op == "affine"]
        self.rows = {
            name: [g for g in program.gates if any(n.name == name and g in n.gates for n in own)]
            for name in {n.name for n in own}
        }

    def run(self, x, lengths=None, reverse=False):
        """Outputs (T, B, H) and the last states, in the program's order."""
        steps, batch, _ = x.shape
        order = [name for name, _ in self.cell.states]
        states = {n: x.new_full((batch, H), start) for n, start in self.cell.states}
        self.earlier, outputs = {}, [None] * steps
        for t in reversed(range(steps)) if reverse else range(steps):
            self.x, self.states, self.found = x[t], states, {}
            new = {name: self.of(tree) for name, tree in self.cell.equations.items()}
            here = torch.ones(batch, 1, dtype=torch.bool)
            if lengths is not None:
                here = (t < lengths)[:, None]
            outputs[t] = torch.where(here, new["h"], torch.zeros_like(new["h"]))
            states = {n: torch.where(here, new[n], states[n]) for n in order}
            for key, value in self.found.items():
                old = self.earlier.get(key, torch.zeros_like(value))
                self.earlier[key] = torch.where(here, value, old)
        return torch.stack(outputs), [states[n] for n in order]

    def product(self, name, gate, value):
        """A gate's part of a product, with its bias."""
        kind = name.partition("/")[2]
        stored = f"weight_{name.replace('/', '_')}"
        place = self.rows[name].index(gate)

        def block(parameter, size=H):
            return self.given[parameter][place * size : (place + 1) * size]

        if kind.startswith("rank"):
            matrix = block(f"{stored}_left") @ block(f"{stored}_right", int(kind[4:]))
        elif kind.startswith("heads"):
            matrix = torch.block_diag(*block(stored).split(H // int(kind[5:])))
        elif kind in ("lower", "upper"):
            matrix = block(stored).tril() if kind == "lower" else block(stored).triu()
        elif kind == "antisymmetric":
            above = block(stored).triu(1)
            matrix = above - above.T
        elif kind == "fixed":
            return value @ block(f"fixed_{name[:2]}").T
        elif kind == "masked":
            matrix = block(stored) * block(f"mask_{name[:2]}")
        else:
            matrix = block(stored)
        found = value @ matrix.T
        side = name[:2]
        gates = self.program.biased_gates(side)
        again = side == "ih" and kind and gate in self.rows.get("ih", ())
        if kind == "masked" and side == "ih":  # the first product of the gate has its bias
            again = again or any(gate in self.rows.get(f"ih/{n}", ()) for n in self.cell.inputs)
        if f"bias_{side}" in self.given and not again:
            start = gates.index(gate) * H
            found = found + self.given[f"bias_{side}"][start : start + H]
        return found

    def of(self, tree):
        op, *args = tree
        further, names = sum(self.cell.inputs.values()), list(self.cell.inputs)
        own = self.x[:, : self.x.shape[1] - further]
        places = self.x[:, self.x.shape[1] - further :].split(
            list(self.cell.inputs.values()), dim=1
        )
        match op:
            case "gate":
                return self.product("ih", args[1], own)
            case "formed":
                return self.product(f"ih/{args[0]}", args[1], own)
            case "further":
                return self.product(f"ih/{args[0]}", args[1], places[names.index(args[0])])
            case "name":
                value = own if args[0] == "raw" else places[names.index(args[0])]
                return value.expand(len(value), H)
            case "state":
                return self.states[args[0]]
            case "learnt":
                kind = "fixed" if args[0] in self.cell.fixed else "learnt"
                return self.given[f"{kind}_{args[0]}"].expand(len(self.x), H)
            case "number":
                return torch.full_like(self.states["h"], args[0])
            case "product":
                form = "".join(f"/{k}{v}" if k != "form" else f"/{v}" for k, v in args[0].items())
                return self.product(f"hh{form}", args[2], self.of(args[1]))
            case "scale":
                return args[0] * self.of(args[1])
            case "before":
                value = self.of(args[0])
                self.found[repr(args[0])] = value
                return self.earlier.get(repr(args[0]), torch.zeros_like(value))
        parts = [self.of(arg) for arg in args]
        match op:
            case "where":
                return torch.where(parts[0] > parts[1], *parts[2:])
            case "div":
                return parts[0] / (parts[1] * parts[1] + 0.5)
            case "decay":
                return torch.exp(-parts[0].abs())
            case "root":
                return torch.sqrt(parts[0] ** 2 + 0.5)
            case "log":
                return torch.log(parts[0] ** 2 + 0.5)
            case "add" | "sub" | "mul" | "neg" | "abs" | "square":
                return _arithmetic(op, parts)
            case "mean":
                return parts[0].mean(-1, keepdim=True).expand(parts[0].shape)
            case "total":
                return parts[0].sum(-1, keepdim=True).expand(parts[0].shape)
            case "softmax":
                return torch.softmax(parts[0], -1)
            case "softsign" | "softplus":
                return getattr(torch.nn.functional, op)(parts[0])
            case "hard_sigmoid":
                return (parts[0] / 6 + 0.5).clamp(0, 1)
            case function:
                return getattr(torch, function)(*parts)
