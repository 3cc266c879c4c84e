"""Model cards: what a model directory says to a person, in one form for all tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.network import NetworkConfig
from recurra.train.config import plan_note

_LONGEST = 80  # characters of a name that a card shows
_NAMES = 20  # labels or tags that a card lists


@dataclass(frozen=True)
class Card:
    """What a task says of a model of its own.

    Attributes:
        title: what the model is, as in "A recurrent sequence tagger".
        pipeline: the task's name on model hubs.
        tags: further words to find it by.
        about: sentences; the last is of the training data, and the card ends it with the seed.
        held_out: what the figures are of.
        example: the line of Python that uses `model`.
        names: what it tells apart, such as "Labels", and those.
        loss: what the figure `loss` is.
    """

    title: str
    pipeline: str
    tags: tuple[str, ...]
    about: str
    held_out: str
    example: str
    names: tuple[str, Sequence[str]] | None = None
    loss: str = "loss"


def write_card(
    card: Card, config: NetworkConfig, training: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """README.md of a model directory: YAML front matter, data, figures, how to run it."""
    named = {card.loss if name == "loss" else name: value for name, value in metrics.items()}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in named.items())
    precision = "" if config.precision == "float32" else ", products in bfloat16"
    told = f" with seed {training['train']['seed']}{plan_note(training)}{precision}."
    if card.names is not None:
        what, names = card.names
        shown_names = ", ".join(f"`{shown(name)}`" for name in names[:_NAMES])
        told += f" {what}: {shown_names}{' …' if len(names) > _NAMES else ''}."
    return f"""---
library_name: recurra
pipeline_tag: {card.pipeline}
tags: [{", ".join(("recurra", config.cell, *card.tags))}]
---
# A recurrent {card.title}

{card.about}{told}
{remarks(training)}
| {card.held_out} | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print({card.example})
```
"""


def layers_of(config: NetworkConfig) -> str:
    """The recurrent layers in words: "2 bidirectional GRU layers of 64 units"."""
    both = "bidirectional " if config.is_bidirectional else ""
    layers = "layer" if config.layers == 1 else "layers"
    return f"{config.layers} {both}{config.cell.upper()} {layers} of {config.hidden} units"


def shown(name: str) -> str:
    """A label, column or file name within a line of a card.

    Line ends, control characters and halves of surrogate pairs are written as Python writes them,
    backticks as quotes; of a long name the beginning is shown. Any other name is itself.
    """
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    letters = (c if c.isprintable() else repr(c)[1:-1] for c in short.replace("`", "'"))
    return "".join(letters)
