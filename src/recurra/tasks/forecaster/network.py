"""Recurrent forecasters as torch modules: segments in, the horizon out, at once or step by step."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.nn.recurrent import Recurrent
from recurra.tasks.forecaster.runtime import ForecastShape


class Forecaster(nn.Module):
    """Members of an ensemble side by side: each has weights, dropout and a loss of its own.

    Args:
        shape: sizes, and how values go in and come out.
        members: how many.
        layers: makes the recurrent layers of a member, which read `shape.embedding` features.
        dropout: probability of dropping an output feature of the last layer.
    """

    def __init__(
        self, shape: ForecastShape, members: int, layers: Callable[[], Recurrent], dropout: float
    ) -> None:
        super().__init__()
        self.shape = shape
        kind = DirectMember if shape.direct else AutoregressiveMember
        self.members = nn.ModuleList(kind(shape, layers(), dropout) for _ in range(members))

    def forward(self, values: Tensor, known: Tensor, static: Tensor) -> Tensor:
        """Describe what comes.

        Args:
            values: (B, C, A + L) of the context; autoregressive members also read the (B, C, W) of
                the horizon, which they are taught.
            known: (B, A + L + W, K), covariates of the context and of the horizon.
            static: (B, S).

        Returns:
            (M, B, C, ·, P): of direct members W steps after the context; of autoregressive ones all
            steps from the second segment on.
        """
        return torch.stack([member(values, known, static) for member in self.members])


class _Member(nn.Module):
    def __init__(self, shape: ForecastShape, rnn: Recurrent, dropout: float) -> None:
        super().__init__()
        self.shape, self.rnn, self.dropout = shape, rnn, dropout
        self.input = nn.Linear(shape.inputs, shape.embedding)
        self.head = nn.Linear(rnn.output_size, shape.segment * shape.features * shape.numbers)
        wide = shape.channel_embedding
        self.channels = nn.Parameter(torch.randn(shape.channels, wide)) if wide else None

    def _rows(self, values: Tensor) -> Tensor:
        """(B, C, T) as rows (N, T, F): a channel a row, or all channels together."""
        if self.shape.joint:
            return values.transpose(1, 2)
        return values.reshape(-1, values.shape[2], 1)

    def _repeated(self, x: Tensor) -> Tensor:
        """What belongs to a window (B, ...), for each of its rows (N, ...)."""
        return x if self.shape.joint else x.repeat_interleave(self.shape.channels, dim=0)

    def _segments(self, x: Tensor) -> Tensor:
        """(N, T, F) as (T / w, N, w * F)."""
        rows, steps, features = x.shape
        w = self.shape.segment
        return x.reshape(rows, steps // w, w * features).transpose(0, 1)

    def _of_channels(self, rows: int) -> Tensor:
        """The channel embeddings of rows (N, ·)."""
        assert self.channels is not None
        return self.channels.repeat(rows // self.shape.channels, 1)

    def _numbers(self, outputs: Tensor) -> Tensor:
        """Outputs (n, N, R) to numbers (B, C, n * w, P)."""
        s = self.shape
        n, rows, _ = outputs.shape
        numbers = self.head(functional.dropout(outputs, self.dropout, self.training))
        numbers = numbers.view(n, rows, s.segment, s.features, s.numbers).transpose(0, 1)
        numbers = numbers.reshape(rows, n * s.segment, s.features, s.numbers)
        if s.joint:
            return numbers.transpose(1, 2)
        return numbers.reshape(rows // s.channels, s.channels, n * s.segment, s.numbers)


class DirectMember(_Member):
    """All steps of the horizon from the state after the context, one recurrent step a segment.

    Each segment of the horizon has an embedding of its position, and of the channel, for input:
    parallel multi-step forecasting with segments as SegRNN (Lin et al. 2023) has it. The highway is
    a linear map from context to horizon beside the recurrent path (Lai et al. 2018).
    """

    def __init__(self, shape: ForecastShape, rnn: Recurrent, dropout: float) -> None:
        super().__init__(shape, rnn, dropout)
        self.positions = nn.Parameter(
            torch.randn(shape.ahead, shape.embedding - shape.channel_embedding)
        )
        given = shape.segment * shape.known + shape.static
        self.given = nn.Linear(given, shape.embedding, bias=False) if given else None
        if shape.highway:
            self.highway: nn.Linear | None = nn.Linear(
                shape.lookback, shape.steps_ahead, bias=False
            )
            nn.init.zeros_(self.highway.weight)
        else:
            self.highway = None

    def forward(self, values: Tensor, known: Tensor, static: Tensor) -> Tensor:
        """See `Forecaster`."""
        s = self.shape
        x = self._rows(values)
        known, static = self._repeated(known), self._repeated(static)
        parts = [self._segments(x), self._segments(known[:, : s.lookback])]
        parts.append(static.expand(s.lookback // s.segment, -1, -1))
        _, state = self.rnn(torch.relu(self.input(torch.cat(parts, dim=-1))))
        rows = len(x)
        ahead = self.positions[:, None].expand(-1, rows, -1)
        if self.channels is not None:
            ahead = torch.cat([ahead, self._of_channels(rows).expand(s.ahead, -1, -1)], dim=-1)
        if self.given is not None:
            known_ahead = self._segments(known[:, s.lookback :])
            both = torch.cat([known_ahead, static.expand(s.ahead, -1, -1)], dim=-1)
            ahead = ahead + self.given(both)
        state = (
            state.repeat(1, s.ahead, 1)
            if isinstance(state, Tensor)
            else tuple(part.repeat(1, s.ahead, 1) for part in state)
        )
        outputs, _ = self.rnn(ahead.reshape(1, s.ahead * rows, -1), state)
        numbers = self._numbers(outputs.view(s.ahead, rows, -1))
        if self.highway is not None:
            located = self.highway(values)[..., None]
            if s.shifts_all:
                return numbers + located
            return torch.cat([numbers[..., :1] + located, numbers[..., 1:]], dim=-1)
        return numbers


class AutoregressiveMember(_Member):
    """Each segment from those before it (DeepAR: Salinas et al. 2020), with lagged values."""

    def forward(self, values: Tensor, known: Tensor, static: Tensor) -> Tensor:
        """See `Forecaster`."""
        s = self.shape
        x = self._rows(values)
        known, static = self._repeated(known), self._repeated(static)
        first, end = s.reach + s.segment, values.shape[2]
        parts = [x[:, s.reach : end - s.segment]]
        parts += [x[:, first - lag : end - lag] for lag in s.lags]
        parts.append(known[:, first:end])
        segments = torch.cat([self._segments(part) for part in parts], dim=-1)
        count, rows, _ = segments.shape
        fixed = [static.expand(count, -1, -1)]
        if self.channels is not None:
            fixed.append(self._of_channels(rows).expand(count, -1, -1))
        outputs, _ = self.rnn(torch.relu(self.input(torch.cat([segments, *fixed], dim=-1))))
        return self._numbers(outputs)
