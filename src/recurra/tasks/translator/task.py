"""`Translator`: train it, measure it, let it translate. Only training needs torch."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.data.arriving import STANDARD_INPUT, arriving_lines
from recurra.errors import FormatError, InputError
from recurra.given import inputs_of, listed, shown
from recurra.runtime.stream_state import StreamState
from recurra.tasks.answers import Answers, Unanswered, answered
from recurra.tasks.copies import derived
from recurra.tasks.protocol import Fitting, Task
from recurra.tasks.translator.alignment import Alignment
from recurra.tasks.translator.data import Encoded, open_pairs
from recurra.tasks.translator.decoding import Decoder, Translation
from recurra.tasks.translator.pairs import Pairs, Sources, no_sources, open_sources, sources_in
from recurra.tasks.translator.runtime import RuntimeTranslator, TranslatorArchitecture
from recurra.tasks.translator.scores import TranslatorScores, score_pairs
from recurra.tasks.translator.settings import (
    TranslationOptions,
    TranslatorData,
    TranslatorMeasurement,
    TranslatorOptions,
    TranslatorSettings,
)
from recurra.tasks.translator.stream import TranslationReader, TranslationStream
from recurra.tasks.translator.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing import Self, Unpack

    from recurra.tasks.translator.data import Source
    from recurra.tasks.translator.options import Chosen, Measured, Trained

#: Pairs whose likelihood is computed at a time.
_BATCH = 64


class Translator(Task):
    """A recurrent encoder-decoder with attention: languages, spelling to sound, dates to dates.

    The arguments are the fields of `TranslatorSettings`, by name:
    `Translator(source_tokenizer="char", target_tokenizer="word", layers=2, hidden=192)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "translator"
    title = "translator"
    fitting = Fitting(
        reads="pairs of texts",
        keeps="vocabularies",
        data=(
            'a file of `source TAB target` lines, or of JSON lines with "source" and '
            '"target"; two files side by side; or pairs in memory.'
        ),
        answers="the target of each source, where `data` are the sources alone.",
        valid="the pairs held out; by default all pairs of a random twentieth of the sources.",
        example='`minutes=3`, `batch=128`, `metric="bleu"`',
    )
    Config = TranslatorSettings
    Data = TranslatorData
    Prediction = TranslatorOptions
    Measurement = TranslatorMeasurement
    figure = ("bleu", 1.0)

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

    @overload
    def predict(self, inputs: str, **options: Any) -> Translation: ...
    @overload
    def predict(self, inputs: Sequence[str], **options: Any) -> Answers[Translation]: ...
    def predict(
        self, inputs: str | Sequence[str], **options: Any
    ) -> Translation | Answers[Translation]:
        """Translate a text, or each of several.

        Args:
            inputs: the text.
            **options: fields of `TranslationOptions`, by name: `beams=8, n_best=3`.

        Returns:
            A `Translation`, of which `str` is the text; a list of them for several sources.

        Raises:
            InputError: options out of range, or a source with nothing in it.
        """
        wanted = self._options(TranslationOptions, options)
        several = [inputs] if isinstance(inputs, str) else inputs_of(inputs, "source")
        texts = listed(several, "predict", "a text, or several")
        for number, text in enumerate(texts):
            if not (isinstance(text, str) and text.strip()):
                raise InputError(
                    f"predict: source {number}: expected a text, received {shown(text)}"
                )
        found = self._decoder.translate(texts, wanted)
        return found[0] if isinstance(inputs, str) else Answers(found)

    def open_stream(self, *, state: StreamState | None = None, **options: Any) -> TranslationStream:
        """A source that is read as it comes, and its translation: see `TranslationStream`.

        Args:
            state: where to begin: the `state` of such a stream, whose options hold.
            **options: as for `predict`.

        Raises:
            InputError: options out of range, or beside a state; a state of another model.
            FormatError: a damaged one.
        """
        if state is not None and options:
            raise InputError("open_stream: the options are those of the state: leave them out")
        reader = self._streaming
        begun = reader.begin(self._options(TranslationOptions, options))
        return TranslationStream(reader, begun).at(state)

    @cached_property
    def _streaming(self) -> TranslationReader:
        return TranslationReader(self._decoder, self._identity)

    def predict_file(
        self, source: str | Path, options: TranslatorOptions
    ) -> Iterator[Translation | Unanswered]:
        """Translate the sources of a file: see `pairs.open_sources`. A line with
        nothing in it, or one that is left out, is answered by an `Unanswered`.

        Raises:
            InputError: the file cannot be read, or has no text in it.
        """
        if str(source) == "-":
            return self._answer_arriving(options)
        return self._answer(open_sources(source, skip_bad=options.skip_bad), options)

    def _answer_arriving(self, options: TranslatorOptions) -> Iterator[Translation | Unanswered]:
        """Translate the lines of standard input as they come."""
        first, none = 1, True
        for lines in arriving_lines():
            found = sources_in(lines, STANDARD_INPUT, first=first, skip_bad=options.skip_bad)
            yield from self._answer(found, options)
            first, none = first + len(lines), none and not found.texts
        if none:
            raise no_sources(STANDARD_INPUT)

    def _answer(
        self, found: Sources, options: TranslatorOptions
    ) -> Iterator[Translation | Unanswered]:
        size = options.side_by_side

        def made() -> Iterator[Translation]:
            for first in range(0, len(found.texts), size):
                yield from self._decoder.translate(found.texts[first : first + size], options)

        return answered(made(), found.places, found.skipped, unit="lines")

    def evaluate(self, data: "Source", **options: "Unpack[Measured]") -> TranslatorScores:
        """Translate the sources of pairs and compare with their targets.

        Args:
            data: as for `fit`; a source that stands there repeatedly is translated once, and all
                its targets are references.
            **options: by name: those of `predict`, and `skip_bad`.

        Raises:
            InputError: pairs that cannot be read, or options out of range.
        """
        wanted = self._options(TranslatorMeasurement, options)
        pairs = open_pairs(data, skip_bad=wanted.skip_bad)
        nats, tokens = self._nats(pairs)
        return score_pairs(
            pairs, lambda t: self._decoder.translate(t, wanted), nats_per_token=nats / tokens
        )

    def attention(self, source: str, target: str | None = None) -> Alignment:
        """Where the model looks while it writes a target; by default its own translation.

        Raises:
            InputError: a text without a token.
        """
        if target is None:
            target = self.predict(source).text
        for name, text in (("source", source), ("target", target)):
            if not text.strip():
                raise InputError(f"attention: expected a {name}, received nothing")
        vocabulary = self.vocabulary
        _, weights = self._read(Encoded(_one(source, target), vocabulary, copy=self.config.copy))
        shown = vocabulary.show_source(source), vocabulary.show_target(target)
        return Alignment(tuple(shown[0]), tuple(shown[1]), weights[0])

    @derived
    def vocabulary(self) -> Vocabulary:
        """The tokens of both sides."""
        return Vocabulary.from_json(self.files.tokenizer)

    @derived
    def runtime(self) -> RuntimeTranslator:
        """The model as something that reads a source and steps through a target."""
        files = self.files
        architecture = TranslatorArchitecture.from_json(files.config.get("architecture"))
        made = RuntimeTranslator(architecture, files.tensors, precision=self._precision)
        sizes = len(self.vocabulary.source), len(self.vocabulary.target)
        if sizes != (made.source_vocabulary, made.vocab_size):
            raise FormatError(
                f"{files.path}: expected weights of {sizes[0]} and {sizes[1]} tokens as "
                f"tokenizer.json has, found {made.source_vocabulary} and {made.vocab_size}: "
                "restore the file from a copy"
            )
        return made

    @derived
    def _decoder(self) -> Decoder:
        growth = self.files.config.get("growth")
        if not isinstance(growth, int | float) or not 0 < growth < math.inf:
            raise FormatError(
                f'{self.files.path}: config.json: expected a number "growth" above 0, found '
                f"{shown(growth)}: restore the file from a copy"
            )
        return Decoder(self.runtime, self.vocabulary, growth=float(growth), copy=self.config.copy)

    def _nats(self, pairs: Pairs) -> tuple[float, int]:
        """Negative log-likelihood of all targets, and how many tokens they have."""
        encoded = Encoded(pairs, self.vocabulary, copy=self.config.copy)
        order = np.argsort(encoded.lengths, kind="stable")
        total, count = 0.0, 0
        for first in range(0, len(order), _BATCH):
            nats, tokens = self._read_rows(encoded, order[first : first + _BATCH])[:2]
            total, count = total + nats, count + tokens
        return total, count

    def _read_rows(self, encoded: Encoded, rows: np.ndarray) -> tuple[float, int, np.ndarray]:
        batch = encoded.batch(rows)
        state = self.runtime.start(batch.source, batch.lengths, copied=batch.copied)
        found, weights = self.runtime.read(batch.inputs, batch.targets, state)
        return -float(found[batch.counted].sum()), batch.count, weights

    def _read(self, encoded: Encoded) -> tuple[float, np.ndarray]:
        nats, _, weights = self._read_rows(encoded, np.arange(len(encoded)))
        return nats, weights


def _one(source: str, target: str) -> Pairs:
    return Pairs([source], [target], ["text"])
