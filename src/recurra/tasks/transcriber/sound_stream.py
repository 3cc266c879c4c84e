"""One recording that arrives in pieces, as log probabilities of tokens."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import InputError
from recurra.given import plain, shown
from recurra.runtime.states import States, pack
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Row, Stream, check_direction
from recurra.tasks.transcriber.features import FeatureStream
from recurra.tasks.transcriber.resample import Resampler

if TYPE_CHECKING:
    from recurra.tasks.transcriber.runtime import RuntimeTranscriber


@dataclass(frozen=True, eq=False)
class SoundPlace:
    """Where a recording stands: what turns samples into those of the model's rate and these into
    vectors, none of which is ever changed; and the layers' states."""

    resampler: Resampler
    features: FeatureStream
    row: Row[States]


SoundStream = Stream[SoundPlace, np.ndarray, np.ndarray, np.ndarray]


class SoundReader(Reader[SoundPlace, np.ndarray, np.ndarray, np.ndarray]):
    """Reads samples (N,): ln P (T, V + 1) at the steps that they complete.

    Raises:
        InputError: the model needs the whole recording: it reads in both directions, or scales
            features by those of the recording.
    """

    kind = "sound"

    def __init__(self, runtime: "RuntimeTranscriber", identity: Identity) -> None:
        super().__init__(identity)
        check_direction(bidirectional=runtime.bidirectional)
        if not runtime.scale.streams:
            raise InputError(
                "streaming: this model scales features by the mean of the whole recording: train "
                'one with normalise="corpus"'
            )
        self._runtime = runtime

    def begin(self, rate: int | None = None) -> SoundPlace:
        """The place before any sample, of so many a second (None: the model's)."""
        features = self._runtime.features
        return SoundPlace(
            Resampler(rate or features.rate, features.rate),
            features.stream(self._runtime.scale),
            Row(self._runtime.stack.start(1)),
        )

    def advance(
        self, places: Sequence[SoundPlace], frames: Sequence[np.ndarray]
    ) -> list[tuple[SoundPlace, np.ndarray]]:
        """See `Reader.advance`."""
        samples = [_samples(frame) for frame in frames]
        taken = []
        for place, some in zip(places, samples, strict=True):
            resampler = copy(place.resampler)
            taken.append((replace(place, resampler=resampler), resampler.push(some)))
        return self._read(taken)

    def end(self, place: SoundPlace) -> tuple[SoundPlace, np.ndarray]:
        """See `Reader.end`."""
        resampler = copy(place.resampler)
        (found,) = self._read([(replace(place, resampler=resampler), resampler.finish())])
        return found

    def pack(self, place: SoundPlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        arrays = {**place.resampler.pack(), **place.features.pack(), **pack(place.row)}
        return arrays, {"rate": place.resampler.rate}

    def unpack(self, saved: Saved) -> SoundPlace:
        """See `Reader.unpack`."""
        place = self.begin(saved.whole("rate", 1))
        place.resampler.unpack(saved)
        place.features.unpack(saved)
        return replace(place, row=Row(self._runtime.stack.unpack(saved)))

    def _read(
        self, taken: Sequence[tuple[SoundPlace, np.ndarray]]
    ) -> list[tuple[SoundPlace, np.ndarray]]:
        """Read samples at the model's rate."""
        found: list[tuple[SoundPlace, np.ndarray]] = []
        vectors = []
        for place, samples in taken:
            features = place.features.copy()
            vectors.append(features.push(samples))
            none = np.zeros((0, self._runtime.classes), np.float32)
            found.append((replace(place, features=features), none))
        some = [k for k, rows in enumerate(vectors) if len(rows)]
        if some:
            before = [found[k][0].row for k in some]
            outputs, rows = self._runtime.stack.advance([vectors[k] for k in some], before)
            for k, y, row in zip(some, outputs, rows, strict=True):
                found[k] = replace(found[k][0], row=row), self._runtime.output(y)
        return found


def _samples(frame: Any) -> np.ndarray:
    """Samples (N,) as numbers."""
    given = plain(frame)
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        found = np.zeros((0, 0))
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"push: expected finite samples (N,), received {shown(frame)}")
    return found
