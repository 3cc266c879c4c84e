"""`@cell`: a recurrent cell, written once as its equations."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache

from recurra.cells.graph import Node, Program, parameters, prune
from recurra.cells.trace import Bundle, Options, Signal, Trace, check_function
from recurra.errors import InputError

#: Options every definition may list that are on or off. Any other is a choice, `name=first|second`.
SWITCHES = ("norm", "peephole", "projection")

Definition = Callable[..., Mapping[str, object]]

_registry: dict[str, "Cell"] = {}


class Cell:
    """A definition with its states, gates and options; `program` traces it.

    Attributes:
        name: the name by which layers, models and the command line know the cell.
        states: names of the state vectors; the first is the output.
        gates: names of the gates, in the order in which the weights stack them.
        init: bias a gate starts from, where the layer initialises biases by the cell.
        options: option names to their possible values, the default first.
    """

    def __init__(
        self,
        define: Definition,
        *,
        states: str,
        gates: str,
        init: Mapping[str, float] | None = None,
        options: str = "",
    ) -> None:
        self.name = define.__name__
        self.states = tuple(states.split())
        self.gates = tuple(gates.split())
        self.init = dict(init or {})
        self.options = dict(_parse_option(item) for item in options.split())
        self.define = define
        self._check()
        self._traced: dict[Program, Program] = {}
        self.program = lru_cache(maxsize=None)(self._program)
        self.program()  # a mistake in the equations shows where the cell is defined

    def __repr__(self) -> str:
        return f"<cell {self.name}: states {' '.join(self.states)}; gates {' '.join(self.gates)}>"

    def __deepcopy__(self, memo: object) -> "Cell":
        return self  # a definition does not change, and a copied layer has the same cell

    def __reduce__(self) -> tuple[Callable[[str], "Cell"], tuple[str]]:
        return find, (self.name,)

    def _check(self) -> None:
        arguments = tuple(inspect.signature(self.define).parameters)
        expected = ("x", "u", *self.states, "opt")
        if arguments != expected:
            raise InputError(
                f"cell {self.name}: expected the arguments ({', '.join(expected)}), "
                f"received ({', '.join(arguments)})"
            )
        unknown = [g for g in self.init if g not in self.gates]
        if unknown:
            raise InputError(f"cell {self.name}: init names {unknown}, which are no gates of it")

    def _program(
        self,
        *,
        bias: bool = True,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        **options: str | bool,
    ) -> Program:
        """Trace the cell with its options decided.

        `activation` and `recurrent_activation` stand in for the `tanh` and the `sigmoid` of the
        equations. Options the cell does not list, or values they do not have, are an `InputError`.
        """
        chosen = self._choose(options)
        trace = Trace(
            {
                "tanh": check_function(activation, f"cell {self.name}, activation"),
                "sigmoid": check_function(
                    recurrent_activation, f"cell {self.name}, recurrent_activation"
                ),
            }
        )
        x = Bundle(self.gates, (trace.add(Node("affine", (), "ih", 0.0, self.gates)),))

        def u(value: object) -> Bundle:
            index = self._signal(value, "u() takes").index
            return Bundle(self.gates, (trace.add(Node("affine", (index,), "hh", 0.0, self.gates)),))

        states = [trace.add(Node("state", name=s)) for s in self.states]
        result = self.define(x, u, *states, Options(trace, chosen))
        if not isinstance(result, Mapping):
            raise InputError(
                f"cell {self.name}: expected it to return a dictionary of values by name, "
                f"received {type(result).__name__}"
            )
        missing = [s for s in self.states if s not in result]
        if missing:
            raise InputError(f"cell {self.name}: returns no new value for {', '.join(missing)}")
        indices = {n: self._signal(v, f"{n} must be").index for n, v in result.items()}
        nodes, renamed = prune(trace.nodes, indices.values())
        program = Program(
            cell=self.name,
            states=self.states,
            gates=self.gates,
            nodes=nodes,
            next=tuple(renamed[indices[s]] for s in self.states),
            visible=tuple((name, renamed[index]) for name, index in indices.items()),
            parameters=parameters(nodes, bias=bias),
            options=(
                *chosen.items(),
                ("bias", bias),
                ("activation", activation),
                ("recurrent_activation", recurrent_activation),
            ),
        )
        # One object however it is asked for: look-ups by an equal one would compare all nodes.
        return self._traced.setdefault(program, program)

    def _signal(self, value: object, where: str) -> Signal:
        if isinstance(value, Signal):
            return value
        hint = "; name the gate, like x.i" if isinstance(value, Bundle) else ""
        kind = "all gates at once" if isinstance(value, Bundle) else repr(value)
        raise InputError(f"cell {self.name}: {where} a vector of units, received {kind}{hint}")

    def _choose(self, given: Mapping[str, str | bool]) -> dict[str, str | bool]:
        chosen: dict[str, str | bool] = {name: values[0] for name, values in self.options.items()}
        for name, value in given.items():
            if name not in self.options:
                if value is False:
                    continue
                has = ", ".join(self.options) or "none"
                raise InputError(f"cell {self.name} has no option {name!r} (its options: {has})")
            if value not in self.options[name]:
                expected = " or ".join(map(repr, self.options[name]))
                raise InputError(
                    f"cell {self.name}, option {name}: expected {expected}, received {value!r}"
                )
            chosen[name] = value
        return chosen


def cell(
    *,
    states: str,
    gates: str,
    init: Mapping[str, float] | None = None,
    options: str = "",
) -> Callable[[Definition], Cell]:
    """Make a cell of a function `(x, u, *states, opt) -> {name: value}`.

    Args:
        states: names of the states, the output first, separated by blanks: `"h c"`.
        gates: names of the gates in the order their weights are stacked: `"i f g o"`.
        init: the bias a gate starts from: `{"f": 1.0}`.
        options: `norm`, `peephole`, `projection`, and choices like `reset=after|before`.

    In the function `x` holds `W x_t + b` and `u(v)` holds `U v + b`, a part a gate (`x.f`); states
    are vectors of H units; `+ - *` and the functions of `recurra.cells` are pointwise. It returns
    the new states, and whatever else of the step is worth looking at.
    """

    def decorate(define: Definition) -> Cell:
        made = Cell(define, states=states, gates=gates, init=init, options=options)
        known = _registry.get(made.name)
        # Running a definition again, as in a notebook, replaces it; another's cell stays.
        if known is not None and known.define.__module__ != define.__module__:
            raise InputError(
                f"a cell named {made.name!r} is defined in {known.define.__module__} already: "
                "choose another name"
            )
        _registry[made.name] = made
        return made

    return decorate


def find(name: "str | Cell") -> Cell:
    """Return the cell of that name; an unknown name is an `InputError` that lists the known."""
    if isinstance(name, Cell):
        return name
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry))
        raise InputError(f"unknown cell {name!r}: expected one of {known}") from None


def names() -> tuple[str, ...]:
    """Return the names of all cells defined so far, sorted."""
    return tuple(sorted(_registry))


def _parse_option(item: str) -> tuple[str, tuple[str | bool, ...]]:
    name, equals, values = item.partition("=")
    if name in SWITCHES and not equals:
        return name, (False, True)
    if not equals or len(values.split("|")) < 2:
        raise InputError(
            f"option {item!r}: expected one of {', '.join(SWITCHES)}, or a choice name=first|second"
        )
    return name, tuple(values.split("|"))
