"""`@cell`: a recurrent cell, written once as its equations."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, wraps
from typing import Any, NoReturn

from recurra.cells import declared
from recurra.cells.called import Equations, call
from recurra.cells.choices import Options
from recurra.cells.graph import Program, parameters
from recurra.cells.named import CellName
from recurra.cells.trace import Trace, check_function
from recurra.cells.used import check_use
from recurra.errors import InputError

Definition = Callable[..., Mapping[str, object]]
Values = dict[str, str | bool | float]
#: Of a shape and a generator of random numbers the array that a parameter starts from.
Draw = Callable[..., Any]

#: Sets of options that are traced where a cell is defined; of more, each value by itself.
_MOST = 64

#: The cell that a name stands for: the one defined last.
_registry: dict[str, "Cell"] = {}
#: All that were defined, by name: what a layer or a file was made with is among them.
_defined: dict[str, list["Cell"]] = {}


class Cell:
    """A definition with its states, gates and options; `program` traces it.

    Attributes:
        name: the name by which layers, models and the command line know the cell.
        states: names of the state vectors; the first is the output.
        gates: names of the gates, in the order in which the weights stack them.
        starts: what each state starts from.
        inputs: further inputs of a step by their sizes.
        init: bias a gate starts from, where the layer initialises biases by the cell.
        drawn: functions that draw what parameters start from, by their names.
        options: option names to their possible values, the default first.

    Raises:
        InputError: what is declared or written is no cell: `cell NAME, line N: …`.
    """

    def __init__(
        self,
        define: Definition,
        *,
        states: str,
        gates: str,
        init: Mapping[str, float | Draw] | None = None,
        options: str = "",
        learnt: str = "",
        fixed: str = "",
        inputs: str = "x",
    ) -> None:
        self.name = declared.name(define)
        self.define = define
        self._line = declared.line(define)
        try:
            self.states, self.starts = declared.states(states)
            self.gates = declared.words(gates, "gates")
            self.options = declared.options(options)
            self.learnt = declared.learnt(learnt)
            if both := [name for name in declared.fixed(fixed) if name in self.learnt]:
                raise InputError(f"fixed: {both[0]!r} is learnt too: expected one of the two")
            self.learnt |= declared.fixed(fixed)
            self.inputs = declared.inputs(inputs, self.gates)
            self.init, self.drawn = declared.starts(init, (*self.gates, *self.learnt))
            declared.check(define, self.states, self.gates, [*self.options, *self.learnt])
        except InputError as error:
            self._refuse(str(error))
        self._declared = self.states
        self._traced: dict[Program, Program] = {}
        self._equations: dict[tuple[object, ...], Equations] = {}
        self._asked: set[str] = set()
        for name in [name for name in self.drawn if name in self.learnt]:
            kind = "fixed" if self.learnt[name] < 0 else "learnt"
            self.drawn[f"{kind}_{name}"] = self.drawn.pop(name)
        traced = lru_cache(maxsize=None)(self._program)

        @wraps(self._program)
        def program(**options: Any) -> Program:
            try:
                return traced(**options)
            except TypeError:  # what cannot be looked up is no option, and is refused in words
                return self._program(**options)

        self.program = program
        # Mistakes show where the cell is defined; and what is traced here cannot change later.
        for chosen in self._choices():
            found = self._equations_of(chosen, "tanh", "sigmoid")
            self._add_states(len(found.next) - len(self._declared))
        try:
            check_use(self, tuple(self._equations.values()), self._asked)
        except InputError as error:
            self._refuse(str(error))
        alike = _defined.setdefault(self.name, [])
        alike[:] = [c for c in alike if c.digest != self.digest] + [self]

    def __repr__(self) -> str:
        return f"<cell {self.name}: states {' '.join(self.states)}; gates {' '.join(self.gates)}>"

    def __deepcopy__(self, memo: object) -> "Cell":
        return self  # a definition does not change, and a copied layer has the same cell

    def __reduce__(self) -> tuple[Callable[..., "Cell"], tuple[str, ...]]:
        # The package's own cells are what their names say, whatever version wrote them.
        ours = str(getattr(self.define, "__module__", "")).startswith("recurra.")
        return find, (self.name,) if ours else (self.name, self.digest)

    @cached_property
    def digest(self) -> str:
        """What tells the definition from others of its name: of all that was written."""
        said: tuple[Any, ...] = (self.name, self.states, self.gates, sorted(self.init.items()))
        said += (self.options, *([self.learnt] if self.learnt else []))
        said += tuple(part for part in (self.inputs, self.starts) if part and any(part))
        traced = [self._equations_of(c, "tanh", "sigmoid") for c in self._choices()]
        return hashlib.sha256(repr((said, traced)).encode()).hexdigest()[:32]

    def _program(
        self,
        *,
        bias: bool = True,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        **options: str | bool | float,
    ) -> Program:
        """Trace the cell with its options decided.

        `activation` and `recurrent_activation` stand in for the `tanh` and the `sigmoid` of the
        equations. Options the cell does not list, or values they do not have, are an `InputError`.
        """
        where = f"cell {self.name},"
        if not isinstance(bias, bool | int) or bias not in (True, False):
            raise InputError(
                f"{where} bias: expected True or False, received {declared.kind(bias)}"
            )
        check_function(activation, f"{where} activation")
        check_function(recurrent_activation, f"{where} recurrent_activation")
        chosen = self._choose(options)
        nodes, following, visible = self._equations_of(chosen, activation, recurrent_activation)
        program = Program(
            cell=self.name,
            states=self.states,
            gates=self.gates,
            nodes=nodes,
            next=following,
            visible=visible,
            parameters=parameters(nodes, self.gates, bias=bias),
            options=(
                *chosen.items(),
                ("bias", bias),
                ("activation", activation),
                ("recurrent_activation", recurrent_activation),
            ),
            starts=self.starts if any(self.starts) else (),
            inputs=tuple(self.inputs.items()),
        )
        # One object however it is asked for: look-ups by an equal one would compare all nodes.
        return self._traced.setdefault(program, program)

    def _choices(self) -> list[Values]:
        """The sets of options to trace, the defaults first."""
        count = 1
        for values in self.options.values():
            count *= len(values)
        if count <= _MOST:
            sets = itertools.product(*self.options.values())
            return [dict(zip(self.options, values, strict=True)) for values in sets]
        usual: Values = {name: values[0] for name, values in self.options.items()}
        alone = [usual | {n: v} for n, values in self.options.items() for v in values[1:]]
        return [usual, *alone]

    def _equations_of(self, chosen: Values, activation: str, recurrent: str) -> Equations:
        key = (*chosen.items(), activation, recurrent)
        if key not in self._equations:
            if self._equations:
                self._check_unchanged()
            self._equations[key] = self._trace(chosen, activation, recurrent)
        return self._equations[key]

    def _check_unchanged(self) -> None:
        """Refuse a definition that reads what has changed since, as the variable of a loop."""
        usual = self._choices()[0]
        before = self._equations[(*usual.items(), "tanh", "sigmoid")]
        if repr(self._trace(usual, "tanh", "sigmoid")) != repr(before):
            self._refuse(
                "its equations are others than when it was defined: expected the same at every "
                "call; it reads a variable that has changed: let a function that takes the value "
                "define the cell"
            )

    def _trace(self, chosen: Values, activation: str, recurrent: str) -> Equations:
        """Call the definition; whatever it raises is an error of it, in one line."""
        trace = Trace({"tanh": activation, "sigmoid": recurrent})
        try:
            opt = Options(trace, chosen, self.options, self.learnt, self._asked)
            return call(self.define, trace, self._declared, self.gates, self.inputs, opt)
        except Exception as error:  # of code that is not ours, and of every kind
            self._refuse_call(trace.first or error)

    def _add_states(self, earlier: int) -> None:
        """States that hold what `before` is asked for, after those that are declared."""
        names = tuple(f"before_{1 + n}" for n in range(earlier))
        if len(self._equations) > 1 and (*self._declared, *names) != self.states:
            self._refuse(
                "some of its options have other values of the step before than others: expected "
                "before() of as many values for every option: call it outside of if"
            )
        self.states = (*self._declared, *names)
        self.starts = (*self.starts[: len(self._declared)], *(0.0,) * earlier)

    def rates(self, zoneout: float) -> tuple[float, ...]:
        """Return the zoneout of each state where one rate is asked for: none for `before`."""
        return tuple(0.0 if s.startswith("before_") else zoneout for s in self.states)

    def _refuse(self, text: str, line: int | None = None) -> NoReturn:
        raise InputError(declared.located(self.name, line or self._line, text)) from None

    def _refuse_call(self, error: Exception) -> NoReturn:
        text = str(error).partition("\n")[0][:300]
        if not isinstance(error, InputError):
            text = (
                f"{type(error).__name__}: {text}; expected equations with + - * /, numbers of "
                "Python, and the functions of recurra.cells: they are called with symbols, not "
                "with arrays"
            )
        line = declared.line_of(error, self.define) or self._line
        raise InputError(declared.located(self.name, line, text)) from error

    def _choose(self, given: Mapping[str, str | bool | float]) -> Values:
        chosen: Values = {name: values[0] for name, values in self.options.items()}
        for name, value in given.items():
            if name not in self.options:
                if value is False:
                    continue
                has = ", ".join(self.options) or "none"
                raise InputError(f"cell {self.name} has no option {name!r} (its options: {has})")
            if type(self.options[name][0]) is float:
                chosen[name] = declared.number(value, f"cell {self.name}, option {name}")
                continue
            if not isinstance(value, bool | int | str) or value not in self.options[name]:
                expected = " or ".join(map(repr, self.options[name]))
                raise InputError(
                    f"cell {self.name}, option {name}: expected {expected}, received "
                    f"{declared.kind(value)}"
                )
            chosen[name] = value
        return chosen


def cell(
    *,
    states: str,
    gates: str,
    init: Mapping[str, float | Draw] | None = None,
    options: str = "",
    learnt: str = "",
    fixed: str = "",
    inputs: str = "x",
) -> Callable[[Definition], Cell]:
    """Make a cell of a function `(x, u, *states, opt) -> {name: value}`.

    Args:
        states: names of the states, the output first, separated by blanks: `"h c"`; with what they
            start from where that is not 0: `"h c n=1 m=-inf"`.
        gates: names of the gates in the order their weights are stacked: `"i f g o"`.
        init: what a gate's bias, or a parameter of `learnt`, starts from: `{"f": 1.0}`; or a
            function that draws a parameter by name, `{"mask_hh": draw}`: `draw(shape, random)`
            returns an array of that shape, of a matrix the rows of one gate, (H, H) or (H, I);
            `random` is a `numpy.random.Generator`.
        options: `norm`, `peephole`, `projection`, choices like `reset=after|before`, and numbers
            with their defaults like `dt=0.042`.
        learnt: further parameters: `"w alpha:1"` are a number for each unit and one for all units,
            read as `opt.w` and `opt.alpha`.
        fixed: further vectors that are not learnt, a number for each unit, read as `opt.NAME`; what
            they are stands in `init`.
        inputs: further inputs of a step, the last features of a layer's input: `"x dt:1 s:27"` are
            a number, read as `x.dt`, and 27 numbers with a matrix to each gate, as `x.s.f`.

    In the function `x` holds `W x_t + b` and `u(v)` holds `U v + b`, a part a gate (`x.f`); states
    are vectors of H units; `+ - * / **` and the functions of `recurra.cells` are pointwise. It
    returns the new states, and whatever else of the step is worth looking at. It is called here,
    with symbols, once for every set of its options: `if` is for options alone.

    Raises:
        InputError: a mistake in the definition: `cell NAME, line N: …`; or the name is that of a
            cell of another module.
    """

    def decorate(define: Definition) -> Cell:
        made = Cell(
            define,
            states=states,
            gates=gates,
            init=init,
            options=options,
            learnt=learnt,
            fixed=fixed,
            inputs=inputs,
        )
        known = _registry.get(made.name)
        # Running a definition again, as in a notebook, replaces it; another's cell stays.
        if known is None or declared.same_place(known.define, define):
            _registry[made.name] = made
        elif known.digest != made.digest:
            raise InputError(
                f"a cell named {made.name!r} is defined in {known.define.__module__} already: "
                "choose another name"
            )
        return made

    return decorate


def find(name: "str | Cell", digest: str = "") -> Cell:
    """Return the cell of that name; an unknown name is an `InputError` that lists the known.

    With a digest it is the cell that has it, whether or not its name now stands for another.
    """
    if isinstance(name, Cell):
        return name
    if isinstance(name, CellName):
        return name.cell
    if not isinstance(name, str):
        raise InputError(f"cell: expected its name, or a cell, received {type(name).__name__}")
    if digest and name in _defined:
        for found in _defined[name]:
            if found.digest == digest:
                return found
        raise others(name)
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry))
        raise InputError(f"unknown cell {name!r}: expected one of {known}") from None


def others(name: str) -> InputError:
    """Return the refusal of a name that stands for other equations here."""
    return InputError(
        f"cell {name!r}: expected the equations that this was made with, and the definition here "
        "has others: import the right one"
    )
