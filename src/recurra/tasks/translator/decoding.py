"""From sources to translations, many at a time, with a model that steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from recurra.tasks.answers import Answer
from recurra.tasks.translator.data import longest, pad
from recurra.tasks.translator.search import Hypothesis, Steps, search
from recurra.tasks.translator.settings import TranslationOptions
from recurra.tasks.translator.vocabulary import Vocabulary


@dataclass(frozen=True)
class Translation(Answer):
    """What a source became.

    score: logprob / length ** length_penalty, by which translations of one source are compared.
    logprob: ln P of its tokens and the end. ended: whether it has an end, or was cut at the most
    tokens. others: the further ones of an n-best list, best first.
    """

    source: str
    text: str
    score: float
    logprob: float
    ended: bool = True
    others: "tuple[Translation, ...]" = ()

    def __str__(self) -> str:
        return self.text

    def to_text(self) -> str:
        """A line of text: it, and the others of its n-best list, parted by tabs, best first."""
        return "\t".join(" ".join(one.text.splitlines()) for one in (self, *self.others))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        made: dict[str, Any] = {
            "source": self.source,
            "text": self.text,
            "score": self.score,
            "logprob": self.logprob,
            "ended": self.ended,
        }
        if self.others:
            others = [other.to_dict() for other in self.others]
            made["others"] = [{k: v for k, v in o.items() if k != "source"} for o in others]
        return made


class Reader(Steps, Protocol):
    """A model that reads sources and then steps through targets."""

    def start(
        self, source: np.ndarray, lengths: np.ndarray, *, copied: np.ndarray | None = None
    ) -> Any:
        """Read sources, ids (B, S) of which the first `lengths` (B,) count: the state of each."""
        ...


class Decoder:
    """Translates with a model.

    Args:
        model: what steps.
        vocabulary: its tokens.
        growth: bounds how long a translation gets: see `longest`.
        copy: tell the model what copies of a source's tokens write.
    """

    def __init__(self, model: Reader, vocabulary: Vocabulary, *, growth: float, copy: bool) -> None:
        self._model, self._vocabulary, self._growth = model, vocabulary, growth
        self._copy = copy
        unknown = vocabulary.target.unk_id
        self._banned = () if unknown is None else (unknown,)

    def translate(self, sources: Sequence[str], options: TranslationOptions) -> list[Translation]:
        """The best translation of each source, in their order."""
        ids = [self._vocabulary.read_source(text) for text in sources]
        # Those of similar length together: less padding, and they end at about the same time.
        order = np.argsort([len(row) for row in ids], kind="stable")
        made: list[Translation | None] = [None] * len(sources)
        for first in range(0, len(order), options.side_by_side):
            rows = order[first : first + options.side_by_side]
            found = self._search([sources[i] for i in rows], [ids[i] for i in rows], options)
            for row, translation in zip(rows.tolist(), found, strict=True):
                made[row] = translation
        return [translation for translation in made if translation is not None]

    def _search(
        self, sources: Sequence[str], ids: Sequence[np.ndarray], options: TranslationOptions
    ) -> list[Translation]:
        padded, lengths = pad(ids)
        copied = None
        if self._copy:
            copied, _ = pad([self._vocabulary.read_copy(text, None)[0] for text in sources])
        most = [longest(self._growth, length) for length in lengths.tolist()]
        found = search(
            self._model,
            self._model.start(padded, lengths, copied=copied),
            most if options.max_tokens is None else [options.max_tokens] * len(most),
            start=self._vocabulary.end,
            end=self._vocabulary.end,
            beams=options.beams,
            n_best=options.n_best,
            length_penalty=options.length_penalty,
            banned=self._banned,
        )
        return [self._translation(*each) for each in zip(sources, found, strict=True)]

    def _translation(self, source: str, found: Sequence[Hypothesis]) -> Translation:
        made = [
            Translation(source, self._vocabulary.write(h.ids, source), h.score, h.logprob, h.ended)
            for h in found
        ]
        if not made:  # nothing may be written but <unk>
            return Translation(source, "", -math.inf, -math.inf, False)
        best, *others = made
        return Translation(source, best.text, best.score, best.logprob, best.ended, tuple(others))
