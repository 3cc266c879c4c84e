"""`Recurrent`: any cell as a torch module: layers, directions, masks, noise."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from recurra import ops
from recurra.cells import Cell, Parameter, find
from recurra.checked import checked
from recurra.nn.arguments import MERGES, cell_options, check, check_place, described, whole
from recurra.nn.initial import initialise
from recurra.nn.kernels import OnKernels
from recurra.nn.noise import drawn
from recurra.nn.observed import Observed, Values
from recurra.nn.sequences import Sequences
from recurra.nn.state import initial_states
from recurra.nn.torch_base import LikeTorchs

States = tuple[Tensor, ...]


class Recurrent(OnKernels, LikeTorchs, nn.RNNBase):
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
        rates = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(states)
        self.zoneout = tuple(float(rate) for rate in rates)
        check(self)
        self.program = self.cell.program(
            bias=bias,
            activation=activation,
            recurrent_activation=recurrent_activation,
            norm=layer_norm,
            peephole=peephole,
            projection=self.proj_size > 0,
            **cell_options(options, type(self).__name__),
        )
        #: Who keeps the gradients by its states: see `state_gradients`.
        self.watched_by: list[list[Values]] = []
        self._fused = ops.fused_name(self.program)
        self._names: list[dict[str, str]] = []
        for index in range(self.num_layers * self.num_directions):
            layer, backward = divmod(index, self.num_directions)
            inputs = self.input_size if layer == 0 else self.output_size
            suffix = f"_l{layer}{'_reverse' if backward else ''}"
            for parameter in self.program.parameters:
                empty = torch.empty(self._shape(parameter, inputs), device=device, dtype=dtype)
                self.register_parameter(parameter.name + suffix, nn.Parameter(empty))
            self._names.append({p.name: p.name + suffix for p in self.program.parameters})
        for name, size in zip(states, self.state_sizes, strict=True):
            if learn_initial_state:
                zeros = torch.zeros(len(self._names), size, device=device, dtype=dtype)
                self.register_parameter(f"initial_{name}", nn.Parameter(zeros))
            else:
                self.register_parameter(f"initial_{name}", None)
        self.reset_parameters()
        self._find_kernels()

    @property
    def num_directions(self) -> int:
        """D: 2 where bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Units of each state of the cell; the first is P where the cell projects."""
        return (
            self.proj_size or self.hidden_size,
            *(self.hidden_size,) * (len(self.cell.states) - 1),
        )

    @property
    def output_size(self) -> int:
        """Features of the output: P where the cell projects, else H; of both directions, twice."""
        return self.state_sizes[0] * (self.num_directions if self.merge == "concat" else 1)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """Parameters by layer and direction, as `torch.nn` orders them."""
        return [[getattr(self, n) for n in names.values()] for names in self._names]

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as `init` says."""
        for names in self._names:
            for name, full in names.items():
                initialise(getattr(self, full), name, self)
        for state in self.cell.states:
            if (initial := getattr(self, f"initial_{state}")) is not None:
                nn.init.zeros_(initial)

    def forward(
        self,
        input: Tensor | ops.Lookup | PackedSequence,
        hx: Tensor | tuple[Tensor, ...] | None = None,
        lengths: Tensor | None = None,  # no keywords alone: torch.onnx.export passes all by place
        mask: Tensor | None = None,
        return_gates: bool | None = None,
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

        Returns:
            outputs in the form of the input, `output_size` features; the final states, as `hx`; and
            with `return_gates` a list by layer of lists by direction of dictionaries by name
            (gates, candidates, states) of tensors (T, B, H), in the layout of the input.

        Raises:
            InputError: a shape does not fit; says what was expected and received.
        """
        watched = return_gates or self.watched_by
        asked = lengths is not None or mask is not None or watched
        if not asked and isinstance(input, Tensor) and self._is_plain(input):
            return self._run_plain(input, hx)
        batch = Sequences.read(
            input,
            features=self.input_size,
            batch_first=self.batch_first,
            lengths=lengths,
            mask=mask,
            name=type(self).__name__,
        )
        plain = not watched and isinstance(batch.data, Tensor) and self._is_plain(batch.data)
        states = initial_states(self, hx, batch.data, unbatched=batch.unbatched)
        view = None if plain else Observed(batch, bool(return_gates), self.watched_by)
        fused = not (plain or view) and self._runs_fused(batch)
        if fused and not self.residual and self.merge == "concat":
            outputs, final = self._fused_layers(batch.data, batch.valid, states, 0, self.num_layers)
        else:
            outputs, final = self._run_layers(batch.data, batch.valid, states, fused, view)
        if batch.unbatched:
            final = tuple(s.squeeze(1) for s in final)
        state = final[0] if len(final) == 1 else final
        written = batch.write(outputs)
        return (written, state, view.gates) if view and return_gates else (written, state)

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults."""
        named = f"{self.cell.name}, " if type(self) is Recurrent else ""
        return named + described(self)

    # -- how it runs ------------------------------------------------------------------------------

    def _is_plain(self, input: Tensor) -> bool:
        """Whether layers are calls of the kernels, to which little time may be added."""
        return (
            type(input) is Tensor
            and not input.is_nested
            and input.dim() == 3
            and input.shape[2] == self.input_size
            and self._kernel is not None
            and self.precision == "float32"
            and not any(self.zoneout)
            and not (self.recurrent_dropout and self.training)
            and ops.straight(input, self._parameters.get("weight_ih_l0"))
        )

    def _run_plain(self, input: Tensor, hx: Tensor | tuple[Tensor, ...] | None) -> tuple:
        """`forward` of what `_is_plain`."""
        assert self._kernel is not None
        x = input.transpose(0, 1) if self.batch_first else input
        learnt = self._parameters.get(f"initial_{self.cell.states[0]}", x) is not None
        states = initial_states(self, hx, x) if learnt or hx is not None else ()
        if self.num_layers == 1 and not self.bidirectional:
            weights = list(self._weights(0).values())
            outputs, *ended = ops.plain(
                self._kernel, x, weights, states, reverse=self.reverse, kept=self._kept[0]
            )
            final = tuple(ended)
        else:
            outputs, final = self._run_layers(x, None, states, False, None)
        written = outputs.transpose(0, 1) if self.batch_first else outputs
        return written, final[0] if len(final) == 1 else final

    def _fused_layers(
        self, x: Tensor | ops.Lookup, valid: Tensor | None, states: States, first: int, layers: int
    ) -> tuple[Tensor, States]:
        """Layers `first` to `first + layers` in one call of torch's kernel."""
        assert self._fused is not None
        x = x.dense() if isinstance(x, ops.Lookup) else x
        ours = range(first * self.num_directions, (first + layers) * self.num_directions)
        weights = [w for k in ours for w in self._weights(k).values()]
        states = tuple(s[ours.start : ours.stop] for s in states)
        stack = ops.Stack(layers, self.bidirectional, self.bias, self.dropout, self.training)
        if valid is None:
            return ops.fused(self._fused, x, states, weights, stack)
        return ops.fused_masked(self._fused, x, states, weights, stack, valid)

    def _runs_fused(self, batch: Sequences) -> bool:
        """Whether torch's kernels run: where ours do not, and theirs compute it."""
        ours = self._kernel is not None and ops.on_kernels(next(self.parameters()))
        ours = ours or self.precision == "bf16"
        noisy = any(self.zoneout) or (self.training and self.recurrent_dropout > 0)
        onnx = ops.recorded_for_onnx()  # which knows torch's alone
        ours = ours and not onnx
        plain = self._fused is not None and not ours and not noisy and not self.reverse
        if onnx:
            return plain and batch.valid is None
        if torch.compiler.is_compiling() and self._name is not None:
            # Traced, torch's CPU kernels are unrolled and packing looks at values.
            plain = plain and batch.data.device.type != "cpu" and batch.valid is None
        # torch's kernels refuse sequences without a step.
        return plain and batch.data.shape[0] > 0

    def _layer(
        self,
        x: Tensor | ops.Lookup,
        valid: Tensor | None,
        states: States,
        layer: int,
        view: Observed | None,
    ) -> tuple[Tensor, States]:
        """One layer, direction by direction; without a view it is plain."""
        outputs, ended = [], []
        for reverse in range(self.num_directions):
            k = layer * self.num_directions + reverse
            weights, back = self._weights(k), self.reverse or reverse > 0
            if view is None:
                assert self._kernel is not None
                assert isinstance(x, Tensor)
                initial = tuple([s[k : k + 1] for s in states])
                found = ops.plain(
                    self._kernel,
                    x,
                    list(weights.values()),
                    initial,
                    reverse=back,
                    valid=valid,
                    kept=self._kept[k],
                )
                outputs.append(found[0])
                ended.append(tuple(found[1:]))
                continue
            initial = tuple(s[k] for s in states)
            run = view.run(
                layer,
                self.program,
                weights,
                x,
                initial,
                kernel=self._kernel,
                name=self._name,
                valid=valid,
                reverse=back,
                noise=drawn(self, x.shape[0], initial),
                half=self.precision == "bf16",
            )
            outputs.append(run.outputs)
            ended.append(tuple(s.unsqueeze(0) for s in run.states))
        if not self.bidirectional:
            return outputs[0], ended[0]
        return torch.cat(outputs, dim=-1), tuple(torch.cat(s) for s in zip(*ended, strict=True))

    def _run_layers(
        self,
        x: Tensor | ops.Lookup,
        valid: Tensor | None,
        states: States,
        fused: bool,
        view: Observed | None,
    ) -> tuple[Tensor, States]:
        """All layers, one after the other; what is between them happens here."""
        final = []
        for layer in range(self.num_layers):
            if fused:
                outputs, ended = self._fused_layers(x, valid, states, layer, 1)
            else:
                outputs, ended = self._layer(x, valid, states, layer, view)
            if self.bidirectional and self.merge != "concat":
                outputs = MERGES[self.merge](*outputs.chunk(2, dim=-1))
            if self.residual and layer > 0:
                outputs = outputs + x
            if layer < self.num_layers - 1:
                outputs = functional.dropout(outputs, self.dropout, self.training)
            x = outputs
            final.append(ended)
        if len(final) == 1:
            return x, final[0]
        return x, tuple(torch.cat(s) for s in zip(*final, strict=True))

    def _weights(self, k: int) -> dict[str, Tensor]:
        """Parameters of the k-th layer and direction, recurrent weights dropped where asked."""
        # Not every attribute is a parameter: a parametrisation replaces it, and is asked then.
        own = self._parameters
        found: dict[str, Tensor] = {
            n: getattr(self, full) if (weight := own.get(full)) is None else weight
            for n, full in self._names[k].items()
        }
        if self.weight_drop and self.training and "weight_hh" in found:
            found["weight_hh"] = functional.dropout(found["weight_hh"], self.weight_drop)
        return found

    def _directions(self) -> int:
        return self.num_layers * self.num_directions

    def _shape(self, parameter: Parameter, inputs: int) -> tuple[int, ...]:
        return parameter.shape(
            gates=len(self.cell.gates),
            inputs=inputs,
            hidden=self.hidden_size,
            projection=self.proj_size,
        )
