"""Stacks of layers by torch's own kernels: cuDNN, and what our kernels do not run on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.cells import Program, gru, lstm, rnn
from recurra.ops.call import Call

_BIASES = (True, False)
#: Programs that torch has a kernel for, and its name for them.
_FUSED = {
    **{lstm.program(bias=b): "lstm" for b in _BIASES},
    **{lstm.program(bias=b, projection=True): "lstm" for b in _BIASES},
    **{gru.program(bias=b, reset="after"): "gru" for b in _BIASES},
    **{rnn.program(bias=b): "rnn_tanh" for b in _BIASES},
    **{rnn.program(bias=b, activation="relu"): "rnn_relu" for b in _BIASES},
}


@dataclass(frozen=True, slots=True)
class Stack:
    """What one call of torch's kernel needs to know of the layers it runs."""

    layers: int
    bidirectional: bool
    bias: bool
    dropout: float  # between layers
    training: bool  # whether dropout is drawn


def fused_name(program: Program) -> str | None:
    """Return torch's name of the kernel for exactly this program, or None."""
    return _FUSED.get(program)


def run_fused(call: Call) -> Sequence[Tensor]:
    """Outputs and final states of one direction of one layer; without noise, forwards."""
    call = call.started()
    theirs = fused_name(call.program)
    assert theirs is not None
    stack = Stack(1, False, bool(call.program.option("bias")), 0.0, False)
    states = call.initial if call.stacked else [s[None] for s in call.initial]
    outputs, final = fused(theirs, call.x, states, call.parameters, stack, valid=call.valid)
    return [outputs, *(final if call.stacked else [s[0] for s in final])]


def fused(
    name: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    stack: Stack,
    *,
    valid: Tensor | None = None,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a stack of layers by torch's kernel `name`, on the weights themselves (no copy).

    Args:
        name: as `fused_name` gives it.
        x: inputs (T, B, I), or the data of a packed sequence where `batch_sizes` is given.
        states: one tensor (layers * directions, B, ·) a state.
        weights: flat, in torch's order: a layer's and direction's weights follow one another.
        stack: the layers.
        valid: booleans (T, B): which steps count. Outputs at others are zero, and a row without
            any keeps its initial state.
        batch_sizes: of a packed sequence.

    Returns:
        Outputs (T, B, D * R) (or packed data) and the final states, shaped as `states`.
    """
    if valid is not None:
        return _masked(name, x, states, weights, stack, valid)
    kernel = getattr(torch._VF, name)
    hx = list(states) if name == "lstm" else states[0]
    tail = (
        list(weights),
        stack.bias,
        stack.layers,
        stack.dropout,
        stack.training,
        stack.bidirectional,
    )
    with _quiet_projection(name, states):
        if batch_sizes is not None:
            outputs, *final = kernel(x, batch_sizes, hx, *tail)
        else:
            outputs, *final = kernel(x, hx, *tail, False)
    return outputs, tuple(final)


@contextmanager
def _quiet_projection(name: str, states: Sequence[Tensor]) -> Iterator[None]:
    # A process' first projected LSTM makes torch warn that oneDNN lacks it; not asking oneDNN gives
    # the same computation without the warning. `torch.backends.mkldnn.flags` would set TF32 as
    # well, which warns on a CPU.
    before = torch.backends.mkldnn.enabled
    projected = name == "lstm" and states[0].shape[-1] != states[1].shape[-1]
    torch.backends.mkldnn.enabled = before and not projected
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def _masked(
    name: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    stack: Stack,
    valid: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`fused` where only some steps count: gaps are closed up, rows packed."""
    lengths = valid.sum(0)
    rows = torch.nonzero(lengths).flatten()
    if not len(rows):
        width = states[0].shape[-1] * (2 if stack.bidirectional else 1)
        return x.new_zeros(*x.shape[:2], width), tuple(s.clone() for s in states)
    # A stable sort brings each row's valid steps to the front, in their order.
    order = torch.argsort(valid.logical_not().int(), dim=0, stable=True)[:, rows]
    closed = x[:, rows].gather(0, order[..., None].expand(-1, -1, x.shape[-1]))
    packed = pack_padded_sequence(closed, lengths[rows].cpu(), enforce_sorted=False)
    assert packed.sorted_indices is not None
    assert packed.unsorted_indices is not None
    data, final = fused(
        name,
        packed.data,
        [s[:, rows[packed.sorted_indices]] for s in states],
        weights,
        stack,
        batch_sizes=packed.batch_sizes,
    )
    closed, _ = pad_packed_sequence(packed._replace(data=data), total_length=len(x))
    spread = torch.zeros_like(closed).scatter(0, order[..., None].expand_as(closed), closed)
    outputs = x.new_zeros(*x.shape[:2], closed.shape[-1]).index_copy(1, rows, spread)
    ended = (f[:, packed.unsorted_indices] for f in final)
    return outputs, tuple(s.index_copy(1, rows, f) for s, f in zip(states, ended, strict=True))
