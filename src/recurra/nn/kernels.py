"""Which kernels a layer runs on, wherever its weights go."""

import copy
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from recurra import ops
from recurra.cells import Program
from recurra.cells.graph import Parameter
from recurra.cells.matrices import plain
from recurra.matrices import plain_parameters


def cut_to_read(layer: "OnKernels", weights: dict[str, Any], prefix: str) -> None:
    """Leave out of saved weights the rows of gates that no equation reads, which they once had."""
    program = layer.program
    for product in ("ih", "hh"):
        every = program.gates
        read = dict.fromkeys((f"weight_{product}", f"norm_{product}"), program.span(product))
        read[f"bias_{product}"] = program.biased_gates(product)
        for name in [n for n in weights if n.startswith(prefix)]:
            kind = re.sub(r"_l\d+(_reverse)?$", "", name.removeprefix(prefix))
            own, tensor = read.get(kind, every), weights[name]
            if own == every:
                continue
            if len(tensor) != len(every) * cast(Any, layer).hidden_size:
                continue
            if own:
                blocks = dict(zip(every, tensor.chunk(len(every)), strict=True))
                weights[name] = torch.cat([blocks[gate] for gate in own])
            else:
                del weights[name]


class OnKernels(nn.Module):
    """A module that knows the name of its program, and of its kernels, None without any.

    It keeps the program that it was made with, whatever its cell's name stands for later. Kernels
    of a user's cell are compiled when its weights are first where those run: not for a layer on
    another device.
    """

    #: Attributes that layers pickled by an earlier version lack, and what they stood for.
    EARLIER: ClassVar[dict[str, Any]] = {}

    program: Program
    #: As graphs and pickles name it, and as calls name what runs: see `cells.matrices`.
    _name: str
    _run_name: str
    _kernel: str | None
    #: By layer and direction.
    _kept: list[ops.KeptWeights]
    #: Of parameters and their versions, what `_plain` made.
    _made: list[tuple[list[tuple[Tensor, int]], list[Tensor]]]

    #: Of short calls with the settings as they are now.
    _prepared: ops.Prepared

    def __setattr__(self, name: str, value: Any) -> None:
        # Layers derive from torch's own bases too (see `recurra.nn.torch_base`), whose methods of
        # this name and the next keep a second list of weights: `nn.Module`'s are meant here.
        nn.Module.__setattr__(self, name, value)
        # Any attribute may be a setting. What was begun with the old ones prepares the old object.
        self.__dict__["_prepared"] = ops.Prepared()

    def _forget_weights(self) -> None:
        """Let go of what is kept of the weights for calls of few steps."""
        for kept in self._kept:
            kept.forget()
        self.__dict__["_prepared"] = ops.Prepared()

    def __getstate__(self) -> dict[str, Any]:
        made = ("_kept", "_made", "_prepared")
        state = {name: value for name, value in self.__dict__.items() if name not in made}
        # By its name: a reader has the definition, and never compiles a stranger's equations.
        return state | {"program": self._name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = copy.deepcopy(self.EARLIER) | state
        if isinstance(state["program"], str):
            state["program"] = ops.named(state["program"])
        nn.Module.__setstate__(self, state)
        self._find_kernels()  # it may come from a machine with others

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        nn.Module._apply(self, fn, recurse)
        self._find_kernels()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any, **named: Any
    ) -> None:
        cut_to_read(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments, **named)
        self._find_kernels()  # with assign=True the weights are others, of another device or dtype

    def _find_kernels(self) -> None:
        self._name = ops.program_name(self.program)
        self.program = ops.named(self._name)  # the object that look-ups know, not a copy of it
        run = plain(self.program)
        self._run_name = self._name if run is self.program else ops.program_name(run)
        self._kernel = ops.kernel_name(run, self._first())
        self._made = []
        self._kept = [ops.KeptWeights() for _ in range(self._directions())]

    def _plain(self, given: list[Tensor]) -> list[Tensor]:
        """Parameters as calls take them, of one layer and direction.

        Where no gradient is asked for they are made once: kernels know again what they have packed.
        """
        if self._run_name == self._name:
            return given
        once = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        once = once and not any(tensor.is_inference() for tensor in given)
        stamp = [(tensor, tensor._version) for tensor in given] if once else []
        for earlier, made in self._made if once else ():
            pairs = zip(earlier, stamp, strict=True)
            if all(one[0] is other[0] and one[1] == other[1] for one, other in pairs):
                return made
        program = self.program
        named = dict(zip([p.name for p in program.parameters], given, strict=True))
        found = plain_parameters(program, named)
        made = [found[parameter.name] for parameter in plain(program).parameters]
        if once:
            self._made = [(stamp, made), *self._made][: self._directions()]
        return made

    def _register(self, parameter: Parameter, suffix: str, empty: Tensor) -> None:
        """Keep a parameter of the program as what is learnt, or as data of the module."""
        if parameter.is_fixed:
            self.register_buffer(parameter.name + suffix, empty)
        else:
            self.register_parameter(parameter.name + suffix, nn.Parameter(empty))

    def _first(self) -> Tensor:
        """A tensor that says of which dtype all are, and where; nothing may be learnt."""
        return next(chain(self.parameters(), self.buffers()))

    def _directions(self) -> int:
        """How many times the module has the program's parameters."""
        return 1
