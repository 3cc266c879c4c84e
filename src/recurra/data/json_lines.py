"""One line of JSON lines, read so that nothing in it raises anything but one error."""

import json
from typing import Any


class BadJSONError(ValueError):
    """What is wrong with a line, in a few words."""


def parse_line(line: str) -> Any:
    """The value of a line of JSON.

    Raises:
        BadJSONError: it is none, is nested too deeply, or has an integer of thousands of digits.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise BadJSONError(f"{reason} at character {error.pos + 1}") from None
    except RecursionError:
        raise BadJSONError("too deeply nested") from None
    except ValueError:  # Python reads no integer of more than 4,300 digits
        raise BadJSONError("a number has too many digits") from None


def parse_object(line: str) -> dict[str, Any]:
    """The object of a line of JSON; BadJSONError where it is something else."""
    try:
        value = parse_line(line)
    except BadJSONError as error:
        raise BadJSONError(f"expected a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise BadJSONError(f"expected a JSON object, received {type(value).__name__}")
    return value
