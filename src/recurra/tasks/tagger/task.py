"""`SequenceTagger`: train it, measure it, ask it. Only training needs torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recurra.data.labels import Label, LabelKinds
from recurra.errors import FormatError, InputError
from recurra.given import LeftOut, brief, listed
from recurra.runtime import Architecture
from recurra.settings import sort
from recurra.tasks.answers import Unanswered, answered
from recurra.tasks.base import TrainedModel
from recurra.tasks.tagger.beside import Beside
from recurra.tasks.tagger.conll import read_tagged
from recurra.tasks.tagger.data import (
    Sentences,
    Source,
    check_words,
    kinds_of,
    read,
    tags_of,
    vocabulary_of,
)
from recurra.tasks.tagger.runtime import RuntimeCommittee, RuntimeTagger
from recurra.tasks.tagger.scheme import allowed_steps, marks_entities, strangers
from recurra.tasks.tagger.scores import EntityScores, entity_scores, tag_accuracy
from recurra.tasks.tagger.settings import (
    ColumnsConfig,
    DataConfig,
    PredictionConfig,
    SequenceTaggerConfig,
)
from recurra.tasks.tagger.word_forms import WordForms

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult

#: AdamW's usual rate here, lower than for language models: vectors of words should not run ahead of
#: what reads them.
LR = 0.002

Sentence = Sequence[str]


@dataclass(frozen=True)
class Tagging:
    """One way to tag a sentence: its tags, and ln of its probability."""

    tags: tuple[Label, ...]
    log_probability: float


@dataclass(frozen=True)
class Tagged:
    """How well sentences are tagged.

    accuracy: of all words; unknown_accuracy: of those that training did not have, None where there
    are none. entities: scores of entities, where the tags mark them. skipped: sentences left out.
    notes: why entities are not scored, where most tags mark them.
    """

    accuracy: float
    unknown_accuracy: float | None
    entities: EntityScores | None
    sentences: int
    words: int
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls,
        sentences: Sentences,
        found: Sequence[Sequence[str]],
        *,
        unknown: Sequence[Sequence[bool]],
    ) -> "Tagged":
        """Compare tags with those of a model, both as texts; `unknown` says which words were new
        to it."""
        wanted = sentences.tags
        strange = strangers(wanted, sentences.where)
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
            sentences.skipped,
            () if strange is None else (f"{strange}: entities are not scored",),
        )

    @property
    def left_out(self) -> LeftOut:
        """How many sentences could not be read, and the first of them."""
        return LeftOut.of(self.skipped, kept=self.sentences, unit="sentences")

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        told = {
            "accuracy": self.accuracy,
            "unknown_accuracy": self.unknown_accuracy,
            "sentences": self.sentences,
            "words": self.words,
            "skipped": list(self.skipped),
            "left_out": self.left_out.to_dict(),
            "notes": list(self.notes),
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
        lines += [str(self.left_out)] if self.left_out else []
        return "\n".join(lines)


@dataclass(frozen=True)
class SentenceTags:
    """A sentence of a file with its tags, and the lines of the file up to its end.

    probabilities: of each word's tag; others: the best taggings, where they were asked for.
    """

    words: tuple[str, ...]
    tags: tuple[Label, ...]
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
    usual: ClassVar = {"lr": f"{LR:g} for adam and adamw, 1 for sgd"}

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

    def predict(self, sentences: Iterable[Any]) -> Any:
        """The best tags of sentences, each a list of words; of a single sentence its tags.

        Tags come back as they were given to `fit`: texts, numbers or truth values in lists; in
        arrays, where all sentences had theirs in arrays of one dtype.

        Raises:
            InputError: a text instead of words.
        """
        if isinstance(sentences, str):
            raise InputError("predict: expected lists of words, received a text: split it")
        rows = listed(sentences, "predict", "a sentence, a list of words, or several")
        if rows and isinstance(rows[0], str):
            return self.predict([rows])[0]
        return [self._kinds.given(row) for row in self._tag(rows)]

    def predict_n_best(self, sentences: Sequence[Sentence], n: int) -> list[list[Tagging]]:
        """The `n` most probable taggings of each sentence, best first; fewer where there are fewer.

        Raises:
            InputError: n below 1, or a text instead of words.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n: expected a number from 1 on, received {brief(n)}")
        return [self._n_best(scores, n) for scores in self._emissions(sentences)]

    def predict_proba(self, sentences: Sequence[Sentence]) -> list[np.ndarray]:
        """The probability of each tag at each word, (T, K) float64 of each sentence, K as `tags`:
        of a model with a CRF the marginals of its sequences."""
        return [self.runtime.chain.marginals(scores) for scores in self._emissions(sentences)]

    def predict_file(
        self, source: str | Path, options: PredictionConfig
    ) -> Iterator[SentenceTags | Unanswered]:
        """Tag a file; the texts of the predictions, a line end after each, are the file with its
        tags and what else is asked for: see `conll.TaggedText.parts`. A sentence that is
        left out stays as it is in them, and is answered by an `Unanswered`.

        Raises:
            InputError: a file that cannot be read.
        """
        text = read_tagged(source, tags=False, **self._columns(options).reading())
        words = [sentence.words for sentence in text.sentences]
        chain, emissions = self.runtime.chain, self._emissions(words)
        paths = [chain.best(scores) for scores in emissions]
        tags = [[self._texts[y] for y in path.tags] for path in paths]
        sure: list[tuple[float, ...] | None] = [None] * len(words)
        others: list[tuple[Tagging, ...] | None] = [None] * len(words)
        if options.probabilities:
            both = zip(emissions, paths, strict=True)
            every = [chain.marginals(e)[np.arange(len(e)), list(p.tags)] for e, p in both]
            sure = [tuple(map(float, row)) for row in every]
        if options.n_best > 1:
            others = [tuple(self._n_best(scores, options.n_best)) for scores in emissions]
        told = [_beside(*pair, options.n_best) for pair in zip(sure, others, strict=True)]
        rows = zip(words, tags, text.parts(tags, told), sure, others, strict=True)
        made = (
            SentenceTags(row, self._kinds.labels(best), part, certain, taggings)
            for row, best, part, certain, taggings in rows
        )
        return answered(made, text.places, text.skipped, unit="sentences", line=False)

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
            sentences,
            self._tag(sentences.words),
            unknown=[[not forms.knows(word) for word in row] for row in sentences.words],
        )

    @cached_property
    def tags(self) -> tuple[Label, ...]:
        """The tags it gives, as they were given, in the order of the columns of
        `predict_proba`."""
        return self._kinds.labels(self._texts)

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tags_of(self.files)[0]

    @cached_property
    def _kinds(self) -> LabelKinds:
        return kinds_of(self.files)

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

    def _tag(self, sentences: Sequence[Sentence]) -> list[list[str]]:
        """The best tags of sentences, as texts."""
        found = map(self.runtime.chain.best, self._emissions(sentences))
        return [[self._texts[y] for y in path.tags] for path in found]

    def _emissions(self, sentences: Iterable[Sentence]) -> list[np.ndarray]:
        rows = listed(sentences, "sentences", "lists of words")
        words = [check_words(row, k) for k, row in enumerate(rows)]
        forms = WordForms(vocabulary_of(self.files))
        return self.runtime.emissions([forms.encode(row) for row in words], forms)

    def _n_best(self, scores: np.ndarray, n: int) -> list[Tagging]:
        chain = self.runtime.chain
        total = chain.log_partition(scores)
        return [
            Tagging(tuple(self.tags[y] for y in path.tags), path.score - total)
            for path in chain.n_best(scores, n)
        ]


def _beside(
    sure: tuple[float, ...] | None, taggings: tuple[Tagging, ...] | None, count: int
) -> Beside:
    """What a file tells of a sentence beside its tags."""
    best, *others = taggings or (None,)
    return Beside(
        sure or (),
        [(tuple(map(str, one.tags)), one.log_probability) for one in others if one],
        count - 1,
        best.log_probability if best else None,
    )
