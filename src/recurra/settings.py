"""Tables of settings: each described once, checked together, and read for the command line."""

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from recurra.errors import InputError
from recurra.given import brief


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    whole: bool = False,
    switch: bool = False,
    nullable: bool = False,
    free: bool = False,
    text: bool = False,
    later: bool = False,
    objects: bool = False,
    python: bool = False,
) -> Any:
    """A field with its one description.

    A field with `choices` is one of those strings; one with `words` may be one of them instead of a
    number; one that is `text` is any string. One that is a `switch`, or whose default is a bool, is
    true or false. A number is whole or not, in a range closed at `least` and `most`, open at
    `above` and `below`. A field whose default is None, or that is `nullable`, may be None. `free`
    marks what may change when a run is resumed, because the result does not depend on it; `later` a
    field that runs were written without, which had its default. One that takes `objects` may be
    anything but a wrong text: whoever uses it checks it. One of `python` is no option of the
    command line.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "words": words,
        "limits": {"at least": least, "above": above, "at most": most, "below": below},
        "whole": whole,
        "switch": switch or isinstance(default, bool),
        "nullable": nullable or default is None,
        "free": free,
        "text": text,
        "later": later,
        "objects": objects,
        "python": python,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of a frozen table of settings made with `option`."""

    #: Old names of fields: the new name, and what values of before are now.
    renamed: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {}

    def mistakes(self) -> list[str]:
        """What is wrong with the values, a line each; empty where nothing is."""
        return [text for field in dataclasses.fields(self) for text in self._wrong(field)]

    def validate(self) -> Self:
        """Return these settings; one InputError lists every mistake in them."""
        check(self)
        return self

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def identity(self) -> dict[str, Any]:
        """The fields by which runs are compared: those that came later only where they say more."""
        later = {
            field.name: field.default
            for field in dataclasses.fields(self)
            if field.metadata["later"]
        }
        return {k: v for k, v in self.to_json().items() if k not in later or later[k] != v}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The settings `to_json` wrote; InputError names fields this version does not know."""
        if not isinstance(values, Mapping):
            raise InputError(
                f"settings: expected a table of names and values, received {brief(values)}"
            )
        values = _renamed(values, cls)
        unknown = sorted(set(values) - set(cls.names()))
        if unknown:
            raise InputError(
                f"unknown settings: {', '.join(unknown)}; known: {', '.join(cls.names())}"
            )
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**known).validate()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The table as a JSON schema (2020-12): what `from_json` reads."""
        properties = {field.name: _schema(field) for field in dataclasses.fields(cls)}
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def _wrong(self, field: "dataclasses.Field[Any]") -> list[str]:
        value, rule = getattr(self, field.name), field.metadata
        if (value is None and rule["nullable"]) or (
            isinstance(value, str) and value in rule["words"]
        ):
            return []
        if rule["objects"] and not isinstance(value, str):
            return []
        if rule["choices"]:
            right = isinstance(value, str) and value in rule["choices"]
            expected = f"one of {', '.join(rule['choices'])}"
        elif rule["text"]:
            right = isinstance(value, str) and (value != "" or rule["python"])
            expected = "a text"
        elif rule["switch"]:
            right, expected = isinstance(value, bool), "true or false"
        elif isinstance(field.default, tuple):
            size = len(field.default)
            expected = _range(rule, size)
            right = (
                isinstance(value, tuple)
                and len(value) == size
                and all(_is_number(number, rule) for number in value)
            )
        else:
            right, expected = _is_number(value, rule), _range(rule, 1)
        return [] if right else [f"{field.name} must be {expected}, received {brief(value)}"]


def check(*tables: Settings, more: Sequence[str] = ()) -> None:
    """Raise one InputError that lists every mistake of some tables, and `more`."""
    mistakes = [text for table in tables for text in table.mistakes()] + list(more)
    if mistakes:
        raise InputError("settings: " + "; ".join(mistakes))


def sort(settings: Mapping[str, Any], *tables: type[Settings]) -> list[dict[str, Any]]:
    """Settings by the table that has them; InputError for names that none has."""
    for table in tables:
        settings = _renamed(settings, table)
    known = [name for table in tables for name in table.names()]
    unknown = [name for name in settings if name not in known]
    if unknown:
        close = {n: difflib.get_close_matches(n, known, 1) for n in unknown}
        texts = [f"{n} (did you mean {c[0]}?)" if c else n for n, c in close.items()]
        raise InputError(f"unknown settings: {', '.join(texts)}; known: {', '.join(known)}")
    return [{k: v for k, v in settings.items() if k in table.names()} for table in tables]


def _renamed(values: Mapping[str, Any], table: type[Settings]) -> Mapping[str, Any]:
    """Values under the names of now."""
    old = {name: pair for name, pair in table.renamed.items() if name in values}
    if not old:
        return values
    kept = {name: value for name, value in values.items() if name not in old}
    for name, (new, meanings) in old.items():
        given = values[name]
        if new not in kept:
            kept[new] = meanings.get(given, given) if isinstance(given, str) else given
    return kept


def explain(table: type[Settings]) -> str:
    """The fields of a table for `help`: a line each, with meaning, range and default."""
    return "\n".join(
        f"    {field.name}: {_explained(field)}" for field in dataclasses.fields(table)
    )


def _explained(field: "dataclasses.Field[Any]") -> str:
    rule, default = field.metadata, field.default
    bounds = [f"{name} {limit:g}" for name, limit in rule["limits"].items() if limit is not None]
    ranges = [", ".join(rule["choices"]), " and ".join(bounds)]
    ends = [text for text in ranges if text]
    if default is not None:
        ends.append(f"default {list(default) if isinstance(default, tuple) else default}")
    return rule["help"] + (f" ({'; '.join(ends)})" if ends else "")


def _schema(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    rule, default = field.metadata, field.default
    bounds = {_BOUNDS[name]: limit for name, limit in rule["limits"].items() if limit is not None}
    number = {"type": "integer" if rule["whole"] else "number", **bounds}
    kinds: list[dict[str, Any]] = [number]
    if rule["choices"]:
        kinds = [{"enum": list(rule["choices"])}]
    elif rule["text"]:
        kinds = [{"type": "string"}]
    elif rule["switch"]:
        kinds = [{"type": "boolean"}]
    elif isinstance(default, tuple):
        size = len(default)
        kinds = [{"type": "array", "items": number, "minItems": size, "maxItems": size}]
    kinds += [{"enum": list(rule["words"])}] if rule["words"] else []
    kinds += [{"type": "null"}] if rule["nullable"] else []
    shape = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    first = list(default) if isinstance(default, tuple) else default
    return {"description": rule["help"], "default": first, **shape}


_BOUNDS = {
    "at least": "minimum",
    "above": "exclusiveMinimum",
    "at most": "maximum",
    "below": "exclusiveMaximum",
}


def _is_number(value: Any, rule: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if rule["whole"] else int | float):
        return False
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return False
    limits = rule["limits"]
    return (
        math.isfinite(value)
        and (limits["at least"] is None or value >= limits["at least"])
        and (limits["above"] is None or value > limits["above"])
        and (limits["at most"] is None or value <= limits["at most"])
        and (limits["below"] is None or value < limits["below"])
    )


def _range(rule: Mapping[str, Any], numbers: int) -> str:
    noun = "whole number" if rule["whole"] else "number"
    limits = [f"{name} {limit:g}" for name, limit in rule["limits"].items() if limit is not None]
    what = f"a {noun}" if numbers == 1 else f"{numbers} {noun}s"
    words = [f" or {word}" for word in rule["words"]]
    return f"{what} {' and '.join(limits)}".rstrip() + "".join(words)
