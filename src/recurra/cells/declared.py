"""What a definition declares of itself (names, states, gates, options), and where it stands."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from recurra.cells.matrices import GIVEN_FORMS, MOST
from recurra.errors import InputError

#: Options every definition may list that are on or off. Any other is a choice, `name=first|second`.
SWITCHES = ("norm", "peephole", "projection")
#: Arguments of every definition, which no state, gate or option can be named.
ARGUMENTS = ("x", "u", "opt")
#: What `Cell.program` takes beside the options, and `opt` has beside them.
_TAKEN = (*ARGUMENTS, "raw", "bias", "activation", "recurrent_activation", "project")


def name(define: object) -> str:
    """Return the name of a function; InputError where it is none, or has none."""
    found = getattr(define, "__name__", None)
    if not callable(define) or not isinstance(found, str):
        raise InputError(
            f"cell: expected a function with a name, as `def my_cell(x, u, h, opt)`, received "
            f"{type(define).__name__}"
        )
    return found


def line(define: Any) -> int | None:
    """The line where a function begins; None where it was not written in Python."""
    code = getattr(inspect.unwrap(define), "__code__", None)
    return None if code is None else int(code.co_firstlineno)


def place(define: Any) -> str:
    """Where a function was written, as " (my.py, line 3)"; "" where that is not known."""
    file, number = _file(define), line(define)
    if file is None or number is None or file.startswith("<"):
        return f" (line {number})" if number else ""
    return f" ({file.replace(chr(92), '/').rpartition('/')[2]}, line {number})"


def line_of(error: BaseException, define: Any) -> int | None:
    """The line of a definition's file where an error was raised, or that called what raised it."""
    file, found = _file(define), None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def located(cell: str, line: int | None, text: str) -> str:
    """One line that says which cell, where, and what."""
    where = f"cell {cell}, line {line}" if line else f"cell {cell}"
    return " ".join(f"{where}: {text}".split())


def same_place(one: Any, other: Any) -> bool:
    """Whether two functions are of one module, or of one file: as a script and imported."""
    if getattr(one, "__module__", None) == getattr(other, "__module__", None):
        return True
    file = _file(one)
    return file is not None and not file.startswith("<") and file == _file(other)


def words(given: object, what: str) -> tuple[str, ...]:
    """Return the names in a text, each once; InputError where it is none or has none."""
    if not isinstance(given, str):
        raise InputError(
            f"{what}: expected names in one text, separated by blanks, received {_shown(given)}: "
            f'write {what}="a b"'
        )
    found = tuple(given.split())
    if not found:
        raise InputError(f"{what}: expected at least one name, received {given!r}")
    _check_names(found, what, ARGUMENTS)
    return found


def states(given: object) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the states of a text, "h c n=1 m=-inf", and what each starts from."""
    if not isinstance(given, str):
        words(given, "states")
        raise AssertionError
    names, starts = [], []
    for item in given.split():
        one, equals, text = item.partition("=")
        try:
            start = float(text) if equals else 0.0
        except ValueError:
            start = math.nan
        if math.isnan(start):
            raise InputError(
                f"states: {item!r}: expected a name, or name=start with a number, as n=1 or m=-inf"
            )
        if one.startswith("before_"):
            raise InputError(
                f"states: the name {one!r} is taken by the states of before(): choose another"
            )
        names.append(one)
        starts.append(start)
    return words(" ".join(names), "states"), tuple(starts)


def inputs(given: object, gates: tuple[str, ...]) -> dict[str, int]:
    """Return the further inputs of a text, "x dt:1", by their sizes."""
    found: dict[str, int] = {}
    if not isinstance(given, str):
        raise InputError(
            f"inputs: expected names in one text, separated by blanks, received {_shown(given)}: "
            'write inputs="x dt:1"'
        )
    first, *items = given.split() or [""]
    if first != "x":
        raise InputError(
            f'inputs: expected x first, and then further ones, as "x dt:1", received {given!r}'
        )
    for item in items:
        one, _, size = item.partition(":")
        fits = size.isascii() and size.isdigit() and 0 < int(size) <= MOST
        if not one.isidentifier() or one.startswith("_") or not fits:
            raise InputError(
                f"inputs: {item!r}: expected name:size, as dt:1 of one number a step, or s:27"
            )
        if one in gates or one in found or one in (*_TAKEN, *GIVEN_FORMS):
            raise InputError(f"inputs: the name {one!r} is taken: choose another")
        found[one] = int(size)
    return found


def options(given: object) -> dict[str, tuple[str | bool | float, ...]]:
    """Return the options of a text to their values, the default first."""
    if not isinstance(given, str):
        raise InputError(
            f"options: expected them in one text, separated by blanks, received {_shown(given)}: "
            'write options="norm reset=after|before"'
        )
    items = [_option(item) for item in given.split()]
    _check_names([name for name, _ in items], "options", _TAKEN)
    return dict(items)


def learnt(given: object) -> dict[str, int]:
    """Return the further parameters of a text, "w alpha:1", by how many numbers they are; 0: H."""
    if not isinstance(given, str):
        raise InputError(
            f"learnt: expected names in one text, separated by blanks, received {_shown(given)}: "
            'write learnt="w alpha:1"'
        )
    found = []
    for item in given.split():
        one, colon, size = item.partition(":")
        if not one.isidentifier() or one.startswith("_") or (colon and size != "1"):
            raise InputError(
                f"learnt: {item!r}: expected a name, of a number for each unit, or name:1, of one "
                "for all"
            )
        found.append((one, int(bool(colon))))
    _check_names([one for one, _ in found], "learnt", (*_TAKEN, *SWITCHES))
    return dict(found)


def fixed(given: object) -> dict[str, int]:
    """Return vectors that are not learnt, "period", as `learnt` returns others: -1."""
    if not isinstance(given, str):
        raise InputError(
            f"fixed: expected names in one text, separated by blanks, received {_shown(given)}: "
            'write fixed="period"'
        )
    names = given.split()
    if odd := [one for one in names if not one.isidentifier() or one.startswith("_")]:
        raise InputError(f"fixed: {odd[0]!r}: expected a name, of a number for each unit")
    _check_names(names, "fixed", (*_TAKEN, *SWITCHES, "ih", "hh"))
    return dict.fromkeys(names, -1)


def starts(
    given: object, gates: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, Callable[..., Any]]]:
    """Return what gates' biases and learnt parameters start from, and what draws whole ones."""
    if given is None:
        return {}, {}
    if not isinstance(given, Mapping):
        raise InputError(
            f'init: expected numbers by gate, as {{"f": 1.0}}, received {_shown(given)}'
        )
    drawn = {str(name): value for name, value in given.items() if callable(value)}
    given = {name: value for name, value in given.items() if not callable(value)}
    if unknown := [g for g in given if g not in gates]:
        raise InputError(
            f"init names {unknown}, which are no gates of it: its gates are {' '.join(gates)} "
            "(parameters of learnt= among them)"
        )
    for gate, value in given.items():
        if not isinstance(value, Real) or not math.isfinite(value):
            raise InputError(f"init: expected a finite number for {gate}, received {value!r}")
    return {gate: float(value) for gate, value in given.items()}, drawn


def check(
    define: Callable[..., Any],
    states: tuple[str, ...],
    gates: tuple[str, ...],
    options: Iterable[str],
) -> None:
    """Refuse names that collide, and arguments that are not what a definition is called with."""
    if hidden := [g for g in gates if g.startswith("_")]:
        raise InputError(
            f"gates: x.{hidden[0]} would not be a gate: choose a name that begins with a letter"
        )
    names = list(options)
    if both := [o for o in names if o in states or names.count(o) > 1]:
        raise InputError(
            f"{both[0]!r} is a state and an option, or both learnt and an option: choose another "
            "name for one"
        )
    if odd := [s for s in states if not s.isidentifier()]:
        raise InputError(
            f"states: {odd[0]!r} cannot be an argument: expected names separated by blanks"
        )
    try:
        arguments = inspect.signature(define).parameters
    except (TypeError, ValueError):
        raise InputError(
            "expected a function of Python, whose arguments can be seen, received "
            f"{type(define).__name__}: write it with def"
        ) from None
    expected = ("x", "u", *states, "opt")
    if tuple(arguments) != expected:
        raise InputError(
            f"expected the arguments ({', '.join(expected)}), received ({', '.join(arguments)}): "
            "they are x, u, its states in their order, opt"
        )
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if odd := [n for n, p in arguments.items() if p.kind not in kinds]:
        raise InputError(f"expected plain arguments by place, received * before {odd[0]}")


def number(value: object, where: str) -> float:
    """Return a finite number, given as one or as its text."""
    found = _number(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, Real) or not math.isfinite(found):
        raise InputError(f"{where}: expected a finite number, received {kind(value)}")
    return float(found)


def _number(text: str) -> float | None:
    """A finite number; None for what is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _option(item: str) -> tuple[str, tuple[str | bool | float, ...]]:
    option, equals, text = item.partition("=")
    if option in SWITCHES and not equals:
        return option, (False, True)
    values = tuple(text.split("|"))
    if equals and (number := _number(text)) is not None and option.isidentifier():
        return option, (number,)
    if not equals or len(values) < 2 or option in SWITCHES:
        raise InputError(
            f"option {item!r}: expected one of {', '.join(SWITCHES)}, a choice name=first|second, "
            "or a number name=0.5"
        )
    if not option.isidentifier() or option.startswith("_"):
        raise InputError(f"option {item!r}: {option!r} cannot be written as opt.NAME: rename it")
    if len(set(values)) < len(values) or "" in values:
        raise InputError(f"option {item!r}: expected values that differ, and none that is empty")
    return option, values


def _check_names(found: Iterable[str], what: str, taken: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for one in found:
        if one in taken:
            raise InputError(f"{what}: the name {one!r} is taken: choose another")
        if one in seen:
            raise InputError(f"{what}: {one!r} appears twice: expected every name once")
        seen.add(one)


def _file(define: Any) -> str | None:
    code = getattr(inspect.unwrap(define), "__code__", None)
    return None if code is None else str(code.co_filename)


def _shown(value: object) -> str:
    return value.__class__.__name__ if value is not None else "None"


def kind(value: object) -> str:
    """A truth value, a number or a short text as it is, anything else by its kind."""
    short = isinstance(value, str) and len(value) < 60
    number = isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 1 << 64)
    return repr(value) if short or number else _shown(value)
