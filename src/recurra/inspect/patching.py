"""Values changed while a model reads: a unit patched, a gate clamped, a state exchanged.

Edits are plain functions, applied where the cell's equations name a value: all that the equations
compute from it, in this step and later, computes from the edited one.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief, shown
from recurra.inspect.language import is_language
from recurra.inspect.network import Network, of_stack
from recurra.inspect.reading import chosen_part, layer_of, parts
from recurra.reference import Interpreter
from recurra.runtime.states import LayersCall, States

Array = Any  # numpy.ndarray or torch.Tensor


@dataclass(frozen=True)
class Edit:
    """One change of what a layer computes.

    layer: which one, from 0. name: a gate, candidate or state, as the equations have it.
    function: gets the step, from 0 of what is read in one call, and the value (B, H), and returns
        the one to go on with, (B, H).
    reverse: whether it is the direction from the end to the start that is meant; steps are counted
        by their place in the input.
    always: whether it does the same at every step, and the number does not matter.
    """

    layer: int
    name: str
    function: Callable[[int, Array], Array]
    reverse: bool = False
    always: bool = False


def patch(layer: int, name: str, unit: int, value: float, *, at: int) -> Edit:
    """One unit gets a value at one step."""
    return Edit(layer, name, lambda t, v: _set(v, [unit], value) if t == at else v)


def clamp(
    layer: int,
    name: str,
    low: float,
    high: float,
    *,
    units: Sequence[int] | None = None,
    since: int = 0,
) -> Edit:
    """Units (None: all) are kept from `low` to `high`, from a step on."""

    def function(t: int, v: Array) -> Array:
        if t < since:
            return v
        kept = v.clip(low, high)
        return kept if units is None else _set(v, units, kept[..., list(units)])

    return Edit(layer, name, function, always=since == 0)


def exchange(layer: int, name: str, values: Any, *, at: int) -> Edit:
    """The whole state (H,) or (B, H) becomes another after step `at`, one of another text, say."""
    return Edit(layer, name, lambda t, v: _like(values, v) if t == at else v)


def ablate(
    layer: int, name: str, units: Sequence[int], value: Any = 0.0, *, since: int = 0
) -> Edit:
    """Units stand still at a value, or at one each, from a step on."""
    return Edit(
        layer, name, lambda t, v: _set(v, units, value) if t >= since else v, always=since == 0
    )


def patched(model: Any, *edits: Edit, part: str | None = None) -> Any:
    """The same model or layer, with values changed while it reads. The original stays as it is.

    It runs by the reference, which is slower than the kernels: all edits are exact.

    Args:
        model: a model of any task: the copy can do what the model can, and these measures take it.
            An edit of some steps counts from the beginning of what layers read in one call; of a
            language model that is what measures read, a whole text. Or a layer of `recurra.nn` or
            `torch.nn`: what is returned takes (input, hx) and returns what the layer does;
            gradients flow through.
        edits: in the order in which they are applied.
        part: which layers, of a model that has several stacks.

    Raises:
        InputError: a layer or a name that is not there; later, an edit of some steps where a text
            is read in pieces.
    """
    for edit in edits:
        if not isinstance(edit, Edit):
            raise InputError(f"patched: expected edits, received {shown(edit)}")
    if isinstance(model, Network):
        return _edited(model, edits)
    if not hasattr(model, "runtime"):
        return PatchedLayer(layer_of(model, "patched"), edits)
    if is_language(model) and not hasattr(model.runtime, "through"):
        if hasattr(model.runtime, "network"):
            other = copy.copy(model)
            network = _edited(model.runtime.network, edits)
            other.runtime = replace(model.runtime, network=network)
            return other
        raise InputError(
            f"patched: expected recurrent layers, received a {type(model.runtime).__name__}"
        )
    other = copy.copy(model)
    name = chosen_part(other, part, "patched")
    stack = parts(other)[name]
    network = _edited(of_stack(stack), edits)
    run = _Standing(network, all(edit.always for edit in edits))
    if is_language(other):
        other.runtime.through(run)
    else:
        stack.through(run)
    return other


class _Standing:
    """Runs an edited network in place of a stack of layers."""

    def __init__(self, network: Network, always: bool) -> None:
        self.network, self._always = network, always

    def __call__(self, call: LayersCall) -> tuple[np.ndarray, States]:
        x, tokens, lengths, states, reset = call
        if not self._always and (states is not None or reset is not None):
            raise InputError(
                "patched: an edit of some steps counts from the beginning of a text, which is read "
                "in pieces here: measure it with recurra.inspect.gates(patched, text), or edit "
                "every step"
            )
        if reset is not None:
            raise InputError("patched: expected no resets where values are edited")
        ran = self.network.run(x, tokens, lengths=lengths, states=states, look=False)
        return ran.outputs, ran.states


class PatchedLayer:
    """A torch layer with edits; see `patched`. Its weights are the layer's own tensors."""

    def __init__(self, layer: Any, edits: Sequence[Edit]) -> None:
        self.layer = layer
        names = [p.name for p in layer.program.parameters]
        directions = 2 if layer.bidirectional else 1
        self._made = _makers(layer.program, layer.num_layers, directions, edits)
        self._names = [
            {n: f"{n}_l{k}{'_reverse' if back else ''}" for n in names}
            for k in range(layer.num_layers)
            for back in range(directions)
        ]

    def __call__(self, input: Any, hx: Any = None) -> Any:
        """As the layer in evaluation: (T, B, I) or in its layout; outputs and final states."""
        from recurra.nn.arguments import MERGES, states_of
        from recurra.nn.sequences import Sequences
        from recurra.nn.state import initial_states

        layer = self.layer
        batch = Sequences.read(
            input,
            features=layer.input_size,
            batch_first=layer.batch_first,
            lengths=None,
            mask=None,
            name="patched",
        )
        x: Any = batch.data
        states = initial_states(
            layer,
            None if hx is None else states_of(hx, layer.cell.states, "patched"),
            x,
            unbatched=batch.unbatched,
        )
        directions, ended = 2 if layer.bidirectional else 1, []
        further = layer.program.further
        for number in range(layer.num_layers):
            sides = []
            for back in range(directions):
                k = number * directions + back
                own = {n: getattr(layer, full) for n, full in self._names[k].items()}
                run = self._made.get(k, Interpreter)(layer.program, own).run(
                    x,
                    [s[k] for s in states],
                    valid=batch.valid,
                    reverse=layer.reverse or back == 1,
                    keep=list(layer.zoneout) if any(layer.zoneout) else None,
                )
                sides.append(run.outputs)
                ended.append([s.unsqueeze(0) for s in run.states])
            outputs = MERGES[layer.merge](*sides) if len(sides) > 1 else sides[0]
            if layer.residual and number:
                outputs = outputs + x[..., : outputs.shape[-1]]
            if further and number < layer.num_layers - 1:
                import torch

                outputs = torch.cat((outputs, x[..., x.shape[-1] - further :]), -1)
            x = outputs
        import torch

        final = tuple(torch.cat(s) for s in zip(*ended, strict=True))
        written = batch.write(x)
        if batch.unbatched:
            final = tuple(s.squeeze(1) for s in final)
        return written, final[0] if len(final) == 1 else final


def _edited(network: Network, edits: Sequence[Edit]) -> Network:
    made = _makers(network.program, network.layers, network.directions, edits)
    return network.edited(made)


def _makers(
    program: Any, layers: int, directions: int, edits: Sequence[Edit]
) -> dict[int, Callable[..., Interpreter]]:
    """By layer and direction what makes its interpreter of a program and parameters."""
    known = [name for name, _ in program.visible]
    chosen: dict[int, list[Edit]] = {}
    for edit in edits:
        if not isinstance(edit.layer, int) or not 0 <= edit.layer < layers:
            raise InputError(
                f"patched: layer: expected a number from 0 to {layers - 1}, received "
                f"{brief(edit.layer)}"
            )
        if edit.name not in known:
            raise InputError(
                f"patched: expected a name among {', '.join(known)}, received {brief(edit.name)}"
            )
        if edit.reverse and directions == 1:
            raise InputError("patched: reverse: the layers read in one direction: leave it out")
        chosen.setdefault(edit.layer * directions + int(edit.reverse), []).append(edit)

    def maker(own: list[Edit]) -> Callable[..., Interpreter]:
        return lambda program, weights: _EditingInterpreter(program, weights, own)

    return {k: maker(own) for k, own in chosen.items()}


class _EditingInterpreter(Interpreter):
    """The reference with named nodes edited; all that reads an edited node is computed by step."""

    def __init__(self, program: Any, parameters: Mapping[str, Array], edits: list[Edit]) -> None:
        super().__init__(program, parameters)
        nodes = dict(self.program.visible)
        self._edits: dict[int, list[Edit]] = {}
        for edit in edits:
            self._edits.setdefault(nodes[edit.name], []).append(edit)
        # What depends on an edited node cannot be computed for all steps before the loop.
        late: set[int] = set(self._stepped)
        for index, node in enumerate(self.program.nodes):
            if any(a in self._edits or a in late for a in node.args):
                late.add(index)
        self._constants = {i: v for i, v in self._constants.items() if i not in late}
        self._over_time = [i for i in self._over_time if i not in late]
        self._stepped = tuple(sorted(late))
        read = {a for i in self._stepped for a in self.program.nodes[i].args}
        read |= set(self.program.next) | {index for _, index in self.program.visible}
        self._read_later = [i for i in self._over_time if i in read]
        self._order: list[int] = []
        self._at = -1

    def run(self, x: Array, states: Sequence[Array], **options: Any) -> Any:
        """See `Interpreter.run`."""
        count = x.shape[0]
        self._order = list(range(count))
        if options.get("reverse"):
            self._order.reverse()
        self._at = -1
        return super().run(x, states, **options)

    def step(
        self, hoisted: Mapping[int, Array], states: Sequence[Array], recurrent_mask: Array | None
    ) -> list[Array]:
        """See `Interpreter.step`."""
        self._at += 1
        self._batch = states[-1]
        own = {**self._constants, **hoisted}
        own.update({i: self._applied(i, own[i]) for i in self._edits if i in own})
        return super().step(own, states, recurrent_mask)

    def _compute(
        self, index: int, node: Any, values: list[Array], x: Array, mask: Array | None
    ) -> Array:
        value = super()._compute(index, node, values, x, mask)
        if x is not None or index not in getattr(self, "_edits", ()) or index not in self._stepped:
            return value
        return self._applied(index, value)

    def _applied(self, index: int, value: Array) -> Array:
        if value.ndim == 1:  # the same for every row so far
            value = value + 0 * self._batch[:, :1]
        for edit in self._edits[index]:
            value = edit.function(self._order[self._at], value)
        return value


def _set(v: Array, units: Sequence[int], value: Any) -> Array:
    """A copy of v (B, H) with some units replaced."""
    made = v.copy() if isinstance(v, np.ndarray) else v.clone()
    made[..., list(units)] = _like(value, v)
    return made


def _like(value: Any, v: Array) -> Array:
    if isinstance(v, np.ndarray):
        if hasattr(value, "detach"):
            value = value.detach().numpy()
        wanted = np.asarray(value, v.dtype)
        whole = wanted.ndim and wanted.shape[-1] == v.shape[-1]
        return np.broadcast_to(wanted, v.shape).copy() if whole else wanted
    import torch

    given = torch.as_tensor(np.asarray(value)) if not hasattr(value, "detach") else value
    given = given.to(v)
    return given.expand_as(v) if given.dim() and given.shape[-1] == v.shape[-1] else given
