"""What of a text single units may follow, character by character: quotes, brackets, lines."""

from collections.abc import Sequence

import numpy as np

#: Traits of a text; whether a token has them, or else a number.
TRAITS = {
    "quotes": True,
    "brackets": True,
    "capitals": True,
    "column": False,
    "newline distance": False,
    "indentation": False,
}
#: Those that only lines give a meaning.
OF_LINES = ("column", "newline distance", "indentation")
_OPENING, _CLOSING = "([{", ")]}"


def traits_of(pieces: Sequence[str]) -> dict[str, np.ndarray]:
    """The traits (N,) of a text after each of its tokens.

    quotes: within quotation marks; a straight one opens and closes in turn, an empty line ends all.
    brackets: within brackets of any kind. capitals: whether the token holds an upper-case letter.
    column: characters since the last line's end. newline distance: characters up to the next line's
    end, or the text's. indentation: blanks at the beginning of the line, as far as it was read.
    """
    text = "".join(pieces)
    count = len(text) + 1
    quotes, brackets, indentation = (np.zeros(count, np.int64) for _ in range(3))
    breaks = np.zeros(count, np.int64)  # the place after the last line's end
    quoted, depth, blanks, begun, start = False, 0, 0, False, 0
    for place, sign in enumerate(text, 1):
        if sign == "\n":
            quoted = quoted and begun
            blanks, begun, start = 0, False, place
        elif not begun and sign in " \t":
            blanks += 1
        else:
            begun = True
        if sign == '"':
            quoted = not quoted
        elif sign in "“«":
            quoted = True
        elif sign in "”»":
            quoted = False
        elif sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth = max(0, depth - 1)
        quotes[place], brackets[place] = quoted, depth > 0
        indentation[place], breaks[place] = blanks, start
    lines = np.array([k for k, sign in enumerate(text) if sign == "\n"] + [len(text)])
    after = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    return {
        "quotes": quotes[after],
        "brackets": brackets[after],
        "capitals": np.array([any(s.isupper() for s in piece) for piece in pieces], np.int64),
        "column": after - breaks[after],
        "newline distance": lines[np.searchsorted(lines, after)] - after,
        "indentation": indentation[after],
    }
