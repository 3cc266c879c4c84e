"""From a sequence of outputs to one vector."""

import torch
from torch import Tensor, nn

from recurra.errors import InputError

POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """The outputs of a sequence, made one vector of as many features.

    - `last`: what each direction has at its end: the forward one at the last step, the reverse one
      at the first.
    - `mean`, `max`: over the steps, feature by feature.
    - `attention`: Σ a_t y_t with a = softmax(v · tanh(W y_t + b)) over the steps (Yang et al.
      2016).

    A sequence without a step becomes zeros.

    Args:
        kind: one of `POOLINGS`.
        features: F, of the outputs.
        directions: 2 where the second half of the features runs backwards; only `last` asks.
    """

    def __init__(self, kind: str, features: int, *, directions: int = 1) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise InputError(f"pooling: expected one of {', '.join(POOLINGS)}, received {kind!r}")
        self.kind, self.directions = kind, directions
        self.inner = nn.Linear(features, features) if kind == "attention" else None
        self.context = nn.Linear(features, 1, bias=False) if kind == "attention" else None

    def forward(self, outputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Pool outputs (T, B, F), of each sequence the first `lengths` (B,) steps: (B, F)."""
        steps, batch, features = outputs.shape
        if steps == 0:
            return outputs.new_zeros(batch, features)
        if lengths is None:
            lengths = torch.full((batch,), steps, device=outputs.device)
        valid = torch.arange(steps, device=outputs.device)[:, None] < lengths[None, :]
        if self.kind == "last":
            return self._last(outputs, lengths)
        if self.kind == "mean":
            total = outputs.masked_fill(~valid[..., None], 0).sum(0)
            return total / lengths.clamp(min=1)[:, None]
        if self.kind == "max":
            found = outputs.masked_fill(~valid[..., None], float("-inf")).amax(0)
            return found.masked_fill((lengths == 0)[:, None], 0)
        a = self.weights(outputs, valid)
        return (a[..., None] * outputs.masked_fill(~valid[..., None], 0)).sum(0)

    def weights(self, outputs: Tensor, valid: Tensor) -> Tensor:
        """The attention a_t of outputs (T, B, F) where `valid` (T, B): zero elsewhere."""
        assert self.inner is not None
        assert self.context is not None
        scores = self.context(torch.tanh(self.inner(outputs)))[..., 0]
        # A large negative number, as -inf in all steps of an empty sequence would make NaN.
        a = scores.masked_fill(~valid, torch.finfo(scores.dtype).min).softmax(0)
        return a.masked_fill(~valid, 0)

    def _last(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        at = (lengths - 1).clamp(min=0)
        last = outputs[at, torch.arange(outputs.shape[1], device=outputs.device)]
        if self.directions == 2:
            half = outputs.shape[2] // 2
            last = torch.cat([last[:, :half], outputs[0, :, half:]], dim=1)
        return last.masked_fill((lengths == 0)[:, None], 0)

    def extra_repr(self) -> str:
        """Return the kind."""
        return self.kind
