"""What can go wrong, told in one line: where, what was expected, what was received, what to do."""

import re

#: Characters of a message. What stands in files may be millions of them.
LONGEST = 1000
#: What ends a line, moves a terminal's cursor, turns the direction of writing, or is no character.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BLANKS = re.compile("[\t\r\n]+")


def one_line(text: str) -> str:
    """A text as one line: line ends become blanks, other control characters their escapes.

    Messages quote what stands in files and names, which strangers may have written. Of a text
    longer than `LONGEST` the middle is left out.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 400]} … {text[-380:]}"
    line = _CONTROL.sub(lambda sign: ascii(sign[0])[1:-1], _BLANKS.sub(" ", text))
    return line if len(line) <= 2 * LONGEST else f"{line[: 2 * LONGEST - 2]} …"


class RecurraError(Exception):
    """Base of every error this package raises on purpose."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(RecurraError, ValueError):
    """Something the user gave (an argument, a file, a text) cannot be used as it is."""


class RecurraWarning(UserWarning):
    """Something works, but not as well as it could."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class FormatError(RecurraError):
    """A file of ours is damaged, foreign, or from a newer version."""
