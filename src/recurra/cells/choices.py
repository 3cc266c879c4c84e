"""`opt` of a definition: its options with their values decided."""

from collections.abc import Mapping
from typing import NoReturn

from recurra.cells.graph import Node, is_taken
from recurra.cells.symbols import Symbol
from recurra.cells.trace import Bundle, Operand, Signal, Trace


class Options(Symbol):
    """What a definition may ask of `opt`; an option that is off returns its argument unchanged."""

    __slots__ = ("_asked", "_chosen", "_learnt", "_listed", "_trace")

    def __init__(
        self,
        trace: Trace,
        chosen: Mapping[str, str | bool | float],
        listed: Mapping[str, tuple[str | bool | float, ...]],
        learnt: Mapping[str, int],
        asked: set[str],
    ) -> None:
        """`asked` gets the names of the options that the definition asks for."""
        self._trace, self._chosen, self._listed = trace, dict(chosen), listed
        self._learnt, self._asked = learnt, asked

    def _refuse(self, text: str) -> NoReturn:
        self._trace.refuse(f"{text}; name an option, like opt.norm")

    def _called(self) -> str:
        return "opt itself"

    def __getattr__(self, name: str) -> "str | bool | float | Choice | Signal":
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._learnt:
            self._asked.add(name)
            return self._trace.add(Node("learnt", name=name, value=float(self._learnt[name])))
        value = self._value(name)
        if type(value) is float:
            return value
        return Choice(value, name, self._listed[name], self._trace)

    def _value(self, name: str) -> str | bool | float:
        self._asked.add(name)
        if name not in self._chosen:
            self._trace.refuse(
                f"asks for the option {name!r}, which its definition does not list: "
                f"add it to options= (it has {' '.join(self._chosen) or 'none'})"
            )
        return self._chosen[name]

    @property
    def norm(self) -> "Switch":
        """Layer norm (Ba et al. 2016, eq. 20–22). Of a bundle: between the product and the bias,
        over all units of all the gates that the product feeds. Of a signal: over its units, with a
        gain `norm_<name>` and a bias `norm_<name>_bias`."""
        return Switch(self, "norm", self._norm)

    @property
    def peephole(self) -> "Switch":
        """`p_gate ⊙ state` (Gers et al. 2002), or 0 where peepholes are off."""
        return Switch(self, "peephole", self._peephole)

    @property
    def project(self) -> "Switch":
        """`W_hr · value` (Sak et al. 2014, eq. 8), or `value` where projection is off."""
        return Switch(self, "projection", self._project)

    @property
    def projection(self) -> "Switch":
        """Whether the cell projects; see `project`."""
        return self.project

    def _norm(self, value: Bundle | Signal, name: str = "c") -> Bundle | Signal:
        on = self._value("norm")
        if isinstance(value, Bundle):
            return value._normed() if on else value
        index = self._trace.index(value, "opt.norm() takes")
        if is_taken(self._name(name)):
            self._trace.refuse(
                f"opt.norm(): the name {name!r} is another parameter's: choose one that is not ih "
                "or hh and does not end in _bias"
            )
        return self._trace.add(Node("norm", (index,), name)) if on else value

    def _peephole(self, gate: str, state: Signal) -> Operand:
        on = self._value("peephole")
        self._trace.index(state, "opt.peephole(gate, state) takes")
        if not on:
            return 0  # adding zero leaves no trace
        return self._trace.add(Node("weight", name=self._name(gate))) * state

    def _project(self, value: Signal) -> Signal:
        on = self._value("projection")
        index = self._trace.index(value, "opt.project() takes")
        return self._trace.add(Node("project", (index,), "hr")) if on else value

    def _name(self, name: object) -> str:
        if not isinstance(name, str) or not name:
            self._trace.refuse(f"a parameter's name: expected a text like 'c', received {name!r}")
        return name


class Switch(Symbol):
    """An option that is on or off: called it is the operation, in an `if` whether it is on."""

    __slots__ = ("_call", "_name", "_options")

    def __init__(self, options: Options, name: str, call: object) -> None:
        self._options, self._name, self._call = options, name, call

    def _refuse(self, text: str) -> NoReturn:
        self._options._trace.refuse(text)

    def _called(self) -> str:
        return f"the option {self._name}"

    def __call__(self, *given: object, **named: object) -> object:
        """Return what the option makes of a value; where it is off, the value."""
        return self._call(*given, **named)  # type: ignore[operator]

    def __bool__(self) -> bool:
        return bool(self._options._value(self._name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, bool):
            self._refuse(f"the option {self._name} is True or False, and was compared with {other}")
        return bool(self) == other

    __hash__ = Symbol.__hash__


class Choice(str):
    """The value of an option with several: compared with another value than those it is refused."""

    _name: str
    _values: tuple[str | bool | float, ...]
    _trace: Trace

    def __new__(
        cls, value: object, name: str, values: tuple[str | bool | float, ...], trace: Trace
    ) -> "Choice":
        """Return the value as a text that knows which others there are."""
        made = super().__new__(cls, value)
        made._name, made._values, made._trace = name, values, trace
        return made

    def __eq__(self, other: object) -> bool:
        if other not in self._values:
            self._trace.refuse(
                f"the option {self._name} is never {other!r}: its values are "
                f"{', '.join(map(str, self._values))}"
            )
        return str.__eq__(self, str(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> NoReturn:
        self._trace.refuse(
            f"the truth of the option {self._name}, which has a text as its value: compare it, as "
            f"opt.{self._name} == {self._values[0]!r}"
        )

    __hash__ = str.__hash__
