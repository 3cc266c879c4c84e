"""From sources to translations, many at a time, with a model that steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from recurra.errors import InputError
from recurra.generate.sampling import largest
from recurra.tasks.answers import Answer
from recurra.tasks.translator.data import longest, pad
from recurra.tasks.translator.search import Hypothesis, Steps, log_softmax, search
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


@dataclass(frozen=True, eq=False)
class Written:
    """A translation that is written token by token.

    ids: its tokens, the end not among them. total: ln P of them, and of the end where there is one.
    state: of the model, after all of them but the last. limit: the most tokens, with the end.
    length: how many there are, with the end. ended: it goes on no further. whole: it has an end.
    """

    ids: tuple[int, ...]
    total: float
    state: Any
    limit: int
    length: int = 0
    ended: bool = False
    whole: bool = False


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

    def begin(self, source: str, options: TranslationOptions) -> Written:
        """A translation of which nothing is written."""
        state, limits = self._start([source], [self._vocabulary.read_source(source)], options)
        return Written((), 0.0, state, limits[0])

    def write(
        self, source: str, before: Written, options: TranslationOptions, forced: int | None = None
    ) -> Written:
        """One token more: the most probable, as a search with one beam has it, or a `forced` one.

        Raises:
            InputError: a forced token that cannot be.
        """
        last = before.ids[-1] if before.ids else self._vocabulary.end
        logits, state = self._model.step(np.array([last]), before.state)
        found = log_softmax(logits)[0]
        found[list(self._banned)] = -math.inf
        if forced is not None and not 0 <= forced < len(found):
            raise InputError(f"expected tokens below {len(found)}, received {forced}")
        token = int(largest(found, 1)[0]) if forced is None else forced
        if found[token] == -math.inf:  # nothing may be written but <unk>
            return replace(before, total=-math.inf, ended=True)
        length, whole = before.length + 1, token == self._vocabulary.end
        return Written(
            before.ids if whole else (*before.ids, token),
            before.total + float(found[token]),
            state,
            before.limit,
            length,
            whole or length == before.limit,
            whole,
        )

    def tokens(self, written: Written) -> tuple[int, ...]:
        """All tokens that are written, with the end."""
        return (*written.ids, self._vocabulary.end) if written.whole else written.ids

    def again(self, source: str, ids: Sequence[int], options: TranslationOptions) -> Written:
        """A translation of which these tokens are written already."""
        made = self.begin(source, options)
        for token in ids:
            made = self.write(source, made, options, token)
        return made

    def text(self, source: str, written: Written) -> str:
        """The text that is certain; half of a character is not."""
        text = self._vocabulary.write(written.ids, source)
        return text if written.ended else text.rstrip("\ufffd")

    def translation(
        self, source: str, written: Written | None, options: TranslationOptions
    ) -> Translation:
        """What is written, as a translation."""
        if written is None:
            return Translation(source, "", 0.0, 0.0, False)
        score = written.total / max(written.length, 1) ** options.length_penalty
        text = self.text(source, written)
        return Translation(source, text, score, written.total, written.whole)

    def _search(
        self, sources: Sequence[str], ids: Sequence[np.ndarray], options: TranslationOptions
    ) -> list[Translation]:
        state, limits = self._start(sources, ids, options)
        found = search(
            self._model,
            state,
            limits,
            start=self._vocabulary.end,
            end=self._vocabulary.end,
            beams=options.beams,
            n_best=options.n_best,
            length_penalty=options.length_penalty,
            banned=self._banned,
        )
        return [self._translation(*each) for each in zip(sources, found, strict=True)]

    def _start(
        self, sources: Sequence[str], ids: Sequence[np.ndarray], options: TranslationOptions
    ) -> tuple[Any, list[int]]:
        """The model's state after sources, and how many tokens a translation of each may have."""
        padded, lengths = pad(ids)
        copied = None
        if self._copy:
            copied, _ = pad([self._vocabulary.read_copy(text, None)[0] for text in sources])
        most = [longest(self._growth, length) for length in lengths.tolist()]
        limits = most if options.max_tokens is None else [options.max_tokens] * len(most)
        return self._model.start(padded, lengths, copied=copied), limits

    def _translation(self, source: str, found: Sequence[Hypothesis]) -> Translation:
        made = [
            Translation(source, self._vocabulary.write(h.ids, source), h.score, h.logprob, h.ended)
            for h in found
        ]
        if not made:  # nothing may be written but <unk>
            return Translation(source, "", -math.inf, -math.inf, False)
        best, *others = made
        return Translation(source, best.text, best.score, best.logprob, best.ended, tuple(others))
