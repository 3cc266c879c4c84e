"""One step of a cell as a module: `RNNCell`, `LSTMCell`, `GRUCell` drop in for `torch.nn`'s."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from recurra import ops
from recurra.cells import Cell, find, gru, lstm, rnn
from recurra.checked import checked
from recurra.errors import InputError
from recurra.nn.arguments import cell_options, check_inputs, check_place, dense, states_of, whole
from recurra.nn.initial import SCHEMES, initialise
from recurra.nn.kernels import OnKernels
from recurra.nn.resets import check_resets


class RecurrentCell(OnKernels, nn.RNNCellBase):
    """One step of any cell, with `torch.nn`'s arguments, parameter names and results.

    Args:
        cell: a cell or the name of one.
        input_size: I, features of the input.
        hidden_size: H, units.
        bias: whether the cell has `bias_ih` and `bias_hh`.
        device, dtype: of the parameters.
        activation, recurrent_activation: functions in place of the cell's tanh and sigmoid.
        layer_norm: layer norm in the cell.
        peephole: peephole connections.
        options: further options of the cell by name, e.g. `{"reset": "before"}`.
        init: as in `Recurrent`.

    Raises:
        InputError: an argument is out of range, or the cell lacks an option.
    """

    EARLIER: ClassVar[dict[str, Any]] = {"init": "uniform"}

    @checked
    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        peephole: bool = False,
        options: Mapping[str, str] | None = None,
        init: str = "uniform",
    ) -> None:
        nn.Module.__init__(self)
        self.cell, self.bias, self.init = find(cell), bias, init
        self.input_size, self.hidden_size = whole(input_size), whole(hidden_size)
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        wrong = [
            f"{name} must be a positive integer, received {size!r}"
            for name, size in sizes.items()
            if not isinstance(size, int) or size < 1
        ]
        check_place(device, dtype, type(self).__name__)
        if init not in SCHEMES:
            wrong.append(f"init must be one of {', '.join(SCHEMES)}, received {init!r}")
        if wrong:
            raise InputError(f"{type(self).__name__}: " + "; ".join(wrong))
        self.program = self.cell.program(
            bias=bias,
            activation=activation,
            recurrent_activation=recurrent_activation,
            norm=layer_norm,
            peephole=peephole,
            **cell_options(options, type(self).__name__),
        )
        check_inputs(self.program, self.input_size, self.hidden_size, type(self).__name__)
        for parameter in self.program.parameters:
            shape = parameter.shape(
                gates=len(self.cell.gates),
                inputs=self.input_size - self.program.further,
                hidden=self.hidden_size,
            )
            empty = torch.empty(shape, device=device, dtype=dtype)
            self._register(parameter, "", empty)
        self._fused = ops.fused_name(self.program)
        self._find_kernels()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as `init` says."""
        for parameter in self.program.parameters:
            tensor = getattr(self, parameter.name)
            initialise(tensor, parameter.name, self)

    def forward(
        self,
        input: Tensor,
        hx: Tensor | tuple[Tensor, ...] | None = None,
        reset: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Move one step on.

        Args:
            input: (B, I), or (I,).
            hx: the states (B, H), or (H,): a tensor where the cell has one, else a tuple; None
                starts from what the cell's states start from, zeros in most.
            reset: booleans (B,), or one of shape (): which rows begin anew before the step, from
                there, whatever `hx` is.

        Returns:
            The new states, as `hx`.

        Raises:
            InputError: a shape does not fit; says what was expected and received.
        """
        skip = reset is not None or torch.compiler.is_compiling()
        prepared = None if skip else self._prepared
        if (
            prepared is not None
            and (found := prepared.call(self._parameters, input, hx)) is not None
        ):
            outcome: Tensor | tuple[Tensor, ...] = found
            return outcome
        name = type(self).__name__
        if isinstance(input, Tensor) and input.is_nested:
            raise InputError(f"{name}: expected an input (B, I) or (I,), received a nested one")
        shape = tuple(dense(input, f"{name}: input").shape)
        if input.dim() not in (1, 2) or shape[-1] != self.input_size:
            raise InputError(
                f"{name}: expected an input of shape (B, {self.input_size}) or "
                f"({self.input_size},), received {shape}"
            )
        alone = input.dim() == 1
        expected, states = (*shape[:-1], self.hidden_size), self.cell.states
        if hx is None:
            given: tuple[Tensor, ...] = tuple(
                [input.new_zeros(expected).fill_(start) for start in self.program.first]
            )
        else:
            given = states_of(hx, states, name)
        if [tuple(s.shape) for s in given] != [expected] * len(states):
            received = ", ".join(str(tuple(s.shape)) for s in given)
            raise InputError(
                f"{name}: expected {len(states)} state(s) ({', '.join(states)}) of shape "
                f"{expected}, received {received or 'none'}"
            )
        if reset is not None:
            check_resets(reset, shape[:-1], name)
            start = [input.new_zeros(expected).fill_(s) for s in self.program.first]
            anew = reset[..., None]
            given = tuple([torch.where(anew, s, g) for s, g in zip(start, given, strict=True)])
        # ONNX knows torch's kernel alone; elsewhere the reference computes what ours do not.
        fused = self._fused if self._fused is not None and ops.recorded_for_onnx() else None
        way, call = ops.route(
            ops.Call(
                self._run_name,
                input[None, None] if alone else input[None],
                self._plain([getattr(self, p.name) for p in self.program.parameters]),
                [s[None, None] if alone else s[None] for s in given],
                kernels=self._kernel is not None,
                kept=self._kept[0],
            ),
            fused,
        )
        _, *final = way(call)
        if prepared is not None:
            prepared.follow(self._kept, self._layers)
        ended = tuple([s[0, 0] if alone else s[0] for s in final])
        return ended[0] if len(ended) == 1 else ended

    def _layers(self) -> ops.Layers | None:
        own = self._run_name != self._name or self.program.starts or self.program.has_data
        if self._kernel is None or own:
            return None
        names = [p.name for p in self.program.parameters]
        return ops.Layers(len(self.cell.states), [names], (), getattr(self, names[0]).dtype, axes=2)

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults."""
        parts = [self.cell.name] if type(self) is RecurrentCell else []
        parts += [f"{self.input_size}, {self.hidden_size}"]
        usual, called = dict(self.cell.program().options), {"norm": "layer_norm"}
        parts += [f"{called.get(k, k)}={v!r}" for k, v in self.program.options if usual[k] != v]
        return ", ".join(parts + ([f"init={self.init!r}"] if self.init != "uniform" else []))


class RNNCell(RecurrentCell):
    """One step of the vanilla cell; `nonlinearity`, or `activation`, is as in `recurra.nn.RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str | None = None,
        layer_norm: bool = False,
        init: str = "uniform",
    ) -> None:
        super().__init__(
            rnn,
            input_size,
            hidden_size,
            bias,
            device,
            dtype,
            activation=activation or nonlinearity,
            layer_norm=layer_norm,
            init=init,
        )
        self.nonlinearity = activation or nonlinearity


class LSTMCell(RecurrentCell):
    """One step of the LSTM, gates stacked i f g o."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        peephole: bool = False,
        init: str = "uniform",
    ) -> None:
        super().__init__(
            lstm,
            input_size,
            hidden_size,
            bias,
            device,
            dtype,
            activation=activation,
            recurrent_activation=recurrent_activation,
            layer_norm=layer_norm,
            peephole=peephole,
            init=init,
        )


class GRUCell(RecurrentCell):
    """One step of the GRU, gates stacked r z n; `reset` as in `recurra.nn.GRU`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        init: str = "uniform",
    ) -> None:
        super().__init__(
            gru,
            input_size,
            hidden_size,
            bias,
            device,
            dtype,
            activation=activation,
            recurrent_activation=recurrent_activation,
            layer_norm=layer_norm,
            options={"reset": reset},
            init=init,
        )
