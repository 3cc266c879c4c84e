"""`Recurrent`: any cell as a torch module: layers, directions, masks, noise."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from recurra import ops
from recurra.cells import Cell, find
from recurra.checked import checked
from recurra.nn.arguments import (
    MERGES,
    LayerArguments,
    cell_options,
    check_inputs,
    check_place,
    whole,
)
from recurra.nn.initial import initialise
from recurra.nn.kernels import OnKernels
from recurra.nn.noise import Noise, drawn
from recurra.nn.recording import Recording
from recurra.nn.resets import read_resets, turned
from recurra.nn.sequences import Sequences
from recurra.nn.state import initial_states
from recurra.nn.torch_base import LikeTorchs

States = tuple[Tensor, ...]


class Recurrent(OnKernels, LikeTorchs, LayerArguments, nn.RNNBase):
    """Recurrent layers of any cell, with `torch.nn`'s arguments, parameter names and results.

    Args:
        cell: a cell or the name of one.
        input_size: I, features of the input.
        hidden_size: H, units of a layer and direction.
        num_layers: layers, each reading the outputs of the one below.
        bias: whether the cell has `bias_ih` and `bias_hh`.
        batch_first: whether inputs and outputs are (B, T, ·) instead of (T, B, ·).
        dropout: probability of dropout on the outputs of every layer but the last.
        bidirectional: whether each layer also runs from the end to the start.
        proj_size: P > 0 projects the output of the cell to P units (cells with `projection`).
        device, dtype: of the parameters.
        activation, recurrent_activation: functions in place of the cell's tanh and sigmoid.
        layer_norm: layer norm in the cell (Ba et al. 2016).
        peephole: peephole connections (Gers et al. 2002).
        options: further options of the cell by name, e.g. `{"reset": "before"}`.
        recurrent_dropout: probability of dropping a unit from the recurrent products, one mask a
            sequence (Gal & Ghahramani 2016).
        zoneout: probability that a unit keeps its old state; a number, or one for each state
            (Krueger et al. 2017). In evaluation the expected value is taken.
        weight_drop: probability of dropping a recurrent weight, one mask a call (Merity et al.
            2018).
        residual: add its input to the output of every layer above the first.
        reverse: run from the end to the start; outputs stay at the place of their input.
        merge: what becomes of the outputs of two directions: `concat`, `sum`, `mul` or `ave`.
        learn_initial_state: states not given start from parameters `initial_<state>` (L * D, ·).
        init: `uniform` draws all parameters as `torch.nn` does; `orthogonal` draws recurrent
            weights orthogonal by gate, input weights Glorot-uniform, biases as the cell says (1 for
            the forget gate).
        precision: `bf16` computes products in bfloat16, sums and all else in float32, in training
            and without; on CPUs that have such products, and refused elsewhere.

    Raises:
        InputError: an argument is out of range, or the cell lacks an option.
    """

    EARLIER: ClassVar[dict[str, Any]] = {
        "residual": False,
        "reverse": False,
        "merge": "concat",
        "weight_drop": 0.0,
        "init": "uniform",
        "precision": "float32",
        "watched_by": [],
        "_fused": None,
    }

    @checked
    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        peephole: bool = False,
        options: Mapping[str, str] | None = None,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_drop: float = 0.0,
        residual: bool = False,
        reverse: bool = False,
        merge: str = "concat",
        learn_initial_state: bool = False,
        init: str = "uniform",
        precision: str = "float32",
    ) -> None:
        nn.Module.__init__(self)
        check_place(device, dtype, type(self).__name__)
        self.cell = find(cell)
        self.input_size, self.hidden_size = whole(input_size), whole(hidden_size)
        self.num_layers, self.proj_size = whole(num_layers), whole(proj_size)
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.residual, self.init = residual, init
        self.precision, self.reverse, self.merge = precision, reverse, merge
        drops = map(float, (dropout, recurrent_dropout, weight_drop))
        self.dropout, self.recurrent_dropout, self.weight_drop = drops
        states = self.cell.states
        rates = zoneout if isinstance(zoneout, tuple) else self.cell.rates(zoneout)
        self.zoneout = tuple(float(rate) for rate in rates)
        self._check()
        self.program = self.cell.program(
            bias=bias,
            activation=activation,
            recurrent_activation=recurrent_activation,
            norm=layer_norm,
            peephole=peephole,
            projection=self.proj_size > 0,
            **cell_options(options, type(self).__name__),
        )
        self.watched_by = []
        self._fused = ops.fused_name(self.program)
        self._names = []
        further = self.program.further
        for index in range(self.num_layers * self.num_directions):
            layer, backward = divmod(index, self.num_directions)
            inputs = self.input_size - further if layer == 0 else self.output_size
            check_inputs(self.program, inputs + further, self.hidden_size, type(self).__name__)
            suffix = f"_l{layer}{'_reverse' if backward else ''}"
            for parameter in self.program.parameters:
                shape = parameter.shape(
                    gates=len(self.cell.gates),
                    inputs=inputs,
                    hidden=self.hidden_size,
                    projection=self.proj_size,
                )
                empty = torch.empty(shape, device=device, dtype=dtype)
                self._register(parameter, suffix, empty)
            self._names.append({p.name: p.name + suffix for p in self.program.parameters})
        for name, size in zip(states, self.state_sizes, strict=True):
            if learn_initial_state:
                start = torch.zeros(len(self._names), size, device=device, dtype=dtype)
                self.register_parameter(f"initial_{name}", nn.Parameter(start))
            else:
                self.register_parameter(f"initial_{name}", None)
        self.reset_parameters()
        self._find_kernels()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as `init` says."""
        for names in self._names:
            for name, full in names.items():
                initialise(getattr(self, full), name, self)
        for state, start in zip(self.cell.states, self.program.first, strict=True):
            if (initial := getattr(self, f"initial_{state}")) is not None:
                nn.init.constant_(initial, start)

    def forward(
        self,
        input: Tensor | ops.Lookup | PackedSequence,
        hx: Tensor | tuple[Tensor, ...] | None = None,
        lengths: Tensor | None = None,  # no keywords alone: torch.onnx.export passes all by place
        mask: Tensor | None = None,
        return_gates: bool | None = None,
        reset: Tensor | None = None,
    ) -> tuple:
        """Run the layers over a batch of sequences.

        Args:
            input: (T, B, I), (B, T, I) where `batch_first`, (T, I), or a packed sequence; or a
                `Lookup` of tokens (T, B) or (B, T) among the rows of an embedding.
            hx: initial states (L * D, B, ·): a tensor where the cell has one state, else a tuple;
                None starts from zeros, or from the learnt state.
            lengths: valid steps of each sequence, integers (B,), in any order; 0 is allowed.
            mask: booleans of the input's first two axes: which steps count. Any pattern is right:
                at other steps the state waits and the output is zero.
            return_gates: also return what the cell computed at every step.
            reset: booleans of the input's first two axes: before which steps a sequence begins
                anew, from zeros or the learnt state, whatever `hx` is. Results and gradients are
                those of the pieces alone, in both directions.

        Returns:
            outputs in the form of the input, `output_size` features; the final states, as `hx`; and
            with `return_gates` a list by layer of lists by direction of dictionaries by name
            (gates, candidates, states) of tensors (T, B, H), in the layout of the input.

        Raises:
            InputError: a shape does not fit; says what was expected and received.
        """
        data: Tensor | ops.Lookup
        batch = view = None
        asked = lengths is not None or mask is not None or reset is not None
        asked = asked or bool(return_gates or self.watched_by)
        prepared = None if asked or torch.compiler.is_compiling() else self._prepared
        if prepared is not None and (found := prepared.call(self._parameters, input, hx)):
            outcome: tuple = found
            return outcome
        if asked or not self._is_inner(input):
            batch = Sequences.read(
                input,
                features=self.input_size,
                batch_first=self.batch_first,
                lengths=lengths,
                mask=mask,
                name=type(self).__name__,
            )
            data = batch.data
            if return_gates or self.watched_by:
                view = Recording(batch, bool(return_gates), self.watched_by)
        else:
            data = input.transpose(0, 1) if self.batch_first else input
        if reset is not None:
            assert batch is not None
            name = type(self).__name__
            reset = read_resets(reset, batch, masked=mask is not None, name=name)
        outputs, final = self._run(data, hx, batch, view, reset)
        if prepared is not None:
            prepared.follow(self._kept, self._layers)
        if batch is None:
            written = outputs.transpose(0, 1) if self.batch_first else outputs
        else:
            written = batch.write(outputs)
            if batch.unbatched:
                final = tuple([s.squeeze(1) for s in final])
        state = final[0] if len(final) == 1 else final
        return (written, state, view.gates) if view and return_gates else (written, state)

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults."""
        named = f"{self.cell.name}, " if type(self) is Recurrent else ""
        return named + super().extra_repr()

    # -- how it runs ------------------------------------------------------------------------------

    def _is_inner(self, input: Any) -> bool:
        """Whether an input is (T, B, I) or (B, T, I) already, to which little time may be added."""
        return (
            type(input) is Tensor
            and not input.is_nested
            and input.layout is torch.strided
            and input.dim() == 3
            and input.shape[2] == self.input_size
        )

    def _run(
        self,
        data: Tensor | ops.Lookup,
        hx: Tensor | tuple[Tensor, ...] | None,
        batch: Sequences | None,
        view: Recording | None,
        reset: Tensor | None,
    ) -> tuple[Tensor, States]:
        """All layers, one after the other: outputs (T, B, ·), final states (L * D, B, ·)."""
        half, kernels = self.precision == "bf16", self._kernel is not None
        layers, directions = self.num_layers, 2 if self.bidirectional else 1
        x, tokens = (data, None) if isinstance(data, Tensor) else (data.rows, data.tokens)
        valid = None if batch is None else batch.valid
        noise: Noise = (None, (), ())
        mask, keep, rates = noise
        noisy = any(self.zoneout) or (self.training and self.recurrent_dropout > 0)
        states: States = ()
        # A parametrisation may have replaced what is learnt.
        learns = self._parameters.get(f"initial_{self.cell.states[0]}", self) is not None
        if hx is not None or learns or noisy or view or self.program.starts:
            states = initial_states(self, hx, data, unbatched=batch is not None and batch.unbatched)
        start: States = ()
        if reset is not None:
            start = initial_states(self, None, data)
            states = start if hx is None else states
        alone = layers == 1 == directions
        ended: list[Sequence[Tensor]] = []
        for layer in range(layers):
            sides = []
            for back in range(directions):
                k = layer * directions + back
                initial = states if alone else [s[k : k + 1] for s in states]
                if noisy:
                    mask, keep, rates = drawn(self, data.shape[0], initial)
                call = ops.Call(
                    self._run_name,
                    x,
                    self._weights(k),
                    initial,
                    valid,
                    mask,
                    keep,
                    rates,
                    self.reverse or back == 1,
                    half,
                    tokens,
                    kernels,
                    self._kept[k],
                )
                if reset is not None:
                    again = start if alone else [s[k : k + 1] for s in start]
                    before = turned(reset) if call.reverse else reset
                    call = call._replace(reset=before, start=again)
                if view:
                    found = view.run(layer, call)
                else:
                    way, call = ops.route(call, self._fused)
                    if way is ops.run_fused:
                        return self._run_fused(call, states)
                    found = way(call)
                if alone:
                    return found[0], tuple(found[1:])
                sides.append(found[0])
                ended.append(found[1:])
            outputs = MERGES[self.merge](*sides) if self.bidirectional else sides[0]
            x, tokens = self._onward(layer, outputs, x), None
        return x, tuple([torch.cat(s) for s in zip(*ended, strict=True)])

    def _run_fused(self, first: ops.Call, states: States) -> tuple[Tensor, States]:
        """All layers by torch's kernel, in one call where it does what is between them.

        Args:
            first: the call of the first direction of the first layer.
            states: initial states, or none.
        """
        assert self._fused is not None
        x, valid = first.x, first.valid
        states = states or initial_states(self, None, x)
        alone = self.residual or self.merge != "concat"
        at_once = 1 if alone else self.num_layers
        stack = ops.Stack(at_once, self.bidirectional, self.bias, self.dropout, self.training)
        ended = []
        for layer in range(0, self.num_layers, at_once):
            ours = range(layer * self.num_directions, (layer + at_once) * self.num_directions)
            each = [self._weights(k) if k else first.parameters for k in ours]
            weights = [w for parameters in each for w in parameters]
            starts = [s[ours.start : ours.stop] for s in states]
            outputs, final = ops.fused(self._fused, x, starts, weights, stack, valid=valid)
            if self.merge != "concat":
                outputs = MERGES[self.merge](*outputs.chunk(2, dim=-1))
            x = self._onward(layer, outputs, x) if alone else outputs
            ended.append(final)
        return x, tuple([torch.cat(s) if alone else s[0] for s in zip(*ended, strict=True)])

    def _onward(self, layer: int, outputs: Tensor, x: Tensor) -> Tensor:
        """What the next layer reads, or the caller: of the outputs of one, and its input."""
        further = self.program.further if self.program.inputs else 0
        if self.residual and layer > 0:
            outputs = outputs + (x[..., : outputs.shape[-1]] if further else x)
        if self.dropout and layer < self.num_layers - 1:
            outputs = functional.dropout(outputs, self.dropout, self.training)
        if further and layer < self.num_layers - 1:  # each layer reads them
            return torch.cat((outputs, x[..., x.shape[-1] - further :]), dim=-1)
        return outputs

    def _weights(self, k: int) -> list[Tensor]:
        """Parameters of the k-th layer and direction, recurrent weights dropped where asked."""
        # Not every attribute is a parameter: a parametrisation replaces it, and is asked then.
        own, names = self._parameters, self._names[k]
        found: list[Tensor] = [
            getattr(self, full) if (weight := own.get(full)) is None else weight
            for full in names.values()
        ]
        for place, name in enumerate(names) if self.weight_drop and self.training else ():
            if name.startswith("weight_hh"):
                found[place] = functional.dropout(found[place], self.weight_drop)
        return found if self._run_name == self._name else self._plain(found)

    def _layers(self) -> ops.Layers | None:
        """What the present settings compute, where that is nothing but the kernels' part."""
        noisy = self.recurrent_dropout or self.weight_drop
        between = self.num_layers > 1 and (self.residual or (self.dropout and self.training))
        merged = self.bidirectional and self.merge != "concat"
        other = self.precision != "float32" or self._kernel is None
        between = between or (self.num_layers > 1 and bool(self.program.inputs))
        own = self._run_name != self._name or bool(self.program.starts) or self.program.has_data
        if any(self.zoneout) or (noisy and self.training) or between or merged or other or own:
            return None
        return ops.Layers(
            len(self.cell.states),
            [list(names.values()) for names in self._names],
            [f"initial_{state}" for state in self.cell.states],
            self._first().dtype,
            self.num_directions,
            batch_first=self.batch_first,
            reverse=self.reverse,
        )

    def _directions(self) -> int:
        return len(self._names)
