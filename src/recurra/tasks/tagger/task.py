"""`SequenceTagger`: train it, measure it, ask it. Only training needs torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recurra.data.labels import Label, LabelKinds
from recurra.errors import FormatError, InputError
from recurra.given import brief, inputs_of, listed
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.tasks.answers import Answer, Answers, Unanswered, answered
from recurra.tasks.copies import derived
from recurra.tasks.protocol import Fitting, Task
from recurra.tasks.tagger.arriving import arriving_texts
from recurra.tasks.tagger.beside import Beside
from recurra.tasks.tagger.conll import TaggedText, read_tagged
from recurra.tasks.tagger.data import (
    Source,
    check_words,
    kinds_of,
    read,
    tags_of,
    vocabulary_of,
)
from recurra.tasks.tagger.runtime import RuntimeCommittee, RuntimeTagger
from recurra.tasks.tagger.scheme import allowed_steps
from recurra.tasks.tagger.scores import TaggerScores
from recurra.tasks.tagger.settings import (
    TaggerColumns,
    TaggerData,
    TaggerOptions,
    TaggerSettings,
    TaggerTellings,
)
from recurra.tasks.tagger.stream import TaggerReader, TaggerStream
from recurra.tasks.tagger.word_forms import WordForms

if TYPE_CHECKING:
    from typing import Self, Unpack

    from recurra.tasks.tagger.options import Chosen, Measured, Trained

    pass

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
class SentenceTags(Answer):
    """A sentence of a file with its tags, and the lines of the file up to its end.

    probabilities: of each word's tag; others: the best taggings, where they were asked for; number:
    of the sentence among those that were read together, from 0. The texts of all sentences are a
    document: nothing is written between them.
    """

    document: ClassVar[bool] = True
    words: tuple[str, ...]
    tags: tuple[Label, ...]
    text: str
    probabilities: tuple[float, ...] | None = None
    others: tuple[Tagging, ...] | None = None
    number: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """A row for each word: its sentence, it, its tag, and what else was asked for."""
        found = []
        for k, (word, tag) in enumerate(zip(self.words, self.tags, strict=True)):
            row = {"sentence": self.number, "word": word, "tag": tag}
            if self.probabilities is not None:
                row["probability"] = self.probabilities[k]
            row |= {f"tag {n}": one.tags[k] for n, one in enumerate((self.others or ())[1:], 2)}
            found.append(row)
        return found

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


@dataclass(frozen=True)
class Rest:
    """Lines of a document that have no sentence: they are written as they are."""

    document: ClassVar[bool] = True
    text: str

    def to_dict(self) -> None:
        """There is nothing to say of them."""

    def __str__(self) -> str:
        return self.text


class SequenceTagger(Task):
    """A recurrent tagger of words: parts of speech, named entities, any label a word.

    The arguments are the fields of `TaggerSettings`, by name:
    `SequenceTagger(cell="gru", layers=1, hidden=64, crf=True)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "sequence_tagger"
    title = "sequence tagger"
    fitting = Fitting(
        reads="tagged sentences",
        keeps="vocabulary and tags",
        data=(
            "a file (CoNLL columns, CoNLL-U, JSON lines; gzipped or not), several of them, or "
            "a list of pairs: words, and their tags."
        ),
        answers="the tags of each sentence, where `data` are lists of words.",
        valid="the sentences held out, likewise; by default a tenth of `data`, drawn at random.",
        example='`epochs=6`, `tag_column="xpos"`, `skip_bad=True`',
        lr=LR,
    )
    Config = TaggerSettings
    Data = TaggerData
    Prediction = TaggerOptions
    Measurement = TaggerColumns
    figure = ("accuracy", 1.0)

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any,
            y: Any = None,
            *,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[object]" = (),
            progress: bool | None = None,
            warm_start: "bool | str | Path | None" = None,
            **settings: Unpack[Trained],
        ) -> Self: ...

    def predict(self, inputs: Iterable[Any], **options: Any) -> Any:
        """The best tags of sentences, each a list of words; of a single sentence its tags.

        Tags come back as they were given to `fit`: texts, numbers or truth values in lists; in
        arrays, where all sentences had theirs in arrays of one dtype.

        Args:
            inputs: lists of words, or one.
            **options: by name `probabilities=True` or `n_best=3`: then what comes back are
                `SentenceTags`, in a list that is also a table (`to_frame`).

        Raises:
            InputError: a text instead of words.
        """
        wanted = self._options(TaggerTellings, options)
        if isinstance(inputs, str):
            raise InputError("predict: expected lists of words, received a text: split it")
        rows = listed(
            inputs_of(inputs, "words"), "predict", "a sentence, a list of words, or several"
        )
        if rows and isinstance(rows[0], str):
            return self.predict([rows], **options)[0]
        if options:
            sentences = [check_words(row, k) for k, row in enumerate(rows)]
            return Answers(self._sentences(sentences, wanted))
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
        self, source: str | Path, options: TaggerOptions
    ) -> Iterator[SentenceTags | Unanswered | Rest]:
        """Tag a file; the texts of the predictions, a line end after each, are the file with its
        tags and what else is asked for: see `conll.TaggedText.parts`. A sentence that is
        left out stays as it is in them, and is answered by an `Unanswered`. Those of standard input
        ("-") are answered as soon as each is whole.

        Raises:
            InputError: a file that cannot be read.
        """
        columns = self._columns(options)
        if str(source) != "-":
            yield from self._answer(read_tagged(source, tags=False, **columns.reading()), options)
            return
        for text in arriving_texts(columns):
            yield from self._answer(text, options)
            if not text.sentences:
                yield Rest(text.rest)

    def _answer(
        self, text: TaggedText, options: TaggerOptions
    ) -> Iterator[SentenceTags | Unanswered]:
        """Tag the sentences of a text."""
        words = [sentence.words for sentence in text.sentences]
        made = self._sentences(words, options, text)
        return answered(made, text.places, text.skipped, unit="sentences", line=False)

    def _sentences(
        self, words: Sequence[Sentence], options: TaggerTellings, text: TaggedText | None = None
    ) -> Iterator[SentenceTags]:
        """Tag sentences, and tell what the options ask for."""
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
        parts = [" ".join(row) for row in tags] if text is None else text.parts(tags, told)
        rows = zip(words, tags, parts, sure, others, strict=True)
        for number, (row, best, part, certain, taggings) in enumerate(rows):
            labels = self._kinds.labels(best)
            yield SentenceTags(tuple(row), labels, part, certain, taggings, number)

    def evaluate(self, data: Source, **options: "Unpack[Measured]") -> TaggerScores:
        """Measure it on tagged sentences: accuracy, and scores of entities where tags mark them.

        Args:
            data: as for `fit`. A tag that training did not have counts as any other.
            **options: by name, where columns stand otherwise than in the training data:
                `tag_column=4`, `skip_bad=True`.

        Raises:
            InputError: sentences that cannot be read.
        """
        sentences = read(data, self._columns(self._options(TaggerColumns, options)))
        forms = WordForms(vocabulary_of(self.files))
        return TaggerScores.measure(
            sentences,
            self._tag(sentences.words),
            unknown=[[not forms.knows(word) for word in row] for row in sentences.words],
        )

    def open_stream(self, *, state: StreamState | None = None) -> TaggerStream:
        """A sentence that the model reads word by word: see `TaggerStream`.

        Args:
            state: where to begin: the `state` of such a stream.

        Raises:
            InputError: a model that reads in both directions, or a state of another.
            FormatError: a damaged one.
        """
        reader = self._streaming
        return TaggerStream(reader, reader.begin()).at(state)

    @cached_property
    def _streaming(self) -> TaggerReader:
        forms = WordForms(vocabulary_of(self.files))
        return TaggerReader(self.runtime, forms, self._texts, self._kinds, self._identity)

    @derived
    def tags(self) -> tuple[Label, ...]:
        """The tags it gives, as they were given, in the order of the columns of
        `predict_proba`."""
        return self._kinds.labels(self._texts)

    @derived
    def _texts(self) -> tuple[str, ...]:
        return tags_of(self.files)[0]

    @derived
    def _kinds(self) -> LabelKinds:
        return kinds_of(self.files)

    @derived
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
                f"features and tags, the other files have {wanted}: restore the files from "
                "a copy"
            )
        return made

    def _columns(self, given: TaggerColumns) -> TaggerColumns:
        """The columns of the training data, but for those that are chosen otherwise."""
        known, usual = self.files.config.get("columns", {}), TaggerColumns()
        names = [n for n in TaggerColumns.names() if getattr(given, n) != getattr(usual, n)]
        return TaggerColumns.from_json({**known, **{n: getattr(given, n) for n in names}})

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
