"""How libraries lay out the weights of a cell: the one place that knows.

Ours: gates as the cell's definition lists them, stacked along the first axis, `weight_ih` (GH, I),
`weight_hh` (GH, R), two biases (GH,). In all of them the update gate z of a GRU keeps the old
state, so that only orders, transposes and biases differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recurra import native
from recurra.cells import Program
from recurra.errors import InputError


@dataclass(frozen=True, slots=True)
class Layout:
    """How a library lays out one cell.

    Attributes:
        gates: our names of the gates, in the order in which the library stacks them.
        transposed: weights are (I, GH) and stand right of the vector, instead of (GH, I).
        biases: `two` (GH,) each; `joined`: the two in one (2GH,); `rows`: in one (2, GH); `sum`:
            one (GH,), which is their sum.
        peepholes: our names of the gates, in the order in which their peepholes are stacked.
    """

    gates: tuple[str, ...]
    transposed: bool = False
    biases: str = "two"
    peepholes: tuple[str, ...] = ()


#: By library and cell.
LAYOUTS = {
    ("torch", "rnn"): Layout(("h",)),
    ("torch", "lstm"): Layout(("i", "f", "g", "o")),
    ("torch", "gru"): Layout(("r", "z", "n")),
    ("keras", "rnn"): Layout(("h",), transposed=True, biases="sum"),
    ("keras", "lstm"): Layout(("i", "f", "g", "o"), transposed=True, biases="sum"),
    ("keras", "gru, reset before"): Layout(("z", "r", "n"), transposed=True, biases="sum"),
    ("keras", "gru, reset after"): Layout(("z", "r", "n"), transposed=True, biases="rows"),
    ("onnx", "rnn"): Layout(("h",), biases="joined"),
    ("onnx", "lstm"): Layout(("i", "o", "f", "g"), biases="joined", peepholes=("i", "o", "f")),
    ("onnx", "gru"): Layout(("z", "r", "n"), biases="joined"),
}


def layout(library: str, program: Program) -> Layout:
    """Return how `library` (`torch`, `keras`, `onnx`) lays out the cell of a program.

    Raises:
        InputError: the library has no such cell.
    """
    for name in (program.cell, f"{program.cell}, reset {program.option('reset')}"):
        if (library, name) in LAYOUTS and native.built_in(program):
            return LAYOUTS[library, name]
    has = sorted({cell.partition(",")[0] for known, cell in LAYOUTS if known == library})
    raise InputError(
        f"cell {program.cell}: {library} has no such cell (it has {', '.join(has) or 'none'})"
    )


def to_ours(library: str, program: Program, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Bring the weights of one layer and direction from a library's layout to ours.

    Args:
        library: `torch`, `keras` or `onnx`.
        program: the cell.
        arrays: input weights, recurrent weights, then the bias or biases where the program has
            them, then the peepholes where it has them; shapes as `from_ours` gives them.

    Returns:
        Arrays by the names of `program.parameters`; copies, every number as it was.

    Raises:
        InputError: a shape does not fit; says what was expected and received.
    """
    theirs = layout(library, program)
    expected = shapes(library, program, _sizes(theirs, arrays))
    received = [a.shape for a in arrays]
    if received != expected:
        raise InputError(
            f"{library} weights of {program.cell}: expected arrays of shapes "
            f"{_listed(expected)}, received {_listed(received)}"
        )
    given = iter(arrays)
    made = {}
    for name in ("weight_ih", "weight_hh"):
        array = next(given)
        made[name] = _restack(array.T if theirs.transposed else array, theirs.gates, program.gates)
    if program.option("bias"):
        first, second = _split_bias(theirs, given)
        made["bias_ih"] = _restack(first, theirs.gates, program.gates)
        made["bias_hh"] = _restack(second, theirs.gates, program.gates)
    if program.option("peephole"):
        parts = np.split(next(given), len(theirs.peepholes))
        made |= {
            f"peephole_{gate}": part.copy()
            for gate, part in zip(theirs.peepholes, parts, strict=True)
        }
    return {p.name: made[p.name] for p in program.parameters}


def from_ours(
    library: str, program: Program, weights: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Bring the weights of one layer and direction from our layout to a library's: the inverse.

    Where the library has one bias it is the sum of ours, which loses how they were shared out.
    """
    theirs = layout(library, program)
    made = []
    for name in ("weight_ih", "weight_hh"):
        array = _restack(weights[name], program.gates, theirs.gates)
        made.append(np.ascontiguousarray(array.T) if theirs.transposed else array)
    if program.option("bias"):
        first, second = (
            _restack(weights[n], program.gates, theirs.gates) for n in ("bias_ih", "bias_hh")
        )
        made += _join_bias(theirs, first, second)
    if program.option("peephole"):
        made.append(np.concatenate([weights[f"peephole_{g}"] for g in theirs.peepholes]))
    return made


def shapes(library: str, program: Program, sizes: tuple[int, int]) -> list[tuple[int, ...]]:
    """The shapes of a library's arrays, as `to_ours` takes them, for the sizes (I, H)."""
    theirs, (inputs, hidden) = layout(library, program), sizes
    rows = len(theirs.gates) * hidden
    found: list[tuple[int, ...]] = [(rows, inputs), (rows, hidden)]
    if theirs.transposed:
        found = [(inputs, rows), (hidden, rows)]
    biases: dict[str, list[tuple[int, ...]]] = {
        "two": [(rows,), (rows,)],
        "joined": [(2 * rows,)],
        "rows": [(2, rows)],
        "sum": [(rows,)],
    }
    found += biases[theirs.biases] if program.option("bias") else []
    if program.option("peephole"):
        found.append((len(theirs.peepholes) * hidden,))
    return found


def _sizes(theirs: Layout, arrays: Sequence[np.ndarray]) -> tuple[int, int]:
    """I and H, as the first two arrays have them where they are matrices."""
    axis = 0 if theirs.transposed else 1
    sizes = [a.shape[axis] if a.ndim == 2 else 0 for a in arrays[:2]]
    inputs, hidden = (*sizes, 0, 0)[:2]
    return inputs, hidden


def _restack(array: np.ndarray, before: Sequence[str], after: Sequence[str]) -> np.ndarray:
    """A copy with the blocks of the first axis, one a gate, in another order."""
    blocks = dict(zip(before, np.split(array, len(before)), strict=True))
    return np.concatenate([blocks[gate] for gate in after])


def _split_bias(theirs: Layout, given: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    bias = next(given)
    if theirs.biases == "two":
        return bias, next(given)
    if theirs.biases == "sum":
        return bias, np.zeros_like(bias)
    first, second = bias if theirs.biases == "rows" else np.split(bias, 2)
    return first, second


def _join_bias(theirs: Layout, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    if theirs.biases == "two":
        return [first, second]
    if theirs.biases == "sum":
        # Adding zero would turn -0.0 into 0.0.
        return [first + second if second.any() else first]
    return [
        np.stack([first, second]) if theirs.biases == "rows" else np.concatenate([first, second])
    ]


def _listed(found: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, found)) or "none"
