"""Stop strings: where a text ends, whatever tokens it came in."""

from typing import NamedTuple


class Scan(NamedTuple):
    """What one more piece of text led to."""

    text: str
    """decided: part of the text whatever follows"""
    held: str
    """undecided: the beginning of a stop string, perhaps"""
    stopped: bool


class StopStrings:
    """Finds the first stop string to be completed, reading a text in pieces.

    The first is the one that ends first; of those that end together, the longest. So where the
    text is cut does not depend on how it was cut into pieces. Holds no position: `scan` is a
    function of what was held back and what is new, so a text may fork.
    """

    def __init__(self, stops: tuple[str, ...], *, include: bool = False) -> None:
        self.stops = stops
        self.include = include
        beginnings = {stop[:n] for stop in stops for n in range(1, len(stop))}
        self._beginnings = tuple(sorted(beginnings, key=len, reverse=True))

    def scan(self, held: str, new: str) -> Scan:
        """Read `new` after `held`, the undecided text of the scan before."""
        if not self.stops:
            return Scan(new, "", False)
        text = held + new
        found = [(at + len(stop), at) for stop in self.stops if (at := text.find(stop)) >= 0]
        if found:
            end, start = min(found)
            return Scan(text[: end if self.include else start], "", True)
        if text.endswith(self._beginnings):
            n = next(len(s) for s in self._beginnings if text.endswith(s))
            return Scan(text[:-n], text[-n:], False)
        return Scan(text, "", False)
