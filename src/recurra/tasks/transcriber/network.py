"""Connectionist temporal classification: the probability of a text, whenever it is spoken."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.errors import InputError
from recurra.nn.recurrent import Recurrent


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """The fewest frames (B,) that can be labelled so: one a token, one more between equal ones.

    Args:
        targets: classes (B, S) from 1 on, padded with anything.
        target_lengths: (B,).
    """
    places = torch.arange(1, max(targets.shape[1], 1), device=targets.device)
    repeated = (targets[:, 1:] == targets[:, :-1]) & (places < target_lengths[:, None])
    return target_lengths + repeated.sum(1)


def ctc_losses(
    logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of label sequences (Graves et al. 2006), in nats.

    Args:
        logits: (T, B, C); class 0 is the blank.
        targets: classes (B, S) int64 in 1 … C - 1, padded with anything.
        lengths: frames (B,) int64 that count, 0 … T.
        target_lengths: (B,) int64, 0 … S.

    Returns:
        The losses (B,), and booleans (B,): whether a row has frames enough for its labels. One that
        has not cannot be labelled so: its loss is 0 here, and it has no gradient. No labels are
        as good as any others: then every frame is a blank.

    Raises:
        InputError: shapes that do not fit together.
    """
    T, B, _ = logits.shape
    if targets.shape[:1] != (B,) or lengths.shape != (B,) or target_lengths.shape != (B,):
        raise InputError(
            f"ctc_losses: expected targets (B, S) and two lengths (B,) for B = {B}, received "
            f"{tuple(targets.shape)}, {tuple(lengths.shape)} and {tuple(target_lengths.shape)}"
        )
    possible = frames_needed(targets, target_lengths) <= lengths
    # Rows without a frame can only be labelled with nothing, and surely are.
    read = possible & (lengths > 0)
    losses = logits.new_zeros(B)
    if T == 0 or not read.any():
        return losses + logits.sum() * 0, possible
    rows = read.nonzero()[:, 0]
    # Products of probabilities of many frames: the sums want more than bfloat16.
    log_probabilities = functional.log_softmax(logits[:, rows], -1, dtype=_wide(logits.dtype))
    found = functional.ctc_loss(
        log_probabilities,
        targets[rows],
        lengths[rows],
        target_lengths[rows],
        blank=0,
        reduction="none",
    )
    return losses.to(found.dtype).index_add(0, rows, found), possible


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


class RecurrentCTC(nn.Module):
    """Recurrent layers, and an output layer over the blank (class 0) and V tokens.

    Args:
        rnn: the recurrent layers, time-major; or what is called as they are, with `lengths`, and
            has an `output_size`.
        tokens: V.
        dropout: probability of dropping an output feature of the last layer.
    """

    def __init__(self, rnn: Recurrent, tokens: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(rnn.output_size, tokens + 1)
        self.dropout = dropout
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor,
        targets: Tensor | None = None,
        target_lengths: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Read features.

        Args:
            inputs: (T, B, I).
            lengths: steps (B,) of each recording.
            targets, target_lengths: classes (B, S) and their numbers (B,), or None.

        Returns:
            Without targets the logits (T, B, V + 1); with targets what `ctc_losses` returns.
        """
        outputs, _ = self.rnn(inputs, lengths=lengths)
        logits = self.head(functional.dropout(outputs, self.dropout, self.training))
        if targets is None or target_lengths is None:
            return logits
        return ctc_losses(logits, targets, lengths, target_lengths)
