"""`Transcriber`: train it, measure it, let it listen. Only training needs torch."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.data.recordings import Recording
from recurra.data.resample import resample
from recurra.data.wav import Sound
from recurra.errors import FormatError, InputError
from recurra.generate.ctc import BestPath, Labelling, PrefixBeam, TextModel
from recurra.runtime import Architecture
from recurra.runtime.transcriber import RuntimeTranscriber
from recurra.settings import sort
from recurra.tasks.base import TrainedModel
from recurra.tasks.transcriber.config import Decoding, TranscriberConfig, TranscriberData
from recurra.tasks.transcriber.data import Fitted, Source, read_fitted, recordings_of
from recurra.tasks.transcriber.transcript import (
    Judgement,
    Transcript,
    TranscriptStream,
    transcript,
)
from recurra.text import Tokenizer

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult

#: Recordings read before any is transcribed: those of similar length are then side by side.
_POOL = 128


class Transcriber(TrainedModel):
    """Speech to text: recurrent layers over log-mel features, trained by the CTC loss.

    The arguments are the fields of `TranscriberConfig`, by name:
    `Transcriber(cell="lstm", layers=2, hidden=128, bidirectional=True, tokenizer="char")`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "transcriber"
    title = "transcriber"
    Config = TranscriberConfig
    Data = TranscriberData
    Prediction = Decoding

    config: TranscriberConfig

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
        """Train on recordings and their texts; afterwards this is the model with fewest word errors.

        A model that is trained already goes on from its weights, with its tokens and features.

        Args:
            data: a manifest, a folder, an archive, or several of them (see
                `recurra.data.read_recordings`); or `Recording`s in memory.
            valid: recordings held out; by default a tenth of `data`, chosen at random.
            out: directory of the run: checkpoints, metrics, report, best model. The same call
                again resumes it. By default a temporary one.
            fresh: start over where `out` holds a run.
            callbacks: told of every step and validation.
            progress: show a progress bar, or lines where the output is no terminal.
            **settings: fields of `TranscriberData` and of `recurra.train.TrainConfig`, by name:
                `minutes=3`, `speed=0.1`, `lr=1e-3`.

        Raises:
            InputError: settings or recordings that cannot be used; nothing was changed.
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

    def predict(self, data: Any, *, language_model: Any = None, **options: Any) -> list[Transcript]:
        """Transcribe recordings.

        Args:
            data: a wav file, a manifest, a folder, an archive, or several of them; or a `Sound`,
                or several.
            language_model: a `recurra.LanguageModel` of lines over the same tokens, or its
                directory; only with a beam.
            **options: fields of `Decoding`, by name: `beam=16, weight=0.5, bonus=1.0`.

        Returns:
            A transcript of each recording, in their order; `str` of one is its text.

        Raises:
            InputError: recordings or options that cannot be used.
        """
        chosen = _decoding(options)
        model = self._text_model(language_model, chosen)
        return [
            found for _, found in self._transcribe(recordings_of(data, texts=False), chosen, model)
        ]

    def predict_file(self, source: str | Path, options: Decoding) -> Iterator[Transcript]:
        """Transcribe recordings one after the other, as `recurra predict` does."""
        recordings = recordings_of(source, texts=False)
        return (found for _, found in self._transcribe(recordings, options, None))

    def evaluate(self, data: Any, *, language_model: Any = None, **options: Any) -> Judgement:
        """Compare transcripts with what was said; arguments as for `predict`.

        Raises:
            InputError: recordings without a text, or options that cannot be used.
        """
        chosen = _decoding(options)
        model = self._text_model(language_model, chosen)
        said, heard, seconds = [], [], 0.0
        for recording, found in self._transcribe(recordings_of(data, texts=True), chosen, model):
            said.append(recording.text or "")
            heard.append(found.text)
            seconds += recording.sound.seconds
        return Judgement.of(said, heard, seconds=seconds)

    def stream(
        self, *, rate: int | None = None, language_model: Any = None, **options: Any
    ) -> TranscriptStream:
        """Listen to one recording as it comes, in pieces of any size.

        Args:
            rate: samples a second of what will come; by default the model's.
            language_model, **options: as for `predict`.

        Raises:
            InputError: a model that needs whole recordings, or options that cannot be used.
        """
        chosen = _decoding(options)
        model = self._text_model(language_model, chosen)
        sound = self.runtime.stream(rate=rate)
        return TranscriptStream(
            sound, self.tokenizer, None if chosen.beam == 1 else lambda: _beam(chosen, model)
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Cuts texts into the tokens the model was trained with."""
        return self._fitted.tokenizer

    @cached_property
    def runtime(self) -> RuntimeTranscriber:
        """The network, without torch."""
        fitted, files = self._fitted, self.files
        made = RuntimeTranscriber(
            Architecture.from_json(files.config.get("architecture")),
            files.tensors,
            features=fitted.features,
            scale=fitted.scale,
            precision=self._precision,
        )
        if made.classes != len(fitted.tokenizer) + 1:
            raise FormatError(
                f"{files.path}: the network tells {made.classes} classes apart, and the blank and "
                f"the tokens are {len(fitted.tokenizer) + 1}"
            )
        return made

    @cached_property
    def _fitted(self) -> Fitted:
        return read_fitted(self.files.config, self.files.tokenizer)

    def _text_model(self, given: Any, options: Decoding) -> TextModel | None:
        if given is None:
            return None
        if options.beam == 1:
            raise InputError("language_model: the best path asks none: set a beam, as beam=16")
        if isinstance(given, str | Path):
            import recurra

            given = recurra.load(given)
        if not hasattr(given, "generate"):
            raise InputError(f"language_model: expected a language model, received {given!r}")
        tokens = [self.tokenizer.token(id) for id in range(len(self.tokenizer))]
        return TextModel(given.runtime, given.tokenizer, tokens)

    def _transcribe(
        self, recordings: Iterable[Recording], options: Decoding, model: TextModel | None
    ) -> Iterator[tuple[Recording, Transcript]]:
        pool: list[Recording] = []
        for recording in recordings:
            pool.append(recording)
            if len(pool) == _POOL:
                yield from self._together(pool, options, model)
                pool = []
        yield from self._together(pool, options, model)

    def _together(
        self, recordings: list[Recording], options: Decoding, model: TextModel | None
    ) -> Iterator[tuple[Recording, Transcript]]:
        runtime = self.runtime
        features = runtime.features
        vectors = [self._vectors(recording.sound) for recording in recordings]
        for recording, log_p in zip(recordings, runtime.log_probabilities(vectors), strict=True):
            found = _decode(log_p, options, model)
            yield (
                recording,
                transcript(self.tokenizer, found, seconds=features.seconds, name=recording.name),
            )

    def _vectors(self, sound: Sound) -> np.ndarray:
        features = self.runtime.features
        samples = resample(sound.samples, sound.rate, features.rate)
        return features.vectors(samples, self.runtime.scale)


def _decoding(options: dict[str, Any]) -> Decoding:
    (chosen,) = sort(options, Decoding)
    return Decoding(**chosen).validate()


def _beam(options: Decoding, model: TextModel | None) -> PrefixBeam:
    return PrefixBeam(beam=options.beam, model=model, weight=options.weight, bonus=options.bonus)


def _decode(
    log_probabilities: np.ndarray, options: Decoding, model: TextModel | None
) -> list[Labelling]:
    if options.beam == 1:
        return [BestPath().push(log_probabilities)]
    beam = _beam(options, model)
    beam.push(log_probabilities)
    return beam.best(options.n_best)
