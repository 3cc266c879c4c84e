"""The formulas of a cell as LaTeX, from its program: one line for each value it lets one look at.

W, b are the input's weights and bias, U, b' the recurrent ones; a subscript is the gate. p are
peepholes, W_hr is the projection, LN a layer norm with gain γ (γ' for the recurrent product). M is
a mask, and what has a bar is fixed.
"""

from collections.abc import Mapping

from recurra.cells.graph import Node, Program
from recurra.cells.matrices import GIVEN_FORMS

_FUNCTIONS = {
    "tanh": r"\tanh",
    "sigmoid": r"\sigma",
    "relu": r"\mathrm{relu}",
    "softsign": r"\mathrm{softsign}",
    "softplus": r"\mathrm{softplus}",
    "exp": r"\exp",
    "hard_sigmoid": r"\mathrm{hard\,sigmoid}",
    **{"log": r"\log", "sin": r"\sin", "cos": r"\cos"},
    **{"maximum": r"\max", "minimum": r"\min"},
}

_OVER_UNITS = {
    "mean": r"\mathrm{mean}",
    "total": r"\textstyle\sum_{\mathrm{units}}",
    "largest": r"\max_{\mathrm{units}}",
}

# How tightly what was written last holds together; a weaker part of a stronger whole gets brackets.
_SUM, _PRODUCT, _ATOM = range(3)


def equations(program: Program) -> tuple[str, ...]:
    """Return one equation for each named value of the program, in the order of computation."""
    order = sorted(program.visible, key=lambda item: item[1])
    known: dict[int, str] = {}
    written = []
    for name, index in order:
        left = _variable(name, "t")
        written.append(f"{left} = {_Writer(program, known).text(index)}")
        known.setdefault(index, left)
    return tuple(written)


def aligned(program: Program) -> str:
    """Return the equations as one `aligned` environment, a line each."""
    lines = [line.replace(" = ", " &= ", 1) for line in equations(program)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


class _Writer:
    """Writes the expression of a node; nodes in `known` by their names."""

    def __init__(self, program: Program, known: Mapping[int, str]) -> None:
        self.program, self.known = program, known
        self.biased = bool(program.option("bias"))

    def text(self, index: int, above: int = _SUM) -> str:
        """The node as LaTeX, in brackets where it binds weaker than `above`."""
        written, strength = self._write(index)
        return written if strength >= above else f"({written})"

    def _write(self, index: int) -> tuple[str, int]:
        if index in self.known:
            return self.known[index], _ATOM
        node = self.program.nodes[index]
        first, second = (*node.args, -1, -1)[:2]
        match node.op:
            case "state" if node.name.startswith("before_"):
                value = self.program.next[self.program.states.index(node.name)]
                return rf"[{self.text(value)}]_{{t-1}}", _ATOM
            case "state":
                return _variable(node.name, "{t-1}"), _ATOM
            case "constant":
                return f"{node.value:g}", _ATOM if node.value >= 0 else _SUM
            case "weight":
                return f"p_{_subscript(node.name)}", _ATOM
            case "gate":
                return self._gate(node)
            case "add":
                return f"{self.text(first)} + {self.text(second)}", _SUM
            case "sub":
                return f"{self.text(first)} - {self.text(second, _PRODUCT)}", _SUM
            case "mul":
                sides = self.text(first, _PRODUCT), self.text(second, _PRODUCT)
                return rf"{sides[0]} \odot {sides[1]}", _PRODUCT
            case "neg":
                return f"-{self.text(first, _PRODUCT)}", _SUM
            case "learnt":
                symbol = _symbol(node.name)
                return (rf"\bar{{{symbol}}}" if node.value < 0 else symbol), _ATOM
            case "raw":
                return "x_t", _ATOM
            case "input":
                return _variable(node.name, "t"), _ATOM
            case "mean" | "total" | "largest":
                return f"{_OVER_UNITS[node.op]} {self.text(first, _ATOM)}", _PRODUCT
            case "floor":
                return rf"\lfloor {self.text(first)} \rfloor", _ATOM
            case "div":
                return rf"\frac{{{self.text(first)}}}{{{self.text(second)}}}", _ATOM
            case "abs":
                return rf"\lvert {self.text(first)} \rvert", _ATOM
            case "sqrt":
                return rf"\sqrt{{{self.text(first)}}}", _ATOM
            case "where":
                a, b, yes, no = (self.text(arg) for arg in node.args)
                return rf"[{a} > {b} \,?\, {yes} : {no}]", _ATOM
            case "norm":
                subscript = _subscript(node.name)
                gain = rf"\gamma_{subscript} \odot \mathrm{{LN}}({self.text(first)})"
                if not self.biased:
                    return gain, _PRODUCT
                return rf"{gain} + \beta_{subscript}", _SUM
            case "project":
                return rf"W_{{{node.name}}} {self.text(first, _ATOM)}", _PRODUCT
            case function:
                inside = ", ".join(self.text(arg) for arg in node.args)
                return f"{_FUNCTIONS[function]}({inside})", _ATOM

    def _gate(self, gate: Node) -> tuple[str, int]:
        """One gate's part of a product with a weight matrix, its norm and its bias."""
        product = self.program.nodes[gate.args[0]]
        weight, prime = ("U", "'") if product.args else ("W", "")
        value = self.text(product.args[0], _ATOM) if product.args else "x_t"
        form = product.name.partition("/")[2]
        several = len(self.program.gates) > 1
        own = f"_{_subscript(gate.name)}" if several else ""
        bias = own
        if form and product.value:
            value = _variable(form, "t")
        if form in GIVEN_FORMS and not product.value:
            if form == "fixed":
                return rf"\bar{{{weight}}}{own} {value}", _PRODUCT
            weight, own = rf"(M{prime}{own} \odot {weight}{own})", ""
        elif form:
            weight += rf"^{{\mathrm{{{_escaped(form)}}}}}"
        if not product.normed:
            written, strength = f"{weight}{own} {value}", _PRODUCT
        else:
            # The norm is over all the gates that this product feeds; one of them is taken from it.
            joint = len(product.gates) > 1
            whole = product.gates == self.program.gates
            among = "" if whole else f"_{_subscript(''.join(product.gates))}"
            normed = rf"\mathrm{{LN}}({weight}{among} {value}){own if joint else ''}"
            written, strength = rf"\gamma{prime}{own} \odot {normed}", _PRODUCT
        if not self.biased or (form and not product.args and gate.name in self.program.span("ih")):
            return written, strength  # the bias stands beside x.f, where the equations read that
        return f"{written} + b{prime}{bias}", _SUM


def _variable(name: str, time: str) -> str:
    return f"{_symbol(name)}_{time}"


def _symbol(name: str) -> str:
    return name if len(name) == 1 else rf"\mathit{{{_escaped(name)}}}"


def _subscript(name: str) -> str:
    return name if len(name) == 1 else f"{{{_escaped(name)}}}"


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")
