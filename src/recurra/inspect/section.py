"""What the report's sections are made of: a picture, three sentences, numbers."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from recurra.inspect.network import Ran
from recurra.inspect.reading import Reading
from recurra.inspect.svg import Series


@dataclass(frozen=True)
class Section:
    """A picture with its three sentences.

    key: of its numbers and its place in the page. picture: HTML. see, why, try_: a sentence each.
    """

    key: str
    title: str
    picture: str
    see: str
    why: str
    try_: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def html(self) -> str:
        """The section as HTML."""
        said = "".join(
            f"<dt>{name}</dt><dd>{escape(text)}</dd>"
            for name, text in (("See", self.see), ("Why", self.why), ("Try", self.try_))
        )
        return (
            f'<section id="{self.key}"><h2>{escape(self.title)}</h2>'
            f'<figure>{self.picture}</figure><dl class="say">{said}</dl></section>'
        )


@dataclass(frozen=True, eq=False)
class Seen:
    """A model that has read the data."""

    model: Any
    reading: Reading
    ran: Ran


def series_of(kind: str, name: str, x: np.ndarray, y: np.ndarray, colour: int = 0) -> Series:
    """A line of the trained model, or dashed of the other, in the same colour."""
    before = kind != "trained"
    label = f"{name}, before" if name and before else name or kind
    return Series(label, x, y, before, colour if name else int(before))
