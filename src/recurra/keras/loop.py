"""One direction of one layer from Keras' weights: on our kernels, or gate by gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra import native, ops
from recurra.cells import Cell, Program
from recurra.keras.gatewise import Call, gatewise
from recurra.keras.layout import GATES, from_keras
from recurra.keras.masked import masked


@dataclass(frozen=True, slots=True)
class Plan:
    """A program, and the name of our kernels for it, where there are any.

    `by_gate` is the same with a mask a gate, for layers with recurrent dropout.
    """

    program: Program
    kernel: str | None
    by_gate: "Plan | None" = None

    @classmethod
    def of(cls, cell: Cell, options: Mapping[str, str | bool], *, by_gate: bool = False) -> "Plan":
        """Return the plan of a cell with its options decided; kernels it lacks are compiled."""
        program = cell.program(**options)
        other = cls.of(masked(cell), options) if by_gate else None
        return cls(program, ops.kernel_name(program), other)


@dataclass(frozen=True, slots=True)
class Masks:
    """Dropout masks of a call, as Keras draws them: one for all gates, or one each in its order.

    inputs: factors (B, I) on the input, or a list of them.
    recurrent: factors (B, H) on what enters the recurrent products, or a list of them.
    """

    inputs: Tensor | Sequence[Tensor] | None = None
    recurrent: Tensor | Sequence[Tensor] | None = None

    @property
    def by_gate(self) -> bool:
        """Whether gates have masks of their own."""
        return isinstance(self.inputs, list | tuple) or isinstance(self.recurrent, list | tuple)


def run(
    plan: Plan,
    weights: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    *,
    valid: Tensor | None = None,
    reverse: bool = False,
    masks: Masks = Masks(),
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer.

    Half precision is computed in float32: on a CPU that is faster, and a state keeps what it has.
    Products of bfloat16 alone are taken in bfloat16, where the processor has tiles for them.

    Args:
        plan: the cell, and what runs it.
        weights: Keras' kernel, recurrent_kernel and, where the program has biases, bias.
        x: inputs (T, B, I).
        states: initial states (B, H).
        valid: booleans (T, B): which steps count; None: all.
        reverse: from the last step to the first.
        masks: of dropout.

    Returns:
        Outputs (T, B, H), at the places of their inputs and zero where not valid; final states.
    """
    dtype = weights[0].dtype
    half = dtype == torch.bfloat16 and native.half_products() == "amx_bf16"
    if dtype not in (torch.float32, torch.float64):
        dtype = torch.float32
        weights = [w.to(dtype) for w in weights]
    x, states = x.to(dtype), [s.to(dtype) for s in states]
    if masks.by_gate and plan.by_gate is not None and plan.by_gate.kernel is not None:
        return _masked(plan, weights, x, states, valid, reverse, masks, half)
    if plan.kernel is None or masks.by_gate:
        return _by_gate(plan.program, weights, x, states, valid, reverse, masks)
    if isinstance(masks.inputs, Tensor):
        x = x * masks.inputs.to(dtype)
    recurrent = masks.recurrent.to(dtype) if isinstance(masks.recurrent, Tensor) else None
    parameters = _listed(plan.program, from_keras(plan.program, weights))
    call = ops.Call(plan.kernel, x, parameters, states, valid, recurrent)
    outputs, *final = ops.run(call._replace(reverse=reverse, half=half))
    return outputs, tuple(final)


def _masked(
    plan: Plan,
    weights: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    valid: Tensor | None,
    reverse: bool,
    masks: Masks,
    half: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """On the kernels of the cell whose states are masks, too."""
    by_gate, gates = plan.by_gate, len(plan.program.gates)
    assert by_gate is not None
    parameters = from_keras(plan.program, weights)
    inputs = _in_order(plan.program, masks.inputs)
    if inputs is not None and isinstance(masks.inputs, Tensor):
        x = x * inputs[0].to(x.dtype)
    elif inputs is not None:  # a copy of the input for each gate, which reads its own alone
        x = torch.cat([x * m.to(x.dtype) for m in inputs], dim=-1)
        parts = parameters["weight_ih"].chunk(gates)
        parameters["weight_ih"] = torch.block_diag(*parts)
    drawn = _in_order(plan.program, masks.recurrent)
    if drawn is None:
        drawn = [torch.ones_like(states[0])] * gates
    assert by_gate.kernel is not None
    listed, starts = (
        _listed(by_gate.program, parameters),
        [*states, *(m.to(x.dtype) for m in drawn)],
    )
    call = ops.Call(by_gate.kernel, x, listed, starts, valid)
    outputs, *final = ops.run(call._replace(reverse=reverse, half=half))
    return outputs, tuple(final[: len(states)])


def _listed(program: Program, parameters: Mapping[str, Tensor]) -> list[Tensor]:
    return [parameters[p.name] for p in program.parameters]


def _by_gate(
    program: Program,
    weights: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    valid: Tensor | None,
    reverse: bool,
    masks: Masks,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    parameters = from_keras(program, weights)
    gates, hidden = len(program.gates), states[0].shape[-1]
    if valid is not None:  # whatever stands in the padding, even NaN, must not get through
        x = torch.where(valid[..., None], x, 0.0)
    weight = parameters["weight_ih"].reshape(gates, hidden, -1)
    inputs = _in_order(program, masks.inputs)
    if inputs is None or isinstance(masks.inputs, Tensor):
        x = x if inputs is None else x * inputs[0].to(x.dtype)
        gated = (x @ weight.flatten(0, 1).T).unflatten(-1, (gates, hidden)).permute(2, 0, 1, 3)
    else:
        gated = torch.stack(
            [(x * m.to(x.dtype)) @ w.T for m, w in zip(inputs, weight, strict=True)]
        )
    bias = None
    if program.option("bias"):
        gated = gated + parameters["bias_ih"].reshape(gates, 1, 1, hidden)
        if program.option("reset") == "after":  # elsewhere Keras has no second one
            bias = parameters["bias_hh"].reshape(gates, hidden)
    u = parameters["weight_hh"].reshape(gates, hidden, hidden).transpose(1, 2)
    recurrent = _in_order(program, masks.recurrent)
    stacked = None if recurrent is None else torch.stack(recurrent).to(x.dtype)
    return gatewise(Call(program, gated, u, bias, states, stacked, valid, reverse))


def _in_order(program: Program, masks: Tensor | Sequence[Tensor] | None) -> list[Tensor] | None:
    """Return a mask for each gate, in the order of the program."""
    if masks is None:
        return None
    if isinstance(masks, Tensor):
        return [masks] * len(program.gates)
    return [masks[GATES[program.cell].index(gate)] for gate in program.gates]


def carried(outputs: Tensor, valid: Tensor) -> Tensor:
    """Return outputs (T, B, H) in which a step that does not count repeats the one before it.

    Before the first that counts they are zero. This is what Keras' layers give.
    """
    steps, batch = valid.shape
    places = torch.arange(steps, device=valid.device)[:, None]
    latest = torch.where(valid, places, 0).cummax(0).values
    rows = latest * batch + torch.arange(batch, device=valid.device)
    return outputs.reshape(steps * batch, -1).index_select(0, rows.flatten()).view_as(outputs)
