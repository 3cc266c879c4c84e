"""The report: measures of a trained model beside the same model before training, as one page."""

import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from recurra.errors import InputError
from recurra.inspect.differentiable import need_torch
from recurra.inspect.fresh import at_initialisation
from recurra.inspect.language import is_language
from recurra.inspect.results import plain
from recurra.inspect.section import Section
from recurra.inspect.sections import sections
from recurra.inspect.style import STYLE


@dataclass(frozen=True)
class Report:
    """What `report` made.

    name: of the model, as the page shows it. numbers: all that is shown, as JSON values. notes:
    what was left out, and why, a line each.
    """

    name: str
    numbers: dict[str, Any]
    notes: tuple[str, ...]
    _sections: tuple[Section, ...] = field(repr=False, default=())
    _beside: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the page as JSON values."""
        return {"model": self.name, **self.numbers, "notes": list(self.notes)}

    def html(self) -> str:
        """The page: one file, pictures inline, no script, nothing from elsewhere."""
        # The numbers stand in the page as data; no sign in them may end the element.
        data = json.dumps(self.to_dict(), ensure_ascii=True, separators=(",", ":"))
        data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        entries = "".join(
            f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in self._sections
        )
        facts = self.numbers["facts"]
        shown = "".join(
            f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items()
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        if self._beside:
            hollow = "Dashed lines and hollow points are the same model at initialisation."
            notes = f"<li>{hollow}</li>{notes}"
        notes = f'<ul class="notes">{notes}</ul>' if notes else ""
        body = "".join(s.html() for s in self._sections)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{escape(self.name)}, inside</title><style>{STYLE}</style></head><body>"
            f'<header><p class="kind">recurra inspect</p><h1>{escape(self.name)}</h1>'
            f'<dl class="facts">{shown}</dl>{notes}'
            f'<nav aria-label="Contents"><ol>{entries}</ol></nav></header>'
            f"<main>{body}</main>"
            f'<script type="application/json" id="numbers">{data}</script></body></html>\n'
        )

    def write(self, path: str | Path) -> Path:
        """Write the page; InputError where the disk refuses."""
        target = Path(path)
        try:
            target.write_text(self.html(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{target}: {error.strerror}: choose another path") from error
        return target


def report(
    model: Any, data: Any, *, name: str = "model", tokens: int = 2000, seed: int = 0
) -> Report:
    """Measure a model on data, beside the same model at initialisation.

    The same model and data give the same bytes. Without torch, the model at initialisation and
    measures by gradients are left out, which the notes say.

    Args:
        model: a trained recurrent model of any task.
        data: as of `gates`.
        name: how the page calls it.
        tokens: of a text, how many are read.
        seed: of all that is drawn, the weights at initialisation among it.

    Raises:
        InputError: as `gates`.
    """
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 8:
        raise InputError(f"report: tokens: expected a number from 8 on, received {tokens!r}")
    if not (hasattr(model, "runtime") and hasattr(model, "files")):
        raise InputError(f"report: expected a trained model, received a {type(model).__name__}")
    notes = []
    if is_language(model) and isinstance(data, str):
        data, cut = _shortened(model, data, tokens)
        notes += [cut] if cut else []
    other = None
    try:
        need_torch("The model at initialisation")
        other = at_initialisation(model, seed=seed)
    except InputError as error:
        notes.append(str(error))
    made, facts, left = sections(model, other, data, seed=seed)
    numbers = {"facts": facts} | {s.key: _rounded(plain(s.numbers)) for s in made}
    return Report(name, numbers, (*notes, *left), tuple(made), other is not None)


def _shortened(model: Any, text: str, tokens: int) -> tuple[str, str]:
    """The first tokens of a text, and what was left out."""
    ids = model.tokenizer.encode(text)
    if len(ids) <= tokens:
        return text, ""
    kept = text
    while len(model.tokenizer.encode(kept)) > tokens:
        have = len(model.tokenizer.encode(kept))
        kept = kept[: max(1, min(len(kept) - 1, len(kept) * tokens // have))]
    return (
        kept,
        f"Of {len(ids):,} tokens the first {len(model.tokenizer.encode(kept)):,} were read.",
    )


def _rounded(value: Any) -> Any:
    """Numbers to six digits, which is more than a picture shows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value
