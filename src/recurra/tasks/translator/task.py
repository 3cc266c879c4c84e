"""`Translator`: train it, measure it, let it translate. Only training needs torch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.given import NOTHING, LeftOut, listed, shown
from recurra.settings import sort
from recurra.tasks import figures
from recurra.tasks.answers import Unanswered, answered
from recurra.tasks.base import TrainedModel
from recurra.tasks.translator.alignment import Alignment
from recurra.tasks.translator.data import Encoded, open_pairs
from recurra.tasks.translator.decoding import Decoder, Translation
from recurra.tasks.translator.pairs import Pairs, open_sources
from recurra.tasks.translator.runtime import RuntimeTranslator, TranslatorArchitecture
from recurra.tasks.translator.scores import bleu, chrf, error_rate
from recurra.tasks.translator.settings import (
    DataConfig,
    TranslationMeasurement,
    TranslationOptions,
    TranslationPrediction,
    TranslatorConfig,
)
from recurra.tasks.translator.vocabulary import Vocabulary

if TYPE_CHECKING:
    from recurra.tasks.translator.data import Source
    from recurra.train import Callback, FitResult

#: Pairs whose likelihood is computed at a time.
_BATCH = 64


@dataclass(frozen=True)
class TranslationScores:
    """How good translations are, each against all references of its source.

    bleu, chrf: of the corpus, 0 to 100 (sacrebleu's at its defaults). error_rate: edits per token
    of the nearest reference, tokens being what white space parts: the phoneme error rate of sounds,
    the word error rate of sentences. wrong: share of sources whose translation is none of their
    references: the word error rate of spellings. nats_per_token: mean negative log-likelihood of
    the references' tokens, in the model's own vocabulary. sources, references: how many. left_out:
    pairs that could not be read.
    """

    bleu: float
    chrf: float
    error_rate: float
    wrong: float
    nats_per_token: float
    sources: int
    references: int
    left_out: LeftOut = NOTHING

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON values."""
        return dict(figures.plain(asdict(self)))

    def __str__(self) -> str:
        return (
            f"BLEU {figures.shown(self.bleu, '.2f')}, chrF {figures.shown(self.chrf, '.2f')}, "
            f"error rate {figures.shown(100 * self.error_rate, '.2f')} %, "
            f"wrong {figures.shown(100 * self.wrong, '.2f')} %, "
            f"{figures.shown(self.nats_per_token, '.4f')} nats per token "
            f"({self.sources:,} sources, {self.references:,} references)"
        )


def score(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    nats_per_token: float,
    left_out: LeftOut = NOTHING,
) -> TranslationScores:
    """All figures of some translations."""
    edits = error_rate(texts, references)
    words = any(text.strip() for some in (texts, *references) for text in some)
    return TranslationScores(
        bleu=bleu(texts, references) if words else math.nan,
        chrf=chrf(texts, references) if words else math.nan,
        error_rate=edits.tokens,
        wrong=edits.whole,
        nats_per_token=nats_per_token,
        sources=len(texts),
        references=sum(map(len, references)),
        left_out=left_out,
    )


def score_pairs(
    pairs: Pairs,
    translate: Callable[[Sequence[str]], Sequence[Translation]],
    *,
    nats_per_token: float,
) -> TranslationScores:
    """All figures of the translations of some sources, each held to all targets it has."""
    sources, references = pairs.references()
    texts = [translation.text for translation in translate(sources)]
    return score(texts, references, nats_per_token=nats_per_token, left_out=pairs.left_out)


class Translator(TrainedModel):
    """A recurrent encoder-decoder with attention: languages, spelling to sound, dates to dates.

    The arguments are the fields of `TranslatorConfig`, by name:
    `Translator(source_tokenizer="char", target_tokenizer="word", layers=2, hidden=192)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "translator"
    title = "translator"
    Config = TranslatorConfig
    Data = DataConfig
    Prediction = TranslationPrediction
    Measurement = TranslationMeasurement

    def fit(
        self,
        data: "Source",
        *,
        valid: "Source | None" = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[Callback]" = (),
        progress: bool = True,
        **settings: Any,
    ) -> "FitResult":
        """Train on pairs of texts; afterwards this is the model with the best validation.

        A model that is trained already goes on from its weights, with its vocabularies.

        Args:
            data: a file of `source TAB target` lines, or of JSON lines with "source" and "target";
                two files side by side; or pairs in memory.
            valid: the pairs held out; by default all pairs of a random twentieth of the sources.
            out: directory of the run: checkpoints, metrics, report, best model. The same call
                again resumes it. By default a temporary one.
            fresh: start over where `out` holds a run.
            callbacks: told of every step and validation.
            progress: show a progress bar, or lines where the output is no terminal.
            **settings: fields of `DataConfig` and of `recurra.train.TrainConfig`, by name:
                `minutes=3`, `batch=128`, `metric="bleu"`.

        Raises:
            InputError: settings or pairs that cannot be used; nothing was changed.
            DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
            Interrupted: Ctrl-C; `out` has a checkpoint to go on from.
        """
        return self._train(
            data,
            valid=valid,
            out=out,
            fresh=fresh,
            callbacks=callbacks,
            progress=progress,
            settings=settings,
        )

    @overload
    def predict(self, source: str, **options: Any) -> Translation: ...
    @overload
    def predict(self, source: Sequence[str], **options: Any) -> list[Translation]: ...
    def predict(
        self, source: str | Sequence[str], **options: Any
    ) -> Translation | list[Translation]:
        """Translate a text, or each of several.

        Args:
            source: the text.
            **options: fields of `TranslationOptions`, by name: `beams=8, n_best=3`.

        Returns:
            A `Translation`, of which `str` is the text; a list of them for several sources.

        Raises:
            InputError: options out of range, or a source with nothing in it.
        """
        (chosen,) = sort(options, TranslationOptions)
        wanted = TranslationOptions(**chosen).validate()
        several = [source] if isinstance(source, str) else source
        texts = listed(several, "predict", "a text, or several")
        for number, text in enumerate(texts):
            if not (isinstance(text, str) and text.strip()):
                raise InputError(
                    f"predict: source {number}: expected a text, received {shown(text)}"
                )
        found = self._decoder.translate(texts, wanted)
        return found[0] if isinstance(source, str) else found

    def predict_file(
        self, source: str | Path, options: TranslationPrediction
    ) -> Iterator[Translation | Unanswered]:
        """Translate the sources of a file: see `pairs.open_sources`. A line with
        nothing in it, or one that is left out, is answered by an `Unanswered`.

        Raises:
            InputError: the file cannot be read, or has no text in it.
        """
        found = open_sources(source, skip_bad=options.skip_bad)
        size = options.side_by_side

        def made() -> Iterator[Translation]:
            for first in range(0, len(found.texts), size):
                yield from self._decoder.translate(found.texts[first : first + size], options)

        return answered(made(), found.places, found.skipped, unit="lines")

    def evaluate(
        self, data: "Source", *, skip_bad: bool = False, **options: Any
    ) -> TranslationScores:
        """Translate the sources of pairs and compare with their targets.

        Args:
            data: as for `fit`; a source that stands there repeatedly is translated once, and all
                its targets are references.
            skip_bad: leave out pairs that cannot be read.
            **options: as for `predict`.

        Raises:
            InputError: pairs that cannot be read, or options out of range.
        """
        pairs = open_pairs(data, skip_bad=skip_bad)
        nats, tokens = self._nats(pairs)
        return score_pairs(
            pairs, lambda texts: self.predict(texts, **options), nats_per_token=nats / tokens
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

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens of both sides."""
        return Vocabulary.from_json(self.files.tokenizer)

    @cached_property
    def runtime(self) -> RuntimeTranslator:
        """The model as something that reads a source and steps through a target."""
        files = self.files
        architecture = TranslatorArchitecture.from_json(files.config.get("architecture"))
        made = RuntimeTranslator(architecture, files.tensors, precision=self._precision)
        sizes = len(self.vocabulary.source), len(self.vocabulary.target)
        if sizes != (made.source_vocabulary, made.vocab_size):
            raise FormatError(
                f"{files.path}: expected weights of {sizes[0]} and {sizes[1]} tokens as "
                f"tokenizer.json has, found {made.source_vocabulary} and {made.vocab_size}"
            )
        return made

    @cached_property
    def _decoder(self) -> Decoder:
        growth = self.files.config.get("growth")
        if not isinstance(growth, int | float) or not 0 < growth < math.inf:
            raise FormatError(
                f'{self.files.path}: config.json: expected a number "growth" above 0, found '
                f"{shown(growth)}"
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
