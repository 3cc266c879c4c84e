"""A definition called with symbols: its equations as nodes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from recurra.cells.choices import Options
from recurra.cells.graph import Node, prune
from recurra.cells.trace import Input, Product, Trace


class Equations(NamedTuple):
    """What a call of the definition gives, whether with biases or without."""

    nodes: tuple[Node, ...]
    next: tuple[int, ...]
    visible: tuple[tuple[str, int], ...]


def call(
    define: Callable[..., Any],
    trace: Trace,
    states: tuple[str, ...],
    gates: tuple[str, ...],
    inputs: Mapping[str, int],
    opt: Options,
) -> Equations:
    """Call a definition; what it raises, and an `InputError` for what it returns, are the caller's.

    Values of the step before are states after the declared ones.
    """
    x = Input(trace, gates, inputs)
    symbols = [trace.add(Node("state", name=state)) for state in states]
    result = define(x, Product(trace, gates), *symbols, opt)
    if trace.first is not None:
        raise trace.first
    if not isinstance(result, Mapping):
        trace.refuse(
            "expected it to return a dictionary of values by name, received "
            f"{type(result).__name__}: write return dict({states[0]}=…)"
        )
    odd = [n for n in result if not isinstance(n, str)]
    if odd:
        trace.refuse(f"expected names of values that are texts, received {odd[0]!r}")
    missing = [s for s in states if s not in result]
    if missing:
        trace.refuse(
            f"returns no new value for {', '.join(missing)}: expected one for each of its "
            f"states; add {', '.join(f'{s}=…' for s in missing)} to what it returns"
        )
    indices = {n: trace.index(v, f"{n} must be") for n, v in result.items()}
    nodes, renamed = prune(trace.nodes, [*indices.values(), *trace.earlier])
    following = [*(indices[s] for s in states), *trace.earlier]
    visible = tuple((n, renamed[i]) for n, i in indices.items())
    return Equations(nodes, tuple(renamed[i] for i in following), visible)
