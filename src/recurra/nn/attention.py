"""Attention: which steps of one sequence each step of another looks at."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.errors import InputError

#: How a query q and a step m of the memory are compared.
SCORES = ("additive", "general", "dot")


class Attention(nn.Module):
    """Weights over the steps of a memory, and their weighted sum, for all queries at once.

    Args:
        score: `additive`, v · tanh(W q + U m) (Bahdanau et al. 2015); `general`, q · W m; or
            `dot`, q · m (both Luong et al. 2015).
        query_size: Q, features of a query.
        memory_size: M, features of the memory; for `dot` Q.
        hidden: units of the additive score; by default Q.

    Raises:
        InputError: another score, or sizes that do not fit it.
    """

    def __init__(
        self, score: str, query_size: int, memory_size: int, *, hidden: int | None = None
    ) -> None:
        super().__init__()
        if score not in SCORES:
            raise InputError(
                f"Attention: score must be one of {', '.join(SCORES)}, received {score!r}"
            )
        if score == "dot" and query_size != memory_size:
            raise InputError(
                f"Attention: dot needs queries as wide as the memory ({memory_size}), "
                f"received {query_size}: use general"
            )
        self.score, self.query_size, self.memory_size = score, query_size, memory_size
        if score == "additive":
            hidden = hidden or query_size
            self.query = nn.Linear(query_size, hidden, bias=False)
            self.key = nn.Linear(memory_size, hidden)
            self.energy = nn.Parameter(torch.empty(hidden))
            nn.init.uniform_(self.energy, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))
        elif score == "general":
            self.key = nn.Linear(memory_size, query_size, bias=False)

    def forward(
        self, queries: Tensor, memory: Tensor, *, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Look at a memory.

        Args:
            queries: (T, B, Q).
            memory: (S, B, M).
            valid: booleans (S, B): the steps of the memory there are; None: all.

        Returns:
            Contexts (T, B, M) and weights (T, B, S), which sum to one over the valid steps. Where a
            row has none, both are zero.

        Raises:
            InputError: a shape does not fit.
        """
        self._check(queries, memory, valid)
        q, m = queries.transpose(0, 1), memory.transpose(0, 1)  # (B, T, Q), (B, S, M)
        scores = self._scores(q, m)
        if valid is not None:
            outside = ~valid.T[:, None, :]
            # A finite number, as a row of infinities has no softmax.
            scores = scores.masked_fill(outside, torch.finfo(scores.dtype).min)
            weights = functional.softmax(scores, -1).masked_fill(outside, 0.0)
        else:
            weights = functional.softmax(scores, -1)
        return torch.bmm(weights, m).transpose(0, 1), weights.transpose(0, 1)

    def _scores(self, q: Tensor, m: Tensor) -> Tensor:
        """(B, T, S) of queries (B, T, Q) and memory (B, S, M)."""
        if self.score == "dot":
            return torch.bmm(q, m.transpose(1, 2))
        if self.score == "general":
            return torch.bmm(q, self.key(m).transpose(1, 2))
        return torch.tanh(self.query(q)[:, :, None] + self.key(m)[:, None]) @ self.energy

    def _check(self, queries: Tensor, memory: Tensor, valid: Tensor | None) -> None:
        fits = queries.ndim == memory.ndim == 3 and queries.shape[1] == memory.shape[1]
        fits = fits and (queries.shape[2], memory.shape[2]) == (self.query_size, self.memory_size)
        if not fits or (valid is not None and valid.shape != memory.shape[:2]):
            shown = None if valid is None else tuple(valid.shape)
            raise InputError(
                f"Attention: expected queries (T, B, {self.query_size}), a memory (S, B, "
                f"{self.memory_size}) and booleans (S, B), received {tuple(queries.shape)}, "
                f"{tuple(memory.shape)} and {shown}"
            )

    def extra_repr(self) -> str:
        """Return the score and the sizes."""
        return f"{self.score}, {self.query_size}, {self.memory_size}"
