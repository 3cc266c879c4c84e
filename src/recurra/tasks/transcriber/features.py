"""Log-mel features of sound, whole or as it comes with the same result."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recurra.native import matmul
from recurra.runtime.stream_state import Saved
from recurra.settings import Settings, option

#: Energy below this is not told apart: about the rounding of 16-bit samples.
FLOOR = 1e-6
#: Added to every deviation: bands in which nothing happens stay what they are.
_LEAST = 1e-3

#: Of all bands for all frequencies: far more than any sound needs, and little memory.
MOST_WEIGHTS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class LogMel(Settings):
    """What a frame is: the log of energies in mel bands of a short window of sound.

    A frame takes `window` seconds under a Hann window, every `hop` seconds, as long as whole
    windows are there; the squared magnitudes of its discrete Fourier transform are summed under
    `mels` triangles, evenly spaced on the mel scale 2595 log10(1 + f / 700) (O'Shaughnessy 1987)
    between `low` and `high`; the feature is ln(energy + 1e-6). `stack` frames one after the other
    make one vector, and the next begins `stride` frames later (Sak et al. 2015).
    """

    rate: int = option(16000, "samples a second of the sound that is read", least=100, whole=True)
    window: float = option(0.025, "seconds of a frame", above=0, most=1)
    hop: float = option(0.010, "seconds from frame to frame", above=0, most=1)
    mels: int = option(40, "mel bands", least=1, most=512, whole=True)
    low: float = option(20.0, "lowest frequency, Hz", least=0)
    high: float | None = option(None, "highest frequency, Hz; by default half the rate", above=0)
    stack: int = option(3, "frames in one input of the network", least=1, most=64, whole=True)
    stride: int = option(3, "frames from one input to the next", least=1, most=64, whole=True)

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        if found:
            return found
        top = self.rate / 2 if self.high is None else self.high
        if not self.low < top <= self.rate / 2:
            found.append(
                f"frequencies must rise from low to high and stay below half the rate "
                f"({self.rate / 2:g} Hz), received {self.low:g} to {top:g}"
            )
        elif self.samples < 2 or self.step < 1:
            found.append("window and hop must hold samples: two and one at least")
        elif self.spectrum // 2 * self.mels > MOST_WEIGHTS:
            found.append(
                f"window and mels: {self.samples:,} samples for {self.mels} bands need more than "
                f"{MOST_WEIGHTS:,} weights: choose a shorter window, fewer bands, or a lower rate"
            )
        elif not self.filters.any(0).all():
            found.append(
                f"mels: {self.mels} bands are narrower than a step of the spectrum of a window of "
                f"{self.window:g} s: choose fewer, or a longer window"
            )
        return found

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.window * self.rate)

    @property
    def step(self) -> int:
        """Samples from frame to frame."""
        return round(self.hop * self.rate)

    @property
    def size(self) -> int:
        """Features of a vector."""
        return self.mels * self.stack

    @property
    def seconds(self) -> float:
        """From one vector to the next."""
        return self.step * self.stride / self.rate

    @property
    def spectrum(self) -> int:
        """Points of the Fourier transform: the next power of two."""
        return 1 << (self.samples - 1).bit_length()

    @cached_property
    def filters(self) -> np.ndarray:
        """Weights (frequencies, mels) of the triangles."""
        top = self.rate / 2 if self.high is None else self.high
        low, high = (2595 * np.log10(1 + f / 700) for f in (self.low, top))
        edges = 700 * (10 ** (np.linspace(low, high, self.mels + 2) / 2595) - 1)
        places = np.arange(self.spectrum // 2 + 1)[:, None] * self.rate / self.spectrum
        below, peak, above = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (places - below) / (peak - below), (above - places) / (above - peak)
        return np.maximum(0, np.minimum(rising, falling))

    @cached_property
    def _hann(self) -> np.ndarray:
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.samples) / self.samples)

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Samples (N,) to frames (F, mels) float32, F = 1 + (N - window) // hop or 0."""
        if len(samples) < self.samples:
            return np.zeros((0, self.mels), np.float32)
        cut = np.lib.stride_tricks.sliding_window_view(samples, self.samples)[:: self.step]
        spectra = np.fft.rfft(cut * self._hann, self.spectrum)
        power = spectra.real**2 + spectra.imag**2
        # A frame by itself: a stream gets the same as the whole.
        energy = matmul(power, self.filters)
        return np.log(energy + FLOOR).astype(np.float32)

    def vectors(self, samples: np.ndarray, scale: "Scale | None" = None) -> np.ndarray:
        """Samples (N,) to what the network reads, (T, size)."""
        frames = self.frames(samples)
        return self.stacked(frames if scale is None else scale(frames))

    def stacked(self, frames: np.ndarray) -> np.ndarray:
        """Frames (F, mels) to vectors (T, size), T = 1 + (F - stack) // stride or 0."""
        if len(frames) < self.stack:
            return np.zeros((0, self.size), np.float32)
        views = np.lib.stride_tricks.sliding_window_view(frames, self.stack, axis=0)
        chosen = views[:: self.stride].transpose(0, 2, 1)
        return np.array(chosen, order="C").reshape(len(chosen), self.size)

    def stream(self, scale: "Scale | None" = None) -> "FeatureStream":
        """What turns samples into vectors as they come; `scale` is one of the training data."""
        return FeatureStream(self, scale)


@dataclass(frozen=True, eq=False)
class Scale:
    """Gives features a mean of 0 and a deviation of 1: in the training data, or in each recording.

    mean, deviation: (mels,) float32 of the training data; None for those of each recording itself,
    which takes away the voice's and the microphone's colour, and needs the whole recording.
    """

    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None

    @classmethod
    def of(cls, recordings: Iterable[np.ndarray]) -> "Scale":
        """Mean and deviation of all frames (F, mels) of some recordings."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for frames in recordings:
            wide = frames.astype(np.float64)
            count, total, squares = (
                count + len(wide),
                total + wide.sum(0),
                squares + (wide**2).sum(0),
            )
        mean = total / max(count, 1)
        deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0)) + _LEAST
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    @property
    def streams(self) -> bool:
        """Whether frames can be scaled as they come."""
        return self.mean is not None

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Frames (F, mels) scaled, float32."""
        if self.mean is not None and self.deviation is not None:
            return (frames - self.mean) / self.deviation
        if not len(frames):
            return frames
        return (frames - frames.mean(0)) / (frames.std(0) + np.float32(_LEAST))


class FeatureStream:
    """Vectors of sound that arrives in pieces: joined, those of the whole, bit for bit."""

    def __init__(self, features: LogMel, scale: Scale | None = None) -> None:
        self._features, self._scale = features, scale
        self._samples = _Held(np.zeros(0, np.float32))
        self._frames = _Held(np.zeros((0, features.mels), np.float32))

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Samples (N,) of any number; returns the vectors (T, size) that they complete."""
        f = self._features
        self._samples.add(np.asarray(samples, np.float32))
        frames = f.frames(self._samples.rows)
        self._samples.drop(len(frames) * f.step)
        self._frames.add(frames if self._scale is None else self._scale(frames))
        vectors = f.stacked(self._frames.rows)
        self._frames.drop(len(vectors) * f.stride)
        return vectors

    def copy(self) -> "FeatureStream":
        """Another one at the same place."""
        made = copy(self)
        made._samples, made._frames = copy(self._samples), copy(self._frames)
        return made

    def pack(self) -> dict[str, np.ndarray]:
        """What waits, as arrays by name."""
        owed = np.array([self._samples.owed, self._frames.owed], np.int64)
        return {"samples": self._samples.rows, "frames": self._frames.rows, "owed": owed}

    def unpack(self, saved: Saved) -> None:
        """Take what `pack` wrote; FormatError for anything else."""
        owed = saved.array("owed", (2,), np.int64)
        self._samples = _Held(saved.array("samples", (None,), np.float32), int(owed[0]))
        frames = saved.array("frames", (None, self._features.mels), np.float32)
        self._frames = _Held(frames, int(owed[1]))


class _Held:
    """Rows that wait for more; more can be dropped than have come."""

    def __init__(self, rows: np.ndarray, owed: int = 0) -> None:
        self.rows, self.owed = rows, owed

    def add(self, rows: np.ndarray) -> None:
        self.rows = np.concatenate([self.rows, rows])
        self.drop(0)

    def drop(self, count: int) -> None:
        count += self.owed
        self.owed = max(0, count - len(self.rows))
        self.rows = self.rows[count:]
