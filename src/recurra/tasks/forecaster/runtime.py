"""A forecaster of a model directory without torch: what a context says of the horizon."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.given import reason
from recurra.native import Product
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.states import States

DF_FLOOR, SCALE_FLOOR = 2.0, 1e-4
#: No window has more steps, nor more of anything that no weight shows the size of.
_MOST_STEPS = 1 << 24


@dataclass(frozen=True)
class ForecastShape:
    """Sizes of a forecaster, and how values go in and come out.

    direct: whether the horizon comes at once, or segment by segment. channels: C. joint: whether
    the columns are features of one sequence, or sequences of their own. lookback: L steps of the
    context. horizon: steps to forecast. segment: w steps read at once. embedding,
    channel_embedding: widths. known, static: K and S covariates. lags: earlier values that
    autoregressive members also read. numbers: P that describe a value. highway: whether there is a
    linear map beside the recurrent path; shifts_all: whether it adds to all numbers, or to the
    first. members: of the ensemble.
    """

    direct: bool
    channels: int
    joint: bool
    lookback: int
    horizon: int
    segment: int
    embedding: int
    channel_embedding: int
    known: int
    static: int
    lags: tuple[int, ...]
    numbers: int
    highway: bool
    shifts_all: bool
    members: int

    @property
    def features(self) -> int:
        """F: values of one sequence at one time."""
        return self.channels if self.joint else 1

    @property
    def ahead(self) -> int:
        """Segments of the horizon."""
        return -(-self.horizon // self.segment)

    @property
    def steps_ahead(self) -> int:
        """W: steps of those segments, at least the horizon."""
        return self.ahead * self.segment

    @property
    def reach(self) -> int:
        """A: steps before the lookback that lags reach to, whole segments."""
        behind = max(self.lags, default=self.segment) - self.segment
        return -(-behind // self.segment) * self.segment

    @property
    def context(self) -> int:
        """A + L: steps of history that a forecast reads."""
        return self.reach + self.lookback

    @property
    def inputs(self) -> int:
        """Numbers that one step of the recurrent layers reads, before the embedding."""
        read = self.segment * self.known + self.static
        if self.direct:
            return read + self.segment * self.features
        return read + self.segment * self.features * (1 + len(self.lags)) + self.channel_embedding

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "lags": list(self.lags)}

    @classmethod
    def from_json(cls, values: Any) -> "ForecastShape":
        """The shape that `to_json` wrote; FormatError for anything else."""
        try:
            made = cls(**{**values, "lags": tuple(values["lags"])})
        except (KeyError, TypeError) as error:
            raise FormatError(
                f'config.json, "shape": {reason(error)}: restore the file from a copy'
            ) from error
        for field in fields(cls):
            value = getattr(made, field.name)
            if field.type is bool:
                right, expected = type(value) is bool, "true or false"
            elif field.name == "lags":
                right = all(type(lag) is int and 0 < lag < _MOST_STEPS for lag in value)
                expected = "whole numbers from 1 on"
            else:
                least = 0 if field.name in ("channel_embedding", "known", "static") else 1
                right = type(value) is int and least <= value < _MOST_STEPS
                expected = f"a whole number from {least} to {_MOST_STEPS}"
            if not right:
                shown = repr(value)[:40]
                raise FormatError(
                    f'config.json, "shape": {field.name}: expected {expected}, received {shown}: '
                    "restore the file from a copy"
                )
        return made


class RuntimeForecaster:
    """The members of an ensemble, run one after the other.

    Args:
        architecture: of the recurrent layers of each.
        shape: sizes.
        tensors: as `recurra.tasks.forecaster.network.Forecaster` names them.
        precision: of the layers' products.

    Raises:
        InputError: products of that precision cannot be had here.
        FormatError: a weight is missing, or its shape does not fit.
    """

    def __init__(
        self,
        architecture: Architecture,
        shape: ForecastShape,
        tensors: Mapping[str, np.ndarray],
        *,
        precision: str = "float32",
    ) -> None:
        self.shape = shape
        weights = Weights(tensors)
        self.members = [
            RuntimeMember(architecture, shape, weights, f"members.{index}.", precision)
            for index in range(shape.members)
        ]

    def direct(self, values: np.ndarray, known: np.ndarray, static: np.ndarray) -> np.ndarray:
        """What direct members say: (M, B, C, W, P).

        Args:
            values: (B, C, L) of the context.
            known: (B, L + W, K).
            static: (B, S).
        """
        return np.stack([member.direct(values, known, static) for member in self.members])


class RuntimeMember:
    """One network of an ensemble; rows (N) are windows, or windows times channels."""

    def __init__(
        self,
        architecture: Architecture,
        shape: ForecastShape,
        weights: Weights,
        prefix: str,
        precision: str,
    ) -> None:
        s = self.shape = shape
        self.stack = RuntimeStack(
            architecture,
            weights,
            features=s.embedding,
            prefix=f"{prefix}rnn.",
            precision=precision,
        )

        def get(name: str, *sizes: int) -> np.ndarray:
            return weights.get(prefix + name, sizes).astype(np.float32)

        self._input = Product(
            get("input.weight", s.embedding, s.inputs), get("input.bias", s.embedding)
        )
        out = s.segment * s.features * s.numbers
        self._head = Product(get("head.weight", out, self.stack.output_size), get("head.bias", out))
        wide, given = s.channel_embedding, s.segment * s.known + s.static
        self._channels = get("channels", s.channels, wide) if wide else None
        self._given = self._highway = None
        if s.direct:
            self._positions = get("positions", s.ahead, s.embedding - wide)
            if given:
                self._given = Product(get("given.weight", s.embedding, given))
            if s.highway:
                self._highway = Product(get("highway.weight", s.steps_ahead, s.lookback))

    def rows(self, values: np.ndarray) -> np.ndarray:
        """(B, C, T) as (N, T, F)."""
        if self.shape.joint:
            return values.transpose(0, 2, 1)
        return values.reshape(-1, values.shape[2], 1)

    def repeated(self, x: np.ndarray) -> np.ndarray:
        """What belongs to a window (B, ...), for each of its rows (N, ...)."""
        return x if self.shape.joint else np.repeat(x, self.shape.channels, axis=0)

    def direct(self, values: np.ndarray, known: np.ndarray, static: np.ndarray) -> np.ndarray:
        """See `RuntimeForecaster.direct`; of this member (B, C, W, P)."""
        rows, lookback = self.rows(values), self.shape.lookback
        known, static = self.repeated(known), self.repeated(static)
        states = self.read(rows, known[:, :lookback], static, None)
        return self.decode(values, known[:, lookback:], static, states)

    def read(
        self, rows: np.ndarray, known: np.ndarray, static: np.ndarray, states: States | None
    ) -> States:
        """The states of direct layers after whole segments of rows (N, T, F)."""
        parts = [self._segments(rows), self._segments(known)]
        parts.append(np.broadcast_to(static, (len(parts[0]), *static.shape)))
        return self.stack.run(self._embedded(parts), states=states)[1]

    def decode(
        self, values: np.ndarray, known: np.ndarray, static: np.ndarray, states: States
    ) -> np.ndarray:
        """What comes after `states`, (B, C, W, P): known (N, W, K), static (N, S).

        The highway reads the last L of values (B, C, ·).
        """
        s, count = self.shape, len(states[0][0])
        ahead = np.broadcast_to(
            self._positions[:, None], (s.ahead, count, self._positions.shape[1])
        )
        if self._channels is not None:
            mine = np.tile(self._channels, (count // s.channels, 1))
            ahead = np.concatenate([ahead, np.broadcast_to(mine, (s.ahead, *mine.shape))], axis=-1)
        if self._given is not None:
            fixed = np.broadcast_to(static, (s.ahead, *static.shape))
            ahead = ahead + self._given(np.concatenate([self._segments(known), fixed], axis=-1))
        again = tuple(tuple(np.tile(part, (s.ahead, 1)) for part in layer) for layer in states)
        outputs, _ = self.stack.run(ahead.reshape(1, s.ahead * count, -1), states=again)
        numbers = self._numbers(outputs.reshape(s.ahead, count, -1))
        if self._highway is not None:
            located = self._highway(values[:, :, -s.lookback :])[..., None]
            if s.shifts_all:
                return numbers + located
            numbers[..., :1] += located
        return numbers

    def step(
        self,
        before: np.ndarray,
        lagged: list[np.ndarray],
        known: np.ndarray,
        static: np.ndarray,
        states: States | None,
    ) -> tuple[np.ndarray, States]:
        """Autoregressive layers over some segments.

        Args:
            before: (N, n * w, F), the values of the segments before those to describe.
            lagged: of each lag the values (N, n * w, F) that long before.
            known: (N, n * w, K), of the segments to describe. static: (N, S).
            states: before the first, None at the start.

        Returns:
            What is described, (B, C, n * w, P), and the states after it.
        """
        parts = [self._segments(part) for part in (before, *lagged, known)]
        count = len(parts[0])
        parts.append(np.broadcast_to(static, (count, *static.shape)))
        if self._channels is not None:
            mine = np.tile(self._channels, (len(before) // self.shape.channels, 1))
            parts.append(np.broadcast_to(mine, (count, *mine.shape)))
        outputs, states = self.stack.run(self._embedded(parts), states=states)
        return self._numbers(outputs), states

    def _segments(self, x: np.ndarray) -> np.ndarray:
        """(N, T, F) as (T / w, N, w * F)."""
        rows, steps, features = x.shape
        w = self.shape.segment
        return x.reshape(rows, steps // w, w * features).transpose(1, 0, 2)

    def _embedded(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.maximum(self._input(np.concatenate(parts, axis=-1)), 0)

    def _numbers(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (n, N, R) to numbers (B, C, n * w, P)."""
        s = self.shape
        n, rows, _ = outputs.shape
        numbers = self._head(outputs).reshape(n, rows, s.segment, s.features, s.numbers)
        numbers = numbers.transpose(1, 0, 2, 3, 4)
        numbers = numbers.reshape(rows, n * s.segment, s.features, s.numbers)
        if s.joint:
            return numbers.transpose(0, 2, 1, 3)
        return numbers.reshape(rows // s.channels, s.channels, n * s.segment, s.numbers)
