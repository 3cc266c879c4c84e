"""A program's equations as text: a line for each of its named values, as a definition has them.

Messages show these lines where two cells of one name differ.
"""

from recurra.cells.graph import Program, form_of

_INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}


def lines(program: Program) -> tuple[str, ...]:
    """Return `name = expression` for each named value, in the order of computation."""
    known: dict[int, str] = {}
    found = []
    for name, index in sorted(program.visible, key=lambda item: item[1]):
        found.append(f"{name} = {_text(program, known, index)}")
        known.setdefault(index, f"{name}'" if name in program.states else name)
    return tuple(found)


def difference(ours: Program, theirs: Program) -> tuple[str, str] | None:
    """Return the first thing in which two programs differ, as each has it; None where they agree.

    In equations a state after the step has a prime: h'.
    """
    if ours.meaning() == theirs.meaning():
        return None
    for what in ("states", "gates", "starts", "inputs"):
        pair = getattr(ours, what), getattr(theirs, what)
        if pair[0] != pair[1]:
            return tuple(f"{what} {_words(side)}" for side in pair)  # type: ignore[return-value]
    one, other = lines(ours), lines(theirs)
    for left, right in zip(one, other, strict=False):
        if left != right:
            return left, right
    if len(one) != len(other):
        longer = one if len(one) > len(other) else other
        extra = longer[min(len(one), len(other))]
        return (extra, "no such line") if longer is one else ("no such line", extra)
    pair = _parameters(ours), _parameters(theirs)
    if pair[0] != pair[1]:
        return f"parameters {pair[0]}", f"parameters {pair[1]}"
    return "equations in one order", "the same in another order"


def _parameters(program: Program) -> str:
    return ", ".join(f"{p.name} ({' '.join(p.axes)})" for p in program.parameters)


def _text(program: Program, known: dict[int, str], index: int, above: int = 0) -> str:
    """The expression of a node, in brackets where the operator above binds stronger."""
    if index in known:
        return known[index]
    node = program.nodes[index]

    def part(place: int, strength: int = 0) -> str:
        return _text(program, known, node.args[place], strength)

    match node.op:
        case "state" if node.name.startswith("before_"):
            value = program.next[program.states.index(node.name)]
            return f"before({_text(program, known, value)})"
        case "state":
            return node.name
        case "constant":
            return f"{node.value:g}" if node.value >= 0 else f"({node.value:g})"
        case "weight" | "learnt":
            return f"opt.{node.name}"
        case "affine":
            form = node.name.partition("/")[2]
            kind, count = form_of(node.name)
            asked = f", {kind}={count}" if count else f", form={form!r}" if form else ""
            own = f"x.{form}" if node.value else f"x({asked[2:]})" if asked else "x"
            inner = f"u({part(0)}{asked})" if node.args else own
            return f"opt.norm({inner})" if node.normed else inner
        case "gate":
            return f"{part(0)}.{node.name}"
        case "add" | "sub" | "mul" | "div":
            sign, strength = _INFIX[node.op]
            right = part(1, strength + (node.op in ("sub", "div")))
            text = f"{part(0, strength)} {sign} {right}"
            return f"({text})" if strength < above else text
        case "raw" | "input":
            return f"x.{node.name or 'raw'}"
        case "neg":
            return f"-{part(0, 3)}"
        case "norm":
            return f"opt.norm({part(0)}, {node.name!r})"
        case "project":
            return f"opt.project({part(0)})"
        case "where":
            return f"where({part(0)} > {part(1)}, {part(2)}, {part(3)})"
        case function:
            return f"{function}({', '.join(part(k) for k in range(len(node.args)))})"


def _words(names: tuple[object, ...]) -> str:
    return " ".join(
        ":".join(map(str, one)) if isinstance(one, tuple) else f"{one}" for one in names
    )
