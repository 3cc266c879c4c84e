"""`Transcriber`: train it, measure it, let it listen. Only training needs torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.runtime import Architecture
from recurra.settings import sort
from recurra.storage import ModelFiles
from recurra.tasks.answers import Unanswered
from recurra.tasks.base import TrainedModel
from recurra.tasks.transcriber.ctc import BestPath, Labelling, PrefixBeam, TextModel
from recurra.tasks.transcriber.data import Fitted, Source, read_fitted, recordings_of
from recurra.tasks.transcriber.recordings import Recording, clean
from recurra.tasks.transcriber.resample import resample
from recurra.tasks.transcriber.runtime import RuntimeTranscriber
from recurra.tasks.transcriber.settings import (
    Decoding,
    TranscriberConfig,
    TranscriberData,
    TranscriptOptions,
)
from recurra.tasks.transcriber.transcript import (
    Judgement,
    Transcript,
    TranscriptStream,
    transcript,
)
from recurra.tasks.transcriber.wav import Sound
from recurra.text import Tokenizer

if TYPE_CHECKING:
    from recurra.train import Callback, FitResult


@dataclass(frozen=True)
class Decoder:
    """How text is found, and the language model that helps."""

    options: Decoding
    model: TextModel | None

    def beam(self) -> PrefixBeam | None:
        """A new beam search; None for the best path."""
        o = self.options
        if o.beams == 1:
            return None
        return PrefixBeam(beams=o.beams, model=self.model, weight=o.weight, bonus=o.bonus)

    def __call__(self, log_probabilities: np.ndarray) -> list[Labelling]:
        """Labellings of steps (T, V + 1), best first."""
        beam = self.beam()
        if beam is None:
            return [BestPath().push(log_probabilities)]
        beam.push(log_probabilities)
        return beam.best(self.options.n_best)


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
    Prediction = TranscriptOptions
    Measurement = TranscriptOptions

    config: TranscriberConfig
    _network: RuntimeTranscriber | None = None

    @classmethod
    def around(cls, files: ModelFiles, runtime: RuntimeTranscriber) -> "Transcriber":
        """Return what those files say, with another network than theirs to hear with."""
        model = cls.__new__(cls)
        model.config = TranscriberConfig.from_files(files.config)
        model._files, model._precision = files, "float32"
        model._network = runtime
        return model

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
        """Train on recordings and their texts; then this is the model with the fewest word errors.

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
            **options: fields of `Decoding`, by name: `beams=16, weight=0.5, bonus=1.0`.

        Returns:
            A transcript of each recording, in their order; `str` of one is its text.

        Raises:
            InputError: recordings or options that cannot be used.
        """
        decoder = self._decoder(language_model, options)
        recordings = recordings_of(data, texts=False)
        return [found for _, found in self._transcribe(recordings, decoder)]

    def predict_file(
        self, source: str | Path, options: TranscriptOptions
    ) -> Iterator[Transcript | Unanswered]:
        """Transcribe recordings one after the other, as `recurra predict` does; "-" is a wav file
        on standard input. One that is left out is answered by an `Unanswered`."""
        decoder, bad = self._opened(options), list[str]()
        on_bad = (lambda error: bad.append(str(error))) if options.skip_bad else None
        before: list[int] = []  # how many were bad before each that was read

        def noted() -> Iterator[Recording]:
            for recording in recordings_of(source, texts=False, on_bad=on_bad):
                before.append(len(bad))
                yield recording

        told = 0
        for k, (_, found) in enumerate(self._transcribe(noted(), decoder)):
            for reason in bad[told : before[k]]:
                yield Unanswered(reason, "recordings")
            told = before[k]
            yield found
        for reason in bad[told:]:
            yield Unanswered(reason, "recordings")

    def evaluate(
        self, data: Any, *, language_model: Any = None, skip_bad: bool = False, **options: Any
    ) -> Judgement:
        """Compare transcripts with what was said; arguments as for `predict`.

        With `skip_bad` recordings that cannot be read, or have no text, are left out.

        Raises:
            InputError: recordings without a text, or options that cannot be used.
        """
        decoder, bad = self._decoder(language_model, options), list[str]()
        on_bad = (lambda error: bad.append(str(error))) if skip_bad else None
        recordings = recordings_of(data, texts=True, on_bad=on_bad)
        said, heard, seconds = [], [], 0.0
        for recording, found in self._transcribe(recordings, decoder):
            said.append(clean(recording.text or ""))
            heard.append(found.text)
            seconds += recording.sound.seconds
        return Judgement.of(said, heard, seconds=seconds, skipped=bad)

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
        decoder = self._decoder(language_model, options)
        return TranscriptStream(self.runtime.stream(rate=rate), self.tokenizer, decoder.beam())

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Cuts texts into the tokens the model was trained with."""
        return self._fitted.tokenizer

    @cached_property
    def runtime(self) -> RuntimeTranscriber:
        """The network, without torch."""
        if self._network is not None:
            return self._network
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
                f"{files.path}: model.safetensors: expected {len(fitted.tokenizer) + 1} classes, "
                f"the blank and the tokens of tokenizer.json, found {made.classes}: they are of "
                "different models"
            )
        return made

    @cached_property
    def _fitted(self) -> Fitted:
        return read_fitted(self.files.config, self.files.tokenizer)

    def _decoder(self, language_model: Any, options: dict[str, Any]) -> Decoder:
        """What options say, with the language model that was given, or its directory."""
        (chosen,) = sort(options, Decoding)
        path = str(language_model) if isinstance(language_model, str | Path) else None
        decoding = Decoding(**chosen, language_model=path).validate()
        if language_model is None or path is not None:
            return self._opened(decoding)
        if decoding.beams == 1:
            replace(decoding, language_model="given").validate()
        return Decoder(decoding, self._text_model(language_model))

    def _opened(self, options: Decoding) -> Decoder:
        if options.language_model is None:
            return Decoder(options, None)
        import recurra

        return Decoder(options, self._text_model(recurra.load(options.language_model)))

    def _text_model(self, given: Any) -> TextModel:
        if not hasattr(given, "generate"):
            raise InputError(f"language_model: expected a language model, received {given!r}")
        tokens = [self.tokenizer.token(id) for id in range(len(self.tokenizer))]
        return TextModel(given.runtime, given.tokenizer, tokens)

    def _transcribe(
        self, recordings: Iterable[Recording], decoder: Decoder
    ) -> Iterator[tuple[Recording, Transcript]]:
        pool: list[Recording] = []
        for recording in recordings:
            pool.append(recording)
            if len(pool) == _POOL:
                yield from self._together(pool, decoder)
                pool = []
        yield from self._together(pool, decoder)

    def _together(
        self, recordings: list[Recording], decoder: Decoder
    ) -> Iterator[tuple[Recording, Transcript]]:
        runtime = self.runtime
        features = runtime.features
        vectors = [self._vectors(recording.sound) for recording in recordings]
        for recording, log_p in zip(recordings, runtime.log_probabilities(vectors), strict=True):
            found = decoder(log_p)
            yield (
                recording,
                transcript(self.tokenizer, found, seconds=features.seconds, name=recording.name),
            )

    def _vectors(self, sound: Sound) -> np.ndarray:
        features = self.runtime.features
        samples = resample(sound.samples, sound.rate, features.rate)
        return features.vectors(samples, self.runtime.scale)
