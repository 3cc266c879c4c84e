"""The sequence classifier as a torch module: inputs, encoder, pooling, softmax."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.nn.pooling import Pooling
from recurra.nn.token_embedding import TokenEmbedding


class Forms(NamedTuple):
    """Tokens of a batch, each distinct one once.

    places: (T, B), which form stands there. tokens: (U,) of the forms. grams: the n-grams of all
    forms in a row. counts: (U,), how many each has.
    """

    places: Tensor
    tokens: Tensor
    grams: Tensor
    counts: Tensor


class Encoder(Protocol):
    """Recurrent layers, or what stands in their place."""

    input_size: int
    output_size: int
    num_directions: int

    def __call__(self, input: Tensor, *, lengths: Tensor) -> tuple[Tensor, object]:
        """Read (T, B, I): outputs (T, B, F), and whatever."""


class Classifier(nn.Module):
    """A class for each sequence.

    Args:
        rnn: the encoder: a `Recurrent`, or a `TransformerEncoder`.
        classes: C.
        pooling: one of `recurra.nn.pooling.POOLINGS`.
        embedding: vectors of tokens; None where the input is numbers (T, B, I).
        token_dropout: probability that the vector of a step is zero.
        embedding_dropout: dropout of the input's features, one mask a sequence (Gal & Ghahramani
            2016).
        dropout: of what is pooled.
        further: how many of the last features are not dropped: marks, times and the like.
    """

    def __init__(
        self,
        rnn: nn.Module,
        classes: int,
        *,
        pooling: str = "max",
        embedding: TokenEmbedding | None = None,
        token_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
        further: int = 0,
    ) -> None:
        super().__init__()
        encoder: Encoder = rnn
        self.embedding, self.rnn = embedding, rnn
        self.pool = Pooling(pooling, encoder.output_size, directions=encoder.num_directions)
        self.head = nn.Linear(encoder.output_size, classes)
        nn.init.zeros_(self.head.bias)
        self.token_dropout, self.embedding_dropout = token_dropout, embedding_dropout
        self.dropout, self.further = dropout, further

    def forward(self, inputs: Forms | Tensor, lengths: Tensor) -> Tensor:
        """Read a batch, of each sequence the first `lengths` (B,) steps: logits (B, C)."""
        if isinstance(inputs, Tensor):
            x = inputs
        else:
            assert self.embedding is not None
            rows = self.embedding(inputs.tokens, inputs.grams, inputs.counts)
            x = functional.embedding(inputs.places, rows)
        beside = x[..., x.shape[-1] - self.further :]
        x = x[..., : x.shape[-1] - self.further]
        if self.training and self.token_dropout:
            kept = torch.rand(x.shape[:2], device=x.device) >= self.token_dropout
            x = x * kept[..., None]
        if self.training and self.embedding_dropout:
            x = x * functional.dropout(torch.ones_like(x[:1]), self.embedding_dropout)
        x = torch.cat((x, beside), dim=-1) if self.further else x
        outputs, _ = self.rnn(x, lengths=lengths)
        pooled = functional.dropout(self.pool(outputs, lengths), self.dropout, self.training)
        return self.head(pooled)


class Committee(nn.Module):
    """Several classifiers side by side, each with weights of its own: logits (M, B, C)."""

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Forms | Tensor, lengths: Tensor) -> Tensor:
        """Read a batch with each of them."""
        return torch.stack([member(inputs, lengths) for member in self.members])
