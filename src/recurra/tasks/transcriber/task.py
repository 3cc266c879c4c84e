"""`Transcriber`: train it, measure it, let it listen. Only training needs torch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.runtime.streams import Identity
from recurra.storage import ModelFiles
from recurra.tasks.answers import Answers, Unanswered
from recurra.tasks.copies import derived
from recurra.tasks.protocol import Fitting, Task
from recurra.tasks.transcriber.ctc import BestPath, Labelling, PrefixBeam, TextModel
from recurra.tasks.transcriber.data import Fitted, read_fitted, recordings_of
from recurra.tasks.transcriber.recordings import Recording, clean
from recurra.tasks.transcriber.resample import resample
from recurra.tasks.transcriber.runtime import RuntimeTranscriber
from recurra.tasks.transcriber.scores import TranscriberScores
from recurra.tasks.transcriber.settings import (
    Decoding,
    TranscriberData,
    TranscriberOptions,
    TranscriberSettings,
)
from recurra.tasks.transcriber.sound_stream import SoundReader
from recurra.tasks.transcriber.stream import TranscriptReader, TranscriptStream
from recurra.tasks.transcriber.transcript import Transcript, transcript
from recurra.tasks.transcriber.wav import Sound
from recurra.text import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, Unpack

    from recurra.tasks.transcriber.options import Chosen, Measured, Trained

    pass


@dataclass(frozen=True)
class Decoder:
    """How text is found, and the language model that helps."""

    options: Decoding
    model: TextModel | None
    identity: Identity | None = None

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


class Transcriber(Task):
    """Speech to text: recurrent layers over log-mel features, trained by the CTC loss.

    The arguments are the fields of `TranscriberSettings`, by name:
    `Transcriber(cell="lstm", layers=2, hidden=128, bidirectional=True, tokenizer="char")`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "transcriber"
    title = "transcriber"
    fitting = Fitting(
        reads="recordings and their texts",
        keeps="tokens and features",
        data=(
            "a manifest, a folder, an archive, or several of them (see "
            "`recurra.tasks.transcriber.read_recordings`); or `Recording`s in memory."
        ),
        answers="the text of each recording, where `data` are paths of wav files or `Sound`s.",
        valid="recordings held out; by default a tenth of `data`, chosen at random.",
        example="`minutes=3`, `speed=0.1`, `lr=1e-3`",
    )
    Config = TranscriberSettings
    Data = TranscriberData
    Prediction = TranscriberOptions
    Measurement = TranscriberOptions

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

    figure = ("word_error_rate", -1.0)
    _network: RuntimeTranscriber | None = None

    @classmethod
    def around(cls, files: ModelFiles, runtime: RuntimeTranscriber) -> "Transcriber":
        """Return what those files say, with another network than theirs to hear with."""
        model = cls.__new__(cls)
        model._adopt(TranscriberSettings.from_files(files.config), files, "float32")
        model._network = runtime
        return model

    def _derive(self) -> None:
        self._network = None  # what heard before is not what was trained
        super()._derive()

    def predict(self, inputs: Any, **options: Any) -> Answers[Transcript]:
        """Transcribe recordings.

        Args:
            inputs: a wav file, a manifest, a folder, an archive, or several of them; or a `Sound`,
                or several.
            **options: fields of `Decoding`, by name: `beams=16, weight=0.5, bonus=1.0`. With a beam
                `language_model` may be a `recurra.LanguageModel` of lines over the same tokens, or
                its directory.

        Returns:
            A transcript of each recording, in their order; `str` of one is its text.

        Raises:
            InputError: recordings or options that cannot be used.
        """
        decoder = self._decoder(self._options(Decoding, options))
        recordings = recordings_of(inputs, texts=False)
        return Answers(heard for _, heard in self._transcribe(recordings, decoder))

    def predict_file(
        self, source: str | Path, options: TranscriberOptions
    ) -> Iterator[Transcript | Unanswered]:
        """Transcribe recordings one after the other, as `recurra predict` does; "-" is a wav file
        on standard input. One that is left out is answered by an `Unanswered`."""
        decoder, bad = self._decoder(options), list[str]()
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

    def evaluate(self, data: Any, **options: "Unpack[Measured]") -> TranscriberScores:
        """Compare transcripts with what was said.

        Args:
            data: as for `fit`.
            **options: by name: those of `predict`, and `skip_bad`.

        Raises:
            InputError: recordings without a text, or options that cannot be used.
        """
        wanted, bad = self._options(TranscriberOptions, options), list[str]()
        decoder = self._decoder(wanted)
        on_bad = (lambda error: bad.append(str(error))) if wanted.skip_bad else None
        recordings = recordings_of(data, texts=True, on_bad=on_bad)
        said, heard, seconds = [], [], 0.0
        for recording, found in self._transcribe(recordings, decoder):
            said.append(clean(recording.text or ""))
            heard.append(found.text)
            seconds += recording.sound.seconds
        return TranscriberScores.of(said, heard, seconds=seconds, skipped=bad)

    def stream(self, *, rate: int | None = None, **options: Any) -> TranscriptStream:
        """Listen to one recording as it comes, in pieces of any size: `open_stream`."""
        return self.open_stream(rate=rate, **options)

    def open_stream(
        self, *, state: StreamState | None = None, rate: int | None = None, **options: Any
    ) -> TranscriptStream:
        """Listen to one recording as it comes, in pieces of any size: see `TranscriptStream`.

        Args:
            state: where to begin: the `state` of such a stream, whose rate and options hold.
            rate: samples a second of what will come; by default the model's.
            **options: as for `predict`.

        Raises:
            InputError: a model that needs whole recordings, options that cannot be used or are not
                those of the state, or a state of another model.
            FormatError: a damaged state.
        """
        if state is not None:
            rate, options = _as_in(state, rate, options)
        decoder = self._decoder(self._options(Decoding, options))
        _check_language_model(state, decoder)
        reader = TranscriptReader(
            SoundReader(self.runtime, self._identity),
            self.tokenizer,
            self._identity,
            beam=decoder.beam(),
            language_model=decoder.identity,
            rate=rate,
        )
        return TranscriptStream(reader, reader.begin()).at(state)

    @derived
    def tokenizer(self) -> Tokenizer:
        """Cuts texts into the tokens the model was trained with."""
        return self._fitted.tokenizer

    @derived
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
                "different models: restore both from a copy"
            )
        return made

    @derived
    def _fitted(self) -> Fitted:
        return read_fitted(self.files.config, self.files.tokenizer)

    def _decoder(self, options: Decoding) -> Decoder:
        """What finds text as `options` say, with the language model that they name or are given."""
        given = options.language_model
        if isinstance(given, str | Path):
            import recurra

            given = recurra.load(given)
        if given is None:
            return Decoder(options, None)
        model = self._text_model(given)
        identity = Identity.of(given.files, getattr(given, "_precision", "float32"))
        return Decoder(options, model, identity)

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


def _as_in(
    state: StreamState, rate: int | None, options: dict[str, Any]
) -> tuple[int | None, dict[str, Any]]:
    """The rate and the options of a state; InputError where others were given beside it."""
    held = dict(state.values) if isinstance(state, StreamState) else {}
    names = ("rate", "beams", "weight", "bonus")
    given = {**options, **({} if rate is None else {"rate": rate})}
    for name, value in given.items():
        if name in names and name in held and held[name] != value:
            raise InputError(
                f"{name}: the state was taken with {held[name]}, received {value}: leave it out"
            )
    kept = {name: held[name] for name in names[1:] if name in held}
    return held.get("rate", rate), {**kept, **options}


def _check_language_model(state: StreamState | None, decoder: Decoder) -> None:
    """Raise InputError where another language model helps than the one that helped a state."""
    helped = state.values.get("language_model") if isinstance(state, StreamState) else None
    if helped is not None and (decoder.identity is None or decoder.identity.text != helped):
        raise InputError(
            "state: it was searched with a language model: give the same one as language_model"
        )
