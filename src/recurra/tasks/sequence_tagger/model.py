"""`SequenceTagger`: train it, measure it, ask it. Only training needs torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.data.conll import read_tagged
from recurra.data.word_forms import WordForms
from recurra.errors import FormatError, InputError
from recurra.metrics.tagging import EntityScores, entity_scores, tag_accuracy
from recurra.runtime import Architecture
from recurra.runtime.tagger import RuntimeCommittee, RuntimeTagger
from recurra.settings import sort
from recurra.tasks.base import TrainedModel
from recurra.tasks.sequence_tagger.config import (
    ColumnsConfig,
    DataConfig,
    PredictionConfig,
    SequenceTaggerConfig,
)
from recurra.tasks.sequence_tagger.data import Source, check_words, read, tags_of, vocabulary_of
from recurra.tasks.sequence_tagger.scheme import allowed_steps, marks_entities

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult

#: AdamW's usual rate here, lower than for language models: vectors of words should not run ahead of
#: what reads them.
LR = 0.002

Sentence = Sequence[str]


@dataclass(frozen=True)
class Tagging:
    """One way to tag a sentence: its tags, and ln of its probability."""

    tags: tuple[str, ...]
    log_probability: float


@dataclass(frozen=True)
class Tagged:
    """How well sentences are tagged.

    accuracy: of all words; unknown_accuracy: of those that training did not have, None where there
    are none. entities: scores of entities, where the tags mark them. skipped: sentences left out.
    """

    accuracy: float
    unknown_accuracy: float | None
    entities: EntityScores | None
    sentences: int
    words: int
    skipped: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls,
        wanted: Sequence[Sentence],
        found: Sequence[Sentence],
        *,
        unknown: Sequence[Sequence[bool]],
        skipped: tuple[str, ...] = (),
    ) -> "Tagged":
        """Compare tags with those of a model; `unknown` says which words were new to it."""
        new = [
            a == b
            for row, other, flags in zip(wanted, found, unknown, strict=True)
            for a, b, flag in zip(row, other, flags, strict=True)
            if flag
        ]
        every = {tag for rows in (wanted, found) for row in rows for tag in row}
        return cls(
            tag_accuracy(wanted, found),
            sum(new) / len(new) if new else None,
            entity_scores(wanted, found) if marks_entities(every) else None,
            len(wanted),
            sum(map(len, wanted)),
            skipped,
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        told = {
            "accuracy": self.accuracy,
            "unknown_accuracy": self.unknown_accuracy,
            "sentences": self.sentences,
            "words": self.words,
            "skipped": list(self.skipped),
        }
        return told if self.entities is None else {**told, **self.entities.to_dict()}

    def __str__(self) -> str:
        lines = [f"accuracy  {self.accuracy:.4f}  of {self.words:,} words"]
        if self.unknown_accuracy is not None:
            lines[0] += f", of those new to the model {self.unknown_accuracy:.4f}"
        if self.entities is not None and self.entities.types:
            rows = [*self.entities.types.items(), ("all", self.entities.overall)]
            width = max(8, *(len(name) for name, _ in rows))
            lines.append(f"{'entities':{width}}  precision  recall      f1  there are")
            lines += [
                f"{name:{width}}  {s.precision:9.4f}  {s.recall:6.4f}  {s.f1:6.4f}  {s.support:9,}"
                for name, s in rows
            ]
        lines += [f"left out: {line}" for line in self.skipped]
        return "\n".join(lines)


@dataclass(frozen=True)
class SentenceTags:
    """A sentence of a file with its tags, and the lines of the file up to its end.

    probabilities: of each word's tag; others: the best taggings, where they were asked for.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    text: str
    probabilities: tuple[float, ...] | None = None
    others: tuple[Tagging, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        told: dict[str, Any] = {"words": list(self.words), "tags": list(self.tags)}
        if self.probabilities is not None:
            told["probabilities"] = list(self.probabilities)
        if self.others is not None:
            told["n_best"] = [
                {"tags": list(one.tags), "log_probability": one.log_probability}
                for one in self.others
            ]
        return told

    def __str__(self) -> str:
        return self.text


class SequenceTagger(TrainedModel):
    """A recurrent tagger of words: parts of speech, named entities, any label a word.

    The arguments are the fields of `SequenceTaggerConfig`, by name:
    `SequenceTagger(cell="gru", layers=1, hidden=64, crf=True)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "sequence_tagger"
    title = "sequence tagger"
    Config = SequenceTaggerConfig
    Data = DataConfig
    Prediction = PredictionConfig
    Measurement = ColumnsConfig

    def fit(
        self,
        data: Source,
        *,
        valid: Source | None = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[Callback]" = (),
        progress: bool = True,
        **settings: Any,
    ) -> "FitResult":
        """Train on tagged sentences; afterwards this is the model with the best validation.

        A model that is trained already goes on from its weights, with its vocabulary and tags.

        Args:
            data: a file (CoNLL columns, CoNLL-U, JSON lines; gzipped or not), several of them, or
                a list of pairs: words, and their tags.
            valid: the sentences held out, likewise; by default a tenth of `data`, drawn at random.
            out: directory of the run: checkpoints, metrics, report, best model. The same call
                again resumes it. By default a temporary one.
            fresh: start over where `out` holds a run.
            callbacks: told of every step and validation.
            progress: show a progress bar, or lines where the output is no terminal.
            **settings: fields of `DataConfig` and of `recurra.train.TrainConfig`, by name:
                `epochs=6`, `tag_column="xpos"`, `skip_bad=True`. The learning rate is 0.002 where
                `lr` does not say otherwise.

        Raises:
            InputError: settings or sentences that cannot be used; nothing was changed.
            DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
            Interrupted: Ctrl-C; `out` has a checkpoint to go on from.
        """
        if settings.get("lr") is None and settings.get("optimizer", "adamw") != "sgd":
            settings["lr"] = LR
        return self._train(
            data,
            valid=valid,
            out=out,
            fresh=fresh,
            callbacks=callbacks,
            progress=progress,
            settings=settings,
        )

    def predict(self, sentences: Sequence[Any]) -> list[Any]:
        """The best tags of sentences, each a list of words; of a single sentence its tags.

        Raises:
            InputError: a text instead of words.
        """
        if isinstance(sentences, str):
            raise InputError("predict: expected lists of words, received a text: split it")
        if sentences and isinstance(sentences[0], str):
            return self.predict([sentences])[0]
        found = map(self.runtime.chain.best, self._emissions(sentences))
        return [[self.tags[y] for y in path.tags] for path in found]

    def predict_n_best(self, sentences: Sequence[Sentence], n: int) -> list[list[Tagging]]:
        """The `n` most probable taggings of each sentence, best first; fewer where there are fewer.

        Raises:
            InputError: n below 1, or a text instead of words.
        """
        if n < 1:
            raise InputError(f"n: expected a number from 1 on, received {n}")
        return [self._n_best(scores, n) for scores in self._emissions(sentences)]

    def predict_proba(self, sentences: Sequence[Sentence]) -> list[np.ndarray]:
        """The probability of each tag at each word, (T, K) float64 of each sentence, K as `tags`:
        of a model with a CRF the marginals of its sequences."""
        return [self.runtime.chain.marginals(scores) for scores in self._emissions(sentences)]

    def predict_file(self, source: str | Path, options: PredictionConfig) -> Iterator[SentenceTags]:
        """Tag a file; the texts of the predictions, a line end after each, are the file with its
        tags: see `recurra.data.conll.TaggedText.parts`.

        Raises:
            InputError: a file that cannot be read.
        """
        text = read_tagged(source, tags=False, **self._columns(options).reading())
        words = [sentence.words for sentence in text.sentences]
        emissions = self._emissions(words)
        tags = [[self.tags[y] for y in self.runtime.chain.best(e).tags] for e in emissions]
        for row, found, scores, part in zip(words, tags, emissions, text.parts(tags), strict=True):
            sure = others = None
            if options.probabilities:
                columns = [self.tags.index(tag) for tag in found]
                each = self.runtime.chain.marginals(scores)[np.arange(len(row)), columns]
                sure = tuple(float(p) for p in each)
            if options.n_best > 1:
                others = tuple(self._n_best(scores, options.n_best))
            yield SentenceTags(row, tuple(found), part, sure, others)

    def evaluate(self, data: Source, **settings: Any) -> Tagged:
        """Measure it on tagged sentences: accuracy, and scores of entities where tags mark them.

        Args:
            data: as for `fit`. A tag that training did not have counts as any other.
            **settings: fields of `ColumnsConfig`, where columns stand otherwise than in the
                training data: `tag_column=4`, `skip_bad=True`.

        Raises:
            InputError: sentences that cannot be read.
        """
        (chosen,) = sort(settings, ColumnsConfig)
        sentences = read(data, self._columns(ColumnsConfig(**chosen)))
        forms = WordForms(vocabulary_of(self.files))
        return Tagged.measure(
            sentences.tags,
            self.predict(sentences.words),
            unknown=[[not forms.knows(word) for word in row] for row in sentences.words],
            skipped=sentences.skipped,
        )

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags it gives, in the order of the columns of `predict_proba`."""
        return tags_of(self.files)[0]

    @cached_property
    def runtime(self) -> RuntimeTagger | RuntimeCommittee:
        """The network without torch."""
        files, (tags, scheme) = self.files, tags_of(self.files)
        layers = Architecture.from_json(files.config.get("architecture"))
        parts = (layers, self.config.spelling(), files.tensors)
        allowed = allowed_steps(tags, scheme if self.config.constrain else None)
        how: dict[str, Any] = {"allowed": allowed, "precision": self._precision}
        made: RuntimeTagger | RuntimeCommittee
        if self.config.members == 1:
            made = RuntimeTagger(*parts, **how)
        else:
            made = RuntimeCommittee(self.config.members, *parts, **how)
        vocabulary = vocabulary_of(files)
        wanted = (
            len(vocabulary.words) if self.config.embedding else 0,
            len(vocabulary.grams),
            len(vocabulary.characters) if self.config.characters else 0,
            len(vocabulary.features),
            len(tags),
        )
        if made.sizes != wanted:
            raise FormatError(
                f"{files.path}: the weights are of {made.sizes} words, n-grams, characters, "
                f"features and tags, the other files have {wanted}"
            )
        return made

    def _columns(self, given: ColumnsConfig) -> ColumnsConfig:
        """The columns of the training data, but for those that are chosen otherwise."""
        known, usual = self.files.config.get("columns", {}), ColumnsConfig()
        names = [n for n in ColumnsConfig.names() if getattr(given, n) != getattr(usual, n)]
        return ColumnsConfig.from_json({**known, **{n: getattr(given, n) for n in names}})

    def _emissions(self, sentences: Sequence[Sentence]) -> list[np.ndarray]:
        words = [check_words(row, k) for k, row in enumerate(sentences)]
        forms = WordForms(vocabulary_of(self.files))
        return self.runtime.emissions([forms.encode(row) for row in words], forms)

    def _n_best(self, scores: np.ndarray, n: int) -> list[Tagging]:
        chain = self.runtime.chain
        total = chain.log_partition(scores)
        return [
            Tagging(tuple(self.tags[y] for y in path.tags), path.score - total)
            for path in chain.n_best(scores, n)
        ]
