"""The forms a batch of sequences comes in, and their one form inside: (T, B, I) and a mask."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.errors import InputError
from recurra.given import shown
from recurra.nn.arguments import dense
from recurra.ops import Lookup

_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True, slots=True)
class Sequences:
    """A batch in its inner form, and how to give results back in the form it came in.

    data: (T, B, I), or what chooses them.
    valid: booleans (T, B), or None where every step counts.
    packed: the packed sequence it came as, if so.
    unbatched: whether it came without a batch axis.
    batch_first: whether batch comes before time outside.
    """

    data: Tensor | Lookup
    valid: Tensor | None
    packed: PackedSequence | None
    unbatched: bool
    batch_first: bool

    @classmethod
    def read(
        cls,
        given: Tensor | Lookup | PackedSequence,
        *,
        features: int,
        batch_first: bool,
        lengths: Tensor | None,
        mask: Tensor | None,
        name: str,
    ) -> "Sequences":
        """Bring any accepted form to the inner one, or say what was expected."""
        if lengths is not None and mask is not None:
            raise InputError(
                f"{name}: expected lengths or a mask, received both: leave out one of lengths=, "
                "mask="
            )
        if isinstance(given, PackedSequence):
            if lengths is not None or mask is not None:
                extra = "a mask" if lengths is None else "lengths"
                raise InputError(
                    f"{name}: expected a packed sequence alone, since it holds its lengths, "
                    "received "
                    f"{extra} too: leave out lengths= and mask="
                )
            data, sizes = pad_packed_sequence(given)
            _check_features(data, features, name, packed=True)
            return cls(data, _valid(sizes, len(data), data.device), given, False, batch_first)
        if isinstance(given, Tensor) and given.is_nested:
            raise InputError(
                f"{name}: expected one tensor of all sequences, received a nested one: pad it with "
                "torch.nested.to_padded_tensor(x, 0.0), and give lengths"
            )
        if not isinstance(given, Lookup):
            dense(given, f"{name}: input")
        unbatched = given.dim() == 2
        if given.dim() not in (2, 3):
            layout = "(B, T, I)" if batch_first else "(T, B, I)"
            raise InputError(
                f"{name}: expected an input of shape {layout} or (T, I), "
                f"received {tuple(given.shape)}"
            )
        _check_features(given, features, name)
        whole = given.unsqueeze(1) if unbatched else given
        data = whole.transpose(0, 1) if batch_first and not unbatched else whole
        steps, batch = data.shape[:2]
        if mask is not None:
            expected = tuple(given.shape[:-1])
            dense(mask, f"{name}: mask")
            if mask.dtype != torch.bool or tuple(mask.shape) != expected:
                raise InputError(
                    f"{name}: expected a boolean mask of shape {expected}, "
                    f"received {str(mask.dtype).removeprefix('torch.')} {tuple(mask.shape)}"
                )
            turned = mask.unsqueeze(1) if unbatched else mask.T if batch_first else mask
            # A copy: the caller may fill the mask anew before the backward pass reads it.
            turned = turned.clone(memory_format=torch.contiguous_format)
            return cls(data, turned, None, unbatched, batch_first)
        if lengths is not None:
            sizes = _as_lengths(lengths, name)
            shape_ok = tuple(sizes.shape) == (() if unbatched else (batch,))
            if not shape_ok or sizes.dtype not in _WHOLE:
                raise InputError(
                    f"{name}: expected one integer length for each of {batch} sequences, "
                    f"received {str(sizes.dtype).removeprefix('torch.')} {tuple(sizes.shape)}"
                )
            # A compiled graph does not stop to look at values.
            checked = sizes.numel() > 0 and not torch.compiler.is_compiling()
            if checked and sizes.is_meta:
                raise InputError(
                    f"{name}: expected lengths with values, received a meta tensor: make them "
                    "on the CPU"
                )
            if checked and not 0 <= int(sizes.min()) <= int(sizes.max()) <= steps:
                raise InputError(
                    f"{name}: expected lengths from 0 to {steps}, "
                    f"received {int(sizes.min())} to {int(sizes.max())}"
                )
            valid = _valid(sizes.reshape(-1), steps, data.device)
            return cls(data, valid, None, unbatched, batch_first)
        return cls(data, None, None, unbatched, batch_first)

    def write(self, outputs: Tensor) -> Tensor | PackedSequence:
        """Give outputs (T, B, ·) the form the input had."""
        if self.packed is None:
            return self.write_padded(outputs)
        assert self.valid is not None
        order = self.packed.sorted_indices
        lengths = self.valid.sum(0)
        if order is not None:
            outputs, lengths = outputs[:, order], lengths[order]
        # Not by `_replace`, of which torch.compile makes a tuple with nothing in it.
        _, *rest = self.packed
        return PackedSequence(pack_padded_sequence(outputs, lengths.cpu()).data, *rest)

    def write_padded(self, values: Tensor) -> Tensor:
        """Give values (T, B, ·) the layout of the input, padded where it was packed."""
        if self.unbatched:
            return values.squeeze(1)
        return values.transpose(0, 1) if self.batch_first else values


def _as_lengths(lengths: Any, name: str) -> Tensor:
    if isinstance(lengths, Tensor) or torch.compiler.is_compiling():
        return dense(torch.as_tensor(lengths), f"{name}: lengths")
    try:
        return torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(
            f"{name}: expected a whole number for each sequence as lengths, received "
            f"{shown(lengths)}"
        ) from None


def _valid(lengths: Tensor, steps: int, device: torch.device) -> Tensor:
    return torch.arange(steps, device=device)[:, None] < lengths.to(device)[None, :]


def _check_features(data: Tensor | Lookup, features: int, name: str, packed: bool = False) -> None:
    if data.shape[-1] != features:
        kind = "packed input" if packed else "input"
        raise InputError(
            f"{name}: expected an {kind} with {features} features (its last axis), "
            f"received {data.shape[-1]}: shape {tuple(data.shape)}"
        )
