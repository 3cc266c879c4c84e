"""A small language model of a periodic text, as a task: LSTM, dropout, carried state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recurra.storage import save_model

V, B, T = 12, 4, 8


@dataclass(frozen=True)
class Segment:
    inputs: np.ndarray
    targets: np.ndarray
    carry: bool


class Segments(Sequence):
    """`B` streams of a text in segments of `T`, the rows of one rank; epochs begin elsewhere."""

    def __init__(self, text: np.ndarray, epoch: int, rank: int, world: int) -> None:
        rows = np.roll(text, -7 * epoch)[: len(text) // B * B].reshape(B, -1)
        # Ranks get different numbers of rows, so that their token counts differ.
        cut = [0, *(B * (r + 1) // world - (r + 1 < world) for r in range(world))]
        self.rows = rows[cut[rank] : cut[rank + 1]]

    def __len__(self) -> int:
        return (self.rows.shape[1] - 1) // T

    def __getitem__(self, index: int) -> Segment:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = self.rows[:, index * T : index * T + T + 1]
        return Segment(part[:, :-1].copy(), part[:, 1:].copy(), index > 0)


class Model(nn.Module):
    """Embedding, LSTM with a learned initial state, dropout, tied output."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, hidden)
        self.rnn = nn.LSTM(hidden, hidden, batch_first=True)
        self.start = nn.Parameter(torch.zeros(hidden))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, V)
        self.head.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state):
        if state is None:
            h = self.start.expand(1, len(inputs), -1).contiguous()
            state = h, torch.zeros_like(h)
        y, state = self.rnn(self.dropout(self.embedding(inputs)), state)
        return self.head(self.dropout(y)), state


class SmallTask:
    """See `recurra.train.Task`. `poison` names the steps (calls of loss) whose loss is NaN."""

    def __init__(
        self,
        *,
        hidden: int = 16,
        dropout: float = 0.3,
        tokens: int = 1200,
        seed: int = 1,
        poison: Sequence[int] = (),
    ) -> None:
        torch.manual_seed(seed)
        self.module = Model(hidden, dropout)
        generator = np.random.default_rng(seed)
        text = np.arange(tokens) % V
        noisy = generator.random(tokens) < 0.2
        text[noisy] = generator.integers(0, V, noisy.sum())
        self.text, self.held_out = text[: -tokens // 5], text[-tokens // 5 :]
        self.poison, self.calls = frozenset(poison), 0
        self.validations = 0

    def batches(self, epoch: int, *, rank: int, world: int) -> Segments:
        return Segments(self.text, epoch, rank, world)

    def loss(self, batch: Segment, state):
        self.calls += 1
        logits, state = self.module(torch.from_numpy(batch.inputs), state)
        targets = torch.from_numpy(batch.targets)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        if self.calls in self.poison:
            loss = loss * float("nan")
            state = tuple(s * float("nan") for s in state)
        return loss, targets.numel(), state

    def validate(self) -> dict[str, float]:
        assert not self.module.training
        self.validations += 1
        torch.rand(3)  # validation must not disturb training
        ids = torch.from_numpy(self.held_out)[None]
        logits, _ = self.module(ids[:, :-1], None)
        loss = nn.functional.cross_entropy(logits[0], ids[0, 1:]).item()
        return {"loss": loss, "perplexity": float(np.exp(loss))}

    def save(self, directory: Path) -> None:
        tensors = {k: t.detach().numpy().copy() for k, t in self.module.named_parameters()}
        save_model(directory, config={"task": "small"}, tensors=tensors)
