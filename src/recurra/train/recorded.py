"""What a run wrote down, read again: values of the types that it had, or one line."""

import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from recurra.checked import rule_of
from recurra.errors import FormatError
from recurra.given import shown

Record = TypeVar("Record")


def record(cls: type[Record], values: Any, where: str) -> Record:
    """A dataclass of JSON values, each of the type that its field says.

    Whole numbers are from 0 on; numbers may be infinite or NaN; unknown names, as of another
    version, are left out.

    Raises:
        FormatError: a value is missing or of another type; `where` names it.
    """
    if not isinstance(values, Mapping):
        raise FormatError(f"{where}: expected names and values, found {shown(values)}: use --fresh")
    hints = typing.get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in values:
            if field.default is MISSING and field.default_factory is MISSING:
                raise FormatError(f"{where}: {field.name} is missing: start over with --fresh")
            continue
        value, hint = values[field.name], hints[field.name]
        if not _fits(value, hint):
            rule = rule_of(hint)
            raise FormatError(
                f"{where}: {field.name}: expected {rule.words if rule else 'another value'}, "
                f"found {shown(value)}: start over with --fresh"
            )
        found[field.name] = value
    return cls(**found)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON is one of an annotation."""
    if typing.get_origin(hint) is not None and type(None) in typing.get_args(hint):
        return value is None or any(
            _fits(value, one) for one in typing.get_args(hint) if one is not type(None)
        )
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:
        return type(value) is int and 0 <= value < 1 << 63
    if hint is float:
        return type(value) is float or (type(value) is int and math.fabs(value) < 2**63)
    kind = typing.get_origin(hint) or hint
    return isinstance(value, kind)
