"""Sound at another rate: a polyphase filter, whole or in chunks with the same result."""

import math
from functools import lru_cache

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.runtime.stream_state import Saved

#: Zero crossings of the sinc on each side, and the shape of the Kaiser window: 80 dB down outside.
_CROSSINGS, _BETA = 24, 8.0
#: The filter is at half there, as a share of the lower rate's half: it passes all up to 0.85 of it,
#: and nothing from 1.04 on.
_ROLL_OFF = 0.945
#: Numbers of a table of filters, and of the windows read at once: 8 MB each.
_NUMBERS = 1 << 20


class Resampler:
    """Turns samples at one rate into samples at another, as they come.

    The pieces that `push` and `finish` return, joined, do not depend on how the input was cut. N
    samples become ceil(N * into / rate); the first of both lie at the same time.

    A windowed sinc (Smith & Gossett 1984), as a filter for each phase of the ratio.

    Raises:
        InputError: a rate that is not a whole number from 1 on.
    """

    def __init__(self, rate: int, into: int) -> None:
        for value in (rate, into):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(
                    f"resampling: expected rates from 1 Hz on, in whole Hz, received {value!r}"
                )
        self.rate = rate
        common = math.gcd(rate, into)
        self._up, self._down = into // common, rate // common
        self._reach = _reach(self._up, self._down)
        self._taps = 2 * self._reach + 1
        # What an output reads before the first sample is silence.
        self._held = np.zeros(self._reach)
        self._first = -self._reach  # the index of the first sample held
        self._received = self._made = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Samples (N,) at the one rate; returns those at the other that are certain, float32."""
        samples = np.asarray(samples, np.float64)
        self._received += len(samples)
        if self._up == self._down:
            self._made = self._received
            return samples.astype(np.float32)
        self._held = np.concatenate([self._held, samples])
        # Output m reads up to `reach` samples beyond m * down / up.
        ready = (self._received - self._reach - 1) * self._up // self._down
        return self._make(max(ready, self._made))

    def finish(self) -> np.ndarray:
        """The rest, (N,) float32; what follows the last sample is silence."""
        if self._up == self._down:
            return np.zeros(0, np.float32)
        self._held = np.concatenate([self._held, np.zeros(self._reach + 1)])
        return self._make(-(-self._received * self._up // self._down))

    def pack(self) -> dict[str, np.ndarray]:
        """Where it stands, as arrays by name."""
        counts = np.array([self._first, self._received, self._made], np.int64)
        return {"resampler.held": self._held, "resampler.counts": counts}

    def unpack(self, saved: Saved) -> None:
        """Stand where `pack` said; FormatError for anything else."""
        first, received, made = saved.array("resampler.counts", (3,), np.int64).tolist()
        held = saved.array("resampler.held", (None,), np.float64)
        if self._up == self._down:
            right = (first, len(held)) == (-self._reach, self._reach)
        else:
            # Behind the end of a recording stands the silence that `finish` reads.
            ends = first + len(held) - received in (0, self._reach + 1)
            needed = made * self._down // self._up - self._reach
            right = ends and first == max(-self._reach, needed)
        if not right or received < 0 or made < 0:
            raise FormatError("state: resampler: its counts do not fit its samples: take it anew")
        self._held, self._first, self._received, self._made = held, first, received, made

    def _make(self, until: int) -> np.ndarray:
        parts = [np.zeros(0, np.float32)]
        block = max(1, _NUMBERS // self._taps)
        for begin in range(self._made, until, block):
            ticks = np.arange(begin, min(begin + block, until)) * self._down
            starts = ticks // self._up - self._reach - self._first
            windows = np.lib.stride_tricks.sliding_window_view(self._held, self._taps)[starts]
            # A sum over each row: the same bits, whichever rows are computed together.
            found = (windows * self._filters(ticks % self._up)).sum(1)
            parts.append(found.astype(np.float32))
        self._made = until
        needed = until * self._down // self._up - self._reach
        if needed > self._first:
            self._held = self._held[needed - self._first :]
            self._first = needed
        return np.concatenate(parts)

    def _filters(self, phases: np.ndarray) -> np.ndarray:
        """The filters (N, taps) of some phases: of a table, where all of them are few numbers."""
        if self._up * self._taps <= _NUMBERS:
            return _table(self._up, self._down)[phases]
        return _make_filters(self._up, self._down, phases)


def resample(samples: np.ndarray, rate: int, into: int) -> np.ndarray:
    """Samples (N,) at `rate` as samples (ceil(N * into / rate),) at `into`, float32."""
    made = Resampler(rate, into)
    return np.concatenate([made.push(samples), made.finish()])


def _cutoff(up: int, down: int) -> float:
    """Where the filter is at half, as a share of half the rate of the input."""
    return _ROLL_OFF * min(1.0, up / down)


def _reach(up: int, down: int) -> int:
    """Samples that an output reads on each side of its place."""
    return math.ceil(_CROSSINGS / _cutoff(up, down))


@lru_cache(maxsize=16)
def _table(up: int, down: int) -> np.ndarray:
    return _make_filters(up, down, np.arange(up))


def _make_filters(up: int, down: int, phases: np.ndarray) -> np.ndarray:
    """The filter of each phase (N,) in 0 … up - 1, (N, taps); each passes a constant unchanged."""
    cutoff, reach = _cutoff(up, down), _reach(up, down)
    places = np.arange(-reach, reach + 1)[None, :] - phases[:, None] / up
    inside = np.clip(1 - (places * cutoff / _CROSSINGS) ** 2, 0, None)
    window = np.i0(_BETA * np.sqrt(inside)) * (np.abs(places * cutoff) <= _CROSSINGS)
    filters = np.sinc(places * cutoff) * window
    return filters / filters.sum(1, keepdims=True)
