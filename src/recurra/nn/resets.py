"""Resets: steps before which a sequence begins anew, as when an episode ends in mid-sequence."""

import torch
from torch import Tensor

from recurra.errors import InputError
from recurra.nn.arguments import dense
from recurra.nn.sequences import Sequences


def read_resets(given: Tensor, batch: Sequences, *, masked: bool, name: str) -> Tensor:
    """Bring resets to the inner form, booleans (T, B) of their own.

    Args:
        given: booleans of the input's first two axes, (T,) for one without a batch; for a packed
            sequence those of its padded form.
        batch: the input.
        masked: whether a mask says which of its steps count. Steps beyond a sequence's length are
            no part of it, and neither are their resets; a masked step's reset counts.
        name: of the layer.

    Raises:
        InputError: another shape, or no booleans.
    """
    steps, rows = batch.data.shape[:2]
    expected = (
        (steps,) if batch.unbatched else (rows, steps) if batch.batch_first else (steps, rows)
    )
    check_resets(given, expected, name)
    resets = given.unsqueeze(1) if batch.unbatched else given.T if batch.batch_first else given
    # A copy: the caller may fill it anew before the backward pass reads it.
    resets = resets.clone(memory_format=torch.contiguous_format)
    return resets if batch.valid is None or masked else resets & batch.valid


def check_resets(given: Tensor, expected: tuple[int, ...], name: str) -> None:
    """Raise InputError where resets are not booleans of that shape."""
    dense(given, f"{name}: reset")
    if given.dtype != torch.bool or tuple(given.shape) != expected:
        cure = "" if given.dtype == torch.bool else ": use .bool()"
        raise InputError(
            f"{name}: expected boolean resets of shape {expected}, received "
            f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)}{cure}"
        )


def turned(resets: Tensor) -> Tensor:
    """Return the resets of the direction from the end to the start.

    There an episode begins with its last step: the one in front of the next episode's first.
    """
    return torch.cat((resets[1:], torch.zeros_like(resets[:1])))
