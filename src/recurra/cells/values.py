"""JSON values that a stranger wrote, as what they ought to be: one line for what they are not."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from recurra.errors import FormatError
from recurra.given import brief

_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_NAME = 100  # characters


class Values:
    """Reads values; raises FormatError, which begins with `where`.

    Args:
        where: of which file.
        limits: how many values a list has at most, by the last word of what it is.
        most: of any other list.
    """

    def __init__(self, where: str, limits: Mapping[str, int], most: int) -> None:
        self.where, self.limits, self.most = where, limits, most

    def number(self, value: Any, what: str) -> float:
        """Return a number; infinities and nan are texts."""
        if isinstance(value, str) and value in _NUMBERS:
            return _NUMBERS[value]
        return self.finite(value, what)

    def finite(self, value: Any, what: str) -> float:
        """Return a number of 64 bits."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(f"{what}: expected a number, received {brief(value)}")
        try:
            return float(value)
        except OverflowError:
            self.refuse(f"{what}: expected a number of 64 bits, received a larger one")

    def names(self, given: Any, what: str) -> tuple[str, ...]:
        """Return names that differ, at least one."""
        found = tuple(self.name(name, what) for name in self.items(given, what, least=1))
        if len(set(found)) < len(found):
            self.refuse(f"{what}: expected names that differ")
        return found

    def name(self, value: Any, what: str) -> str:
        """Return a name."""
        if not isinstance(value, str) or not 0 < len(value) <= _NAME:
            self.refuse(
                f"{what}: expected a name of 1 to {_NAME} characters, received {brief(value)}"
            )
        return value

    def among(self, name: Any, known: Iterable[str], what: str) -> str:
        """Return a name of those that are known."""
        if name not in known:
            self.refuse(f"{what}: expected one of {', '.join(known)}, received {brief(name)}")
        return str(name)

    def items(self, given: Any, what: str, *, least: int = 0, exactly: int = 0) -> list[Any]:
        """Return a list of so many values."""
        if not isinstance(given, list):
            self.refuse(f"{what}: expected a list, received {brief(given)}")
        most = self.limits.get(what.rpartition(" ")[2], self.most)
        if len(given) < least or len(given) > most or (exactly and len(given) != exactly):
            count = exactly or f"{least} to {most}"
            self.refuse(f"{what}: expected {count} values, received {len(given)}")
        return given

    def table(self, given: Any, what: str) -> Mapping[str, Any]:
        """Return a JSON object."""
        if not isinstance(given, Mapping):
            self.refuse(f"{what}: expected a JSON object, received {brief(given)}")
        return given

    def keys(self, table: Mapping[str, Any], expected: set[str], what: str) -> None:
        """Refuse a table of other fields."""
        if set(table) != expected:
            odd = sorted(set(table) ^ expected)[0]
            state = "is missing" if odd in expected else "is unknown"
            self.refuse(f"{what}: expected {', '.join(sorted(expected))}; {brief(odd)} {state}")

    def refuse(self, text: str) -> NoReturn:
        """Raise the error."""
        raise FormatError(f"{self.where}: {text}") from None


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
