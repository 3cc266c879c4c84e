"""What the command line tells on standard error, beside its results."""

import sys
from typing import Any


def note(text: str) -> None:
    """Print one line that is no error."""
    sys.stderr.write(f"recurra: note: {' '.join(text.splitlines())}\n")
    sys.stderr.flush()


def tell(result: Any) -> None:
    """Tell what a result says was left out or switched off."""
    left_out = getattr(result, "left_out", None)
    if left_out:
        note(str(left_out))
    for line in getattr(result, "notes", ()):
        note(line)
