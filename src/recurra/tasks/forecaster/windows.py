"""Windows of series: context, horizon, and what their values are measured against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from recurra.errors import InputError
from recurra.tasks.forecaster.runtime import ForecastShape
from recurra.tasks.forecaster.scaling import Track


@dataclass(frozen=True)
class Windows:
    """Some windows, as the network reads them.

    values: (B, C, A + L + W), normalised; those of the horizon are targets. present: of the same
    shape, which of them were measured and lie in the horizon. known: (B, A + L + W, K). static: (B,
    S). shift, size: (B, C), what normalised values are multiplied by and added to. carry: False,
    for the loop: no window goes on in the next.
    """

    values: np.ndarray
    present: np.ndarray
    known: np.ndarray
    static: np.ndarray
    shift: np.ndarray
    size: np.ndarray
    carry: bool = False


class WindowSource:
    """Cuts windows out of tracks: rows (track, origin), the origin the first step to forecast.

    What lies before the first value of a track is that value.
    """

    def __init__(self, tracks: Sequence[Track], shape: ForecastShape, normalise: str) -> None:
        self._shape, self._normalise = shape, normalise
        self.lengths = np.array([len(track.values) for track in tracks])
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self._values = np.concatenate([track.values for track in tracks])
        self._present = np.concatenate([track.present for track in tracks])
        known = np.array([len(track.known) for track in tracks])
        self._known_lengths = known
        self._known_starts = np.concatenate([[0], np.cumsum(known)[:-1]])
        self._known = np.concatenate([track.known for track in tracks])
        self._static = np.stack([track.static for track in tracks])
        self._floor = np.stack([track.floor for track in tracks])

    def targets(self, rows: np.ndarray, first: int = 0) -> np.ndarray:
        """How many values there are to forecast in the windows of rows (B, 2), from the `first`
        step of what they read on."""
        track, origin = rows[:, 0], rows[:, 1]
        counts = np.concatenate([[0], np.cumsum(self._present.sum(axis=1))])
        lengths, starts = self.lengths[track], self._starts[track]
        begin = np.clip(origin - self._shape.context + first, 0, lengths)
        end = np.clip(origin + self._shape.horizon, 0, lengths)
        found: np.ndarray = counts[starts + end] - counts[starts + begin]
        return found

    def cut(self, rows: np.ndarray) -> Windows:
        """The windows of rows (B, 2)."""
        s = self._shape
        track, origin = rows[:, 0], rows[:, 1]
        steps = origin[:, None] + np.arange(-s.context, s.steps_ahead)
        last = self.lengths[track][:, None] - 1
        at = self._starts[track][:, None] + np.clip(steps, 0, last)
        values = self._values[at].transpose(0, 2, 1)
        counted = (steps >= 0) & (steps <= last) & (steps < origin[:, None] + s.horizon)
        present = (self._present[at] & counted[..., None]).transpose(0, 2, 1)
        ahead = np.clip(steps, 0, self._known_lengths[track][:, None] - 1)
        shift, size = window_scale(
            values[:, :, s.reach : s.context], self._normalise, self._floor[track]
        )
        normal = (values - shift[..., None]) / size[..., None]
        return Windows(
            values=np.ascontiguousarray(normal, np.float32),
            present=present,
            known=self._known[self._known_starts[track][:, None] + ahead],
            static=self._static[track],
            shift=shift,
            size=size,
        )


def window_scale(
    context: np.ndarray, kind: str, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What contexts (B, C, L) are shifted and divided by: (B, C) each, the second positive."""
    zeros = np.zeros(context.shape[:2], np.float32)
    if kind == "last":
        return context[:, :, -1], zeros + 1
    if kind == "mean":
        return zeros, np.maximum(np.abs(context).mean(axis=2), floor).astype(np.float32)
    if kind == "standard":
        return context.mean(axis=2), np.maximum(context.std(axis=2), floor).astype(np.float32)
    return zeros, zeros + 1


class TrainingWindows(Sequence[Windows]):
    """The batches of an epoch: a function of seed and epoch, each read by its index."""

    def __init__(
        self,
        source: WindowSource,
        rows: np.ndarray,
        *,
        batch: int,
        seed: int,
        epoch: int,
        most: int | None,
        rank: int,
        world: int,
    ) -> None:
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))[:most]
        share = max(1, len(order) // world)
        mine = order[rank * share : (rank + 1) * share] if len(order) >= world else order[:1]
        self._source, self._rows, self._batch = source, rows[mine], min(batch, share)

    def __len__(self) -> int:
        return len(self._rows) // self._batch

    @overload
    def __getitem__(self, index: int) -> Windows: ...
    @overload
    def __getitem__(self, index: slice) -> list[Windows]: ...
    def __getitem__(self, index: int | slice) -> Windows | list[Windows]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = index * self._batch
        return self._source.cut(self._rows[first : first + self._batch])


def training_rows(lengths: Sequence[int], shape: ForecastShape, stride: int) -> np.ndarray:
    """Rows (N, 2) of all windows whose horizon lies in the first `lengths` steps of the tracks.

    A track shorter than context and horizon gives one window, padded; one not longer than the
    horizon gives none.

    Raises:
        InputError: no track is long enough.
    """
    found = []
    for track, length in enumerate(lengths):
        end = length - shape.horizon
        if end >= max(shape.segment, 2):
            # From the end back, so that the latest values are in a window.
            origins = np.arange(end, min(shape.context, end) - 1, -stride)
            found.append(np.stack([np.full_like(origins, track), origins], axis=1))
    if not found:
        raise InputError(
            f"series: expected more than {shape.horizon + shape.segment} steps to train on, the "
            f"longest has {max(lengths)}: shorten the horizon ({shape.horizon}), or hold out less"
        )
    return np.concatenate(found)
