"""Arguments compared with the types that a function is annotated with, before it runs."""

import functools
import inspect
import operator
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

import numpy as np

from recurra.errors import InputError
from recurra.given import an, is_frame, is_path, is_series, is_tensor, path_of, plain, shown

Function = TypeVar("Function", bound=Callable[..., Any])


class Rule(NamedTuple):
    """right: whether a value is. words: what is expected. made: what the function is given."""

    right: Callable[[Any], bool]
    words: str
    made: Callable[[Any], Any] = lambda value: value


def checked(function: Function) -> Function:
    """Refuse arguments that are not of the annotated types, in one line that names the argument.

    Understood are `bool`, `int`, `float`, `str`, paths, arrays of numbers, other classes, None,
    and unions, sequences and mappings of these; any other annotation accepts everything. Numbers
    of numpy are numbers; an argument annotated as an array reaches the function as one of numpy,
    whatever held its numbers. Values out of range are left to the function.

    Raises (when called):
        InputError: an argument is of another type: `function: argument: expected …, received …`.
    """
    signature = inspect.signature(function)
    made = function.__name__ == "__init__"  # then the class that is being made is named
    rules: dict[str, Rule] = {}

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not rules:
            rules.update(_rules_of(function, signature))
        bound = signature.bind(*arguments, **named)
        for name, value in bound.arguments.items():
            rule = rules.get(name)
            if rule is None:
                continue
            bound.arguments[name] = rule.made(value)
            if not _holds(rule.right, bound.arguments[name]):
                where = type(arguments[0]).__name__ if made else function.__name__
                received = _received(rule, value)
                text = isinstance(value, str) and "path" in rule.words
                hint = ": a text is not a path: write it to a file" if text else ""
                raise InputError(
                    f"{where}: {name}: expected {rule.words}, received {received}{hint}"
                )
        return function(*bound.args, **bound.kwargs)

    return typing.cast(Function, call)


def _received(rule: Rule, value: Any) -> str:
    """What was given; of a list, also the first item that is not as expected."""
    if rule.made is _listed and isinstance(value, list | tuple):
        for number, item in enumerate(value):
            if not _holds(rule.right, [item]):
                return f"{shown(value)}, whose item {number} is {shown(item)}"
    return shown(value)


def _holds(right: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(right(value))
    except Exception:  # what breaks when it is looked at is no value of any type
        return False


def _rules_of(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, Rule]:
    """The rules of the parameters whose annotations are understood."""
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except NameError:  # a type imported for type checkers alone
        hints = {n: p.annotation for n, p in signature.parameters.items()}
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    rules: dict[str, Rule] = {"": Rule(lambda value: True, "")}
    for name, parameter in signature.parameters.items():
        rule = rule_of(hints.get(name, Any)) if parameter.kind not in variable else None
        if rule is not None:
            rules[name] = rule
    return rules


def rule_of(hint: Any) -> Rule | None:
    """The rule of an annotation; None where it accepts everything."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(inner)
    if hint is Any:
        return None
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is np.ndarray or origin is np.ndarray:
        return _ARRAY
    if _is_path_type(hint):
        return Rule(_is_path, "a path")
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Rule(lambda value: isinstance(value, Mapping), "a table of names and values")
    if origin is tuple and inner[-1:] != (...,):
        return _tuple(inner)
    if isinstance(origin, type) and issubclass(origin, Iterable) and inner:
        return _many(inner[0], sized=issubclass(origin, Sequence))
    if isinstance(hint, type) and origin is None and hint is not object:
        if getattr(hint, "_is_protocol", False):
            return None
        return Rule(lambda value: isinstance(value, hint), _CALLED.get(hint) or an(hint.__name__))
    return None


def _union(hints: Sequence[Any]) -> Rule | None:
    # A path may be a text, so a text beside a path is one, too.
    path = any(_is_path_type(hint) for hint in hints)
    rules = [rule_of(hint) for hint in hints if not (path and hint is str)]
    known = [rule for rule in rules if rule is not None]
    if len(known) < len(rules):
        return None
    words = " or ".join(dict.fromkeys(rule.words for rule in known))
    lists = any(rule.made is _listed for rule in known)

    def right(value: Any) -> bool:
        return any(_holds(rule.right, value) for rule in known)

    return Rule(right, words, _listed) if lists else Rule(right, words)


def _tuple(hints: Sequence[Any]) -> Rule | None:
    rules = [rule_of(hint) for hint in hints]

    def right(value: Any) -> bool:
        return (
            isinstance(value, list | tuple)
            and len(value) == len(rules)
            and all(r is None or _holds(r.right, v) for r, v in zip(rules, value, strict=True))
        )

    each = " and ".join(dict.fromkeys(rule.words for rule in rules if rule))
    return Rule(right, f"a tuple of {len(rules)}, each {each}", _listed)


def _many(hint: Any, *, sized: bool) -> Rule:
    rule = rule_of(hint)

    def right(value: Any) -> bool:
        wrong = isinstance(value, str | bytes | bytearray | Mapping | set | frozenset)
        if wrong or is_frame(value):
            return False
        if not hasattr(value, "__len__"):  # read once, so not here
            return not sized and isinstance(value, Iterable)
        items = list(value)
        return rule is None or all(_holds(rule.right, item) for item in items)

    return Rule(right, "a list" if rule is None else f"a list, each {rule.words}", _listed)


def _listed(value: Any) -> Any:
    """A list of what stands in an array, a tensor or a Series; anything else as it is."""
    if not (isinstance(value, np.ndarray) or is_tensor(value) or is_series(value)):
        return value
    array = _array(value)
    return list(array) if np.ndim(array) else value


def _is_path_type(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and (kind is os.PathLike or issubclass(kind, PurePath))


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (type(value) is int and value in (0, 1))


def _is_whole(value: Any) -> bool:
    return abs(operator.index(value)) < 2**63


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray) or np.ndim(value):
        return False
    float(value)  # which fails for what is no number, and for integers beyond its range
    return True


def _is_path(value: Any) -> bool:
    if not is_path(value):
        return False
    path_of(value, "", "", new=isinstance(value, os.PathLike))  # which no text is
    return True


def _array(value: Any) -> Any:
    """An array of what can be one, as lists, tensors and Series; anything else as it is."""
    try:
        return np.asarray(plain(value))
    except Exception:  # of whatever kind: it is refused as no array
        return value


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


_ARRAY = Rule(_is_array, "an array of numbers", _array)

_CALLED: dict[type, str] = {bytes: "bytes", list: "a list", dict: "a dictionary"}
_PLAIN: dict[Any, Rule] = {
    bool: Rule(_is_bool, "True or False"),
    int: Rule(_is_whole, "a whole number"),
    float: Rule(_is_number, "a number"),
    str: Rule(lambda value: isinstance(value, str), "a text"),
    type(None): Rule(lambda value: value is None, "None"),
}
