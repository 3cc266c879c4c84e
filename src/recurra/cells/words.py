"""What the functions of equations do with symbols: a node of the program each."""

from collections.abc import Callable

from recurra.cells.graph import WORDS, Node
from recurra.cells.trace import Bundle, Condition, Operand, Signal, Trace, shown
from recurra.errors import InputError


def function(name: str) -> Callable[[Signal], Signal]:
    """Return the pointwise function `name` for definitions; an activation option may rename it."""

    def apply(value: Signal) -> Signal:
        if not isinstance(value, Signal):
            where = f"{name}() takes"
            if isinstance(value, Bundle):
                value._trace.index(value, where)
            raise InputError(
                f"{where} a vector of units, received {shown(value)}; it is for the equations of "
                "a cell: compute numbers with math, arrays with numpy or torch"
            )
        chosen = value._trace.functions.get(name, name)
        if chosen == "identity":
            return value
        return value._trace.add(Node(chosen, (value._index,)))

    apply.__name__ = name
    apply.__doc__ = f"Pointwise {name} of a signal."
    return apply


def word(name: str) -> Callable[..., Signal]:
    """Return the pointwise operation `name` of `WORDS` for definitions, of signals and numbers."""

    def apply(*values: Operand) -> Signal:
        trace = next((v._trace for v in values if isinstance(v, Signal)), None)
        count = WORDS[name]
        if trace is None or len(values) != count:
            for value in values:
                if isinstance(value, Bundle):
                    value._trace.index(value, f"{name}() takes")
            given = ", ".join(map(shown, values)) or "nothing"
            raise InputError(
                f"{name}() takes {count} value{'s' * (count > 1)}, of which one is a vector of "
                f"units, received {given}; it is for the equations of a cell: compute numbers with "
                "math, arrays with numpy or torch"
            )
        signal = next(v for v in values if isinstance(v, Signal))
        return trace.add(Node(name, tuple(signal._operand(v) for v in values)))

    apply.__name__ = name
    apply.__doc__ = f"Pointwise {name} of signals."
    return apply


def before(value: Signal) -> Signal:
    """Return the value of a signal at the step before, 0 at the first step."""
    return _trace_of(value, "before").before(value)


def mean(value: Signal) -> Signal:
    """Return the mean over the units of a signal, for every unit."""
    return _over_units("mean", value)


def total(value: Signal) -> Signal:
    """Return the sum over the units of a signal, for every unit."""
    return _over_units("total", value)


def softmax(value: Signal) -> Signal:
    """Return the softmax over the units of a signal."""
    trace = _trace_of(value, "softmax")
    apart = value - _over_units("largest", value)
    powers = trace.add(Node("exp", (apart._index,)))
    return powers / _over_units("total", powers)


def _over_units(name: str, value: Signal) -> Signal:
    trace = _trace_of(value, name)
    return trace.add(Node(name, (trace.index(value, f"{name}() takes"),)))


def _trace_of(value: object, name: str) -> Trace:
    """The trace of a vector of units; InputError where it is none."""
    if isinstance(value, Bundle):
        value._trace.index(value, f"{name}() takes")
    if not isinstance(value, Signal):
        raise InputError(
            f"{name}() takes a vector of units, received {shown(value)}; it is for the equations "
            "of a cell: compute numbers with math, arrays with numpy or torch"
        )
    return value._trace


def where(condition: Condition, yes: Operand, no: Operand) -> Signal:
    """Return `yes` where the condition, `a > b` or `a < b`, holds, else `no`; unit by unit."""
    if not isinstance(condition, Condition):
        raise InputError(
            f"where() takes a comparison of signals, as h > 0, received {shown(condition)}"
        )
    trace = condition._trace
    either = Signal(trace, condition._greater)
    parts = (condition._greater, condition._less, either._operand(yes), either._operand(no))
    return trace.add(Node("where", parts))
