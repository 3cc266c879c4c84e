"""What the cards of all tasks share: names that people gave, as a card can show them."""

_LONGEST = 80  # characters of a name that a card shows


def shown(name: str) -> str:
    """A label, column or file name within a line of a card.

    Line ends, control characters and halves of surrogate pairs are written as Python writes them,
    backticks as quotes; of a long name the beginning is shown. Any other name is itself.
    """
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    letters = (c if c.isprintable() else repr(c)[1:-1] for c in short.replace("`", "'"))
    return "".join(letters)
