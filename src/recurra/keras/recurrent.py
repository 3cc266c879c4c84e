"""`SimpleRNN`, `LSTM`, `GRU` and their cells: Keras' own classes, with another loop inside.

Arguments, weights, initialisers, regularisers, constraints, saving and stateful runs stay Keras'.
These classes replace what computes: a layer's loop over time, a cell's step. What our programs do
not express (an activation of the user's own), and what an export to ONNX must see, Keras computes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import torch
from keras import activations
from torch import Tensor

from recurra.cells import find
from recurra.errors import InputError
from recurra.keras.loop import Masks, Plan, carried, run

_NAMES = {
    "tanh": activations.tanh,
    "sigmoid": activations.sigmoid,
    "relu": activations.relu,
    "identity": activations.linear,
    "softsign": activations.softsign,
    "softplus": activations.softplus,
    "exp": activations.exponential,
    "hard_sigmoid": activations.hard_sigmoid,
}


@lru_cache(maxsize=256)
def _plan(
    cell: str,
    bias: bool,
    activation: str,
    recurrent: str | None,
    reset: bool | None,
    by_gate: bool,
) -> Plan:
    options: dict[str, str | bool] = {"bias": bias, "activation": activation}
    if recurrent is not None:
        options["recurrent_activation"] = recurrent
    if reset is not None:
        options["reset"] = "after" if reset else "before"
    return Plan.of(find(cell), options, by_gate=by_gate)


def _plan_of(cell: Any, kind: str, inputs: Tensor) -> Plan | None:
    """Return what runs a Keras cell on such inputs; None where only Keras can."""
    exported = torch.jit.is_tracing() or torch.onnx.is_in_onnx_export()
    if exported or inputs.device.type != "cpu":
        return None
    activation, recurrent = _name(cell.activation), None
    if kind != "rnn":
        recurrent = _name(cell.recurrent_activation)
    if activation is None or (kind != "rnn" and recurrent is None):
        return None
    reset = bool(cell.reset_after) if kind == "gru" else None
    by_gate = kind != "rnn" and cell.recurrent_dropout > 0
    return _plan(kind, bool(cell.use_bias), activation, recurrent, reset, by_gate)


def _name(function: Any) -> str | None:
    return next((name for name, known in _NAMES.items() if known is function), None)


def _weights(cell: Any) -> list[Tensor]:
    variables = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    return [v.value for v in variables]


class _Layer:
    """The loop over time of a layer whose cell has the weights of Keras' cell `_kind`."""

    _kind: str

    def call(
        self: Any,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Run over sequences (B, T, I): what Keras' `call` returns, with less on the way there."""
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        self._check_sequences(sequences, mask)
        plan = _plan_of(self.cell, self._kind, sequences)
        if plan is None or self.stateful:
            return super().call(sequences, initial_state, mask, training)  # type: ignore[misc]
        if initial_state is None:
            states = [sequences.new_zeros(len(sequences), size) for size in self.state_size]
        else:
            given = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
            states = [keras.ops.convert_to_tensor(s) for s in given]
        try:
            last, outputs, states = self._run(plan, sequences, states, mask, training)
        finally:
            _forget(self.cell)
        dtype = getattr(torch, self.compute_dtype)
        result = (outputs if self.return_sequences else last).to(dtype)
        return (result, *(s.to(dtype) for s in states)) if self.return_state else result

    def inner_loop(
        self: Any,
        sequences: Tensor,
        initial_state: Tensor | Sequence[Tensor],
        mask: Tensor | None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Do the same where Keras' own `call` is around it: where states stay in the layer."""
        plan = _plan_of(self.cell, self._kind, sequences)
        states = [initial_state] if isinstance(initial_state, Tensor) else list(initial_state)
        if self.stateful:  # Keras writes to them after the call, autograd reads them after that
            states = [s.clone() for s in states]
        if plan is None:
            return super().inner_loop(sequences, states, mask, training)  # type: ignore[misc]
        return self._run(plan, sequences, states, mask, training)

    def _run(
        self: Any,
        plan: Plan,
        sequences: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        training: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the last output (B, H), all outputs or the last (B, T or 1, H), and states."""
        self._check_states(sequences, states)
        masks = _drawn(self.cell, sequences[:, 0], states)
        valid = None if mask is None else mask.reshape(mask.shape[:2]).bool().T
        outputs, ended = run(
            plan,
            _weights(self.cell),
            sequences.transpose(0, 1),
            states,
            valid=valid,
            reverse=self.go_backwards,
            masks=masks if training else Masks(),
        )
        return self._as_keras(outputs, ended, valid)

    def _as_keras(
        self: Any, outputs: Tensor, ended: tuple[Tensor, ...], valid: Tensor | None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Outputs (T, B, H) in the order in which the steps were taken, as Keras fills gaps."""
        if self.return_sequences or (self.zero_output_for_mask and valid is not None):
            if self.go_backwards:
                outputs, valid = outputs.flip(0), None if valid is None else valid.flip(0)
            if valid is not None and not self.zero_output_for_mask:
                outputs = carried(outputs, valid)
            outputs = outputs.transpose(0, 1)
            return outputs[:, -1], outputs, list(ended)
        last = ended[0]
        if valid is not None:  # a row without a step that counts has no output but zero
            last = torch.where(valid.any(0)[:, None], last, 0.0)
        return last, last[:, None], list(ended)

    def _check_sequences(self: Any, sequences: Tensor, mask: Tensor | None) -> None:
        where, features = f"layer {self.name}", self.cell.kernel.shape[0]
        if sequences.dim() != 3 or sequences.shape[-1] != features or not sequences.shape[1]:
            raise InputError(
                f"{where}: expected sequences (B, T, {features}) of one step or more, "
                f"received {tuple(sequences.shape)}"
            )
        batch, steps = sequences.shape[:2]
        if mask is not None and tuple(mask.shape) not in ((batch, steps), (batch, steps, 1)):
            raise InputError(
                f"{where}: expected a mask of shape {(batch, steps)} for sequences "
                f"{tuple(sequences.shape)}, received {tuple(mask.shape)}"
            )

    def _check_states(self: Any, sequences: Tensor, states: list[Tensor]) -> None:
        expected = [(len(sequences), size) for size in self.state_size]
        if [tuple(s.shape) for s in states] != expected:
            wanted = ", ".join(map(str, expected))
            received = ", ".join(str(tuple(s.shape)) for s in states)
            raise InputError(
                f"layer {self.name}: expected initial states of shape {wanted}, received {received}"
            )


def _drawn(cell: Any, inputs: Tensor, states: Sequence[Tensor]) -> Masks:
    """The cell's dropout masks for this call, from Keras' generator, where it drops anything."""
    return Masks(
        cell.get_dropout_mask(inputs) if cell.dropout else None,
        cell.get_recurrent_dropout_mask(states[0]) if cell.recurrent_dropout else None,
    )


def _forget(cell: Any) -> None:
    """Let the next call draw masks of its own. Setting what is not there costs as much as a step."""
    if cell.dropout:
        cell.reset_dropout_mask()
    if cell.recurrent_dropout:
        cell.reset_recurrent_dropout_mask()


class _Cell:
    """The step of a cell with the weights of Keras' cell `_kind`."""

    _kind: str

    def call(self: Any, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        """Take a step: inputs (B, I) and states (B, H) to the output and new states."""
        plan = _plan_of(self, self._kind, inputs)
        nested = isinstance(states, list | tuple)
        given = list(states) if nested else [states]
        masks = _drawn(self, inputs, given) if training else Masks()
        if plan is None or plan.kernel is None or masks.by_gate:
            return super().call(inputs, states, training=training)  # type: ignore[misc]
        _, ended = run(plan, _weights(self), inputs[None], given, masks=masks)
        ended = tuple(s.to(inputs.dtype) for s in ended)
        return ended[0], list(ended) if nested else ended[0]


@keras.saving.register_keras_serializable("recurra")
class SimpleRNNCell(_Cell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell`, its step on our kernels: h = tanh(x W + h U + b)."""

    _kind = "rnn"


@keras.saving.register_keras_serializable("recurra")
class LSTMCell(_Cell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell`, its step on our kernels: the equations of the cell lstm."""

    _kind = "lstm"


@keras.saving.register_keras_serializable("recurra")
class GRUCell(_Cell, keras.layers.GRUCell):
    """`keras.layers.GRUCell`, its step on our kernels: the equations of the cell gru."""

    _kind = "gru"


@keras.saving.register_keras_serializable("recurra")
class SimpleRNN(_Layer, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` on our kernels: sequences (B, T, I) to (B, H) or (B, T, H).

    Arguments, weights and results are Keras'. Errors say which shapes were expected and received.
    """

    _kind = "rnn"


@keras.saving.register_keras_serializable("recurra")
class LSTM(_Layer, keras.layers.LSTM):
    """`keras.layers.LSTM` on our kernels: sequences (B, T, I) to (B, H) or (B, T, H).

    Arguments, weights (gates i f c o side by side) and results are Keras'. On a CPU `use_cudnn` and
    `unroll` change nothing. Errors say which shapes were expected and received.
    """

    _kind = "lstm"


@keras.saving.register_keras_serializable("recurra")
class GRU(_Layer, keras.layers.GRU):
    """`keras.layers.GRU` on our kernels: sequences (B, T, I) to (B, H) or (B, T, H).

    Arguments, weights (gates z r h side by side) and results are Keras', with the reset gate after
    the recurrent product or before it. On a CPU `use_cudnn` and `unroll` change nothing. Errors say
    which shapes were expected and received.
    """

    _kind = "gru"
