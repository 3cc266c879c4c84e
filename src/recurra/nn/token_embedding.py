"""Vectors of tokens, with those of the character n-grams of their words."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenEmbedding(nn.Module):
    """A vector for each token, and where there are n-grams their sum with it.

    A form with n n-grams is (e + Σ g) / √(n + 1), whose variance does not depend on n.

    Args:
        tokens: V, how many tokens.
        width: E, of the vectors.
        grams: how many n-grams; 0 for none.
    """

    def __init__(self, tokens: int, width: int, *, grams: int = 0) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(tokens, width))
        self.grams = nn.Parameter(torch.empty(grams, width)) if grams else None
        # Small, so that the features of a frequent token soon are those it was taught.
        nn.init.normal_(self.weight, std=0.1)
        if self.grams is not None:
            nn.init.normal_(self.grams, std=0.05)

    def forward(self, tokens: Tensor, grams: Tensor, counts: Tensor) -> Tensor:
        """Vectors (U, E) of forms: tokens (U,), n-grams of all in a row, `counts` (U,) of each."""
        found = functional.embedding(tokens, self.weight)
        if self.grams is None:
            return found
        starts = counts.cumsum(0) - counts
        added = functional.embedding_bag(grams, self.grams, starts, mode="sum")
        return (found + added) / (counts + 1).to(found.dtype).sqrt()[:, None]
