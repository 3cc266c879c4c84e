"""The loop over time by torch's operations, where no kernel can be compiled: one mask a gate.

It runs any activation, and a dropout mask for each gate. What a step computes forward and backward
is the cell's own derivative (`recurra.cells.derive`), run node by node: autograd would take longer
to record a step than torch takes to compute it.
"""

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells import Program
from recurra.cells.derive import derive

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softsign": functional.softsign,
    # Beyond its threshold torch's is the identity; its default, 20, shows in float64.
    "softplus": lambda v: functional.softplus(v, threshold=40.0),
    "exp": torch.exp,
    "hard_sigmoid": functional.hardsigmoid,
    "softsign_slope": lambda x: (x.abs() + 1).reciprocal().square(),
    "softplus_slope": lambda y: torch.expm1(y.neg()).neg(),
    "positive": lambda v: (v > 0).to(v.dtype),
    "inside": lambda v: ((v > 0) & (v < 1)).to(v.dtype),
}


class Call(NamedTuple):
    """What is computed, and from what; gates are in the order of the program.

    Attributes:
        program: the cell; without norm, peepholes and projection.
        x: the input's part of each gate, with its bias, (G, T, B, H).
        u: recurrent weights (G, H, H): the part of h in gate g is `h @ u[g]`.
        bias: of the recurrent products (G, H), or None.
        states: initial states (B, H).
        masks: factors (G, B, H) on what enters each gate's recurrent product, or None.
        valid: booleans (T, B), which steps count, or None.
        reverse: from the last step to the first.
    """

    program: Program
    x: Tensor
    u: Tensor
    bias: Tensor | None
    states: Sequence[Tensor]
    masks: Tensor | None
    valid: Tensor | None
    reverse: bool

    @property
    def order(self) -> range:
        """Steps, in the order in which they are taken."""
        steps = self.x.shape[1]
        return range(steps - 1, -1, -1) if self.reverse else range(steps)


def gatewise(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one direction of a layer; return outputs (T, B, H), zero where not valid, and states."""
    fixed = call.program, call.masks, call.valid, call.reverse
    outputs, *states = _Gatewise.apply(fixed, call.x, call.u, call.bias, *call.states)
    return outputs, tuple(states)


class _Gatewise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, fixed: tuple[Any, ...], x: Tensor, u: Tensor, bias: Tensor | None, *states: Tensor
    ) -> tuple[Tensor, ...]:
        outputs, ended, ctx.kept = _forward(_call(fixed, x, u, bias, *states))
        ctx.fixed = fixed
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, u, bias, *states)
        return (outputs, *(s.clone() for s in ended))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        call = _call(ctx.fixed, *ctx.saved_tensors)
        if torch.is_grad_enabled():
            return None, *_again(call, gradients, ctx.needs_input_grad[1:])
        return None, *_backward(call, ctx.kept, gradients)


def _call(
    fixed: tuple[Any, ...], x: Tensor, u: Tensor, bias: Tensor | None, *states: Tensor
) -> Call:
    program, masks, valid, reverse = fixed
    return Call(program, x, u, bias, states, masks, valid, reverse)


def _again(
    call: Call, gradients: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients that can be differentiated in turn: the steps once more, seen by autograd."""
    outputs, states, _ = _forward(call)
    pairs = [(o, g) for o, g in zip((outputs, *states), gradients, strict=True) if g is not None]
    leaves = [call.x, call.u, call.bias, *call.states]
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            [v for v, w in zip(leaves, wanted, strict=True) if w and v is not None],
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if w else None for w in wanted]


class _Equations:
    """A program's derivative, as lists to run through.

    Attributes:
        products: the recurrent products of a step, with the numbers of their gates.
        sums: by product, the nodes that add the input's parts to its own, where nothing else reads
            either; None where that is not so for all products.
        targets: by product, the nodes that take its parts.
        constants: by index.
        forward, backward: indices to compute at each step, in order.
        hoisted: those of the backward half that read forward values alone: computed for all steps.
        kept: forward values that the backward half reads.
    """

    def __init__(self, program: Program) -> None:
        step = derive(program)
        self.step, self.nodes = step, step.graph.nodes
        self.products = [(p, [program.gates.index(g) for g in p.gates]) for p in step.products]
        self.first = {min(p.outputs): n for n, p in enumerate(step.products)}
        self.constants = {i: n.value for i, n in enumerate(self.nodes) if n.op == "constant"}
        self.inputs = list(step.inputs.values())
        self.shared = [list(p.gradients) for p in step.products] == [self.inputs]
        self.fresh = list(step.fresh.values())
        roots = [*self.inputs, *step.direct.values()]
        roots += [g for p in step.products for g in p.gradients]
        needed = sorted(i for i in self._needed(roots) if i not in self.constants)
        known = {*range(step.forward), *self.constants}
        self.hoisted = [i for i in needed if self._reads_only(i, known)]
        self.backward = [i for i in needed if i not in self.hoisted]
        read = {a for i in needed for a in self.nodes[i].args} | set(roots)
        read |= {p.argument for p in step.products}
        self.kept = sorted(i for i in read if i < step.forward and i not in self.constants)
        self.sums = self._sums()
        self.targets = self.sums or [list(p.outputs) for p in step.products]
        left_out = {*self.constants, *(i for sums in self.sums or () for i in sums)}
        if self.sums:
            left_out |= {i for i, n in enumerate(self.nodes) if n.op == "x"}
        self.forward = [i for i in range(step.forward) if i not in left_out]

    def _needed(self, roots: list[int]) -> set[int]:
        found: set[int] = set()
        pending = list(roots)
        while pending:
            index = pending.pop()
            if index >= self.step.forward and index not in found:
                found.add(index)
                pending += self.nodes[index].args
        return found

    def _reads_only(self, index: int, known: set[int]) -> bool:
        node = self.nodes[index]
        found = node.op not in ("grad", "ut") and known.issuperset(node.args)
        if found:
            known.add(index)
        return found

    def _sums(self) -> list[list[int]] | None:
        nodes = self.nodes[: self.step.forward]
        found = []
        for product, _ in self.products:
            sums = []
            for gate, output in zip(product.gates, product.outputs, strict=True):
                readers = [i for i, n in enumerate(nodes) if output in n.args]
                if len(readers) != 1 or nodes[readers[0]].op != "add":
                    return None
                (other,) = (a for a in nodes[readers[0]].args if a != output)
                also = [i for i, n in enumerate(nodes) if other in n.args]
                if nodes[other].op != "x" or nodes[other].name != gate or len(also) != 1:
                    return None
                sums.append(readers[0])
            found.append(sums)
        return found

    def blank(self) -> list[Any]:
        """Return a place for every value, with the constants in theirs."""
        values: list[Any] = [None] * len(self.nodes)
        for index, value in self.constants.items():
            values[index] = value
        return values


@lru_cache(maxsize=64)
def _equations(program: Program) -> _Equations:
    return _Equations(program)


class _Products:
    """The recurrent products of a call: forward, and the gradient of their argument."""

    def __init__(self, call: Call, equations: _Equations) -> None:
        self.masks: list[Tensor | None] = []
        self.weights, self.gates = [], []
        for _, gates in equations.products:
            every = gates == list(range(len(call.u)))
            self.gates.append(slice(None) if every else gates)
            self.weights.append(call.u if every else call.u[gates])
            masks = call.masks
            self.masks.append(masks if masks is None or every else masks[gates])

    def of(self, number: int, argument: Tensor, addend: Tensor | None) -> Sequence[Tensor]:
        """Return the part of the argument (B, H) in each of the product's gates.

        The addend, (G, B, H) or (G, 1, H) for all gates of the program, is added to it.
        """
        weights, mask = self.weights[number], self.masks[number]
        spread = argument.expand(len(weights), -1, -1) if mask is None else argument * mask
        if addend is None:
            return torch.bmm(spread, weights).unbind()
        return torch.baddbmm(addend[self.gates[number]], spread, weights).unbind()

    def back(self, number: int, gradients: Tensor) -> Tensor:
        """Return dL/d(argument) (B, H) from that of the gates (G, B, H)."""
        found = torch.bmm(gradients, self.weights[number].transpose(1, 2))
        mask = self.masks[number]
        return (found if mask is None else found.mul_(mask)).sum(0)


def _forward(call: Call) -> tuple[Tensor, Sequence[Tensor], list[list[Tensor]]]:
    """Return outputs, final states, and by step what the backward pass reads."""
    equations = _equations(call.program)
    products, nodes = _Products(call, equations), equations.nodes
    names = {name: k for k, name in enumerate(call.program.states)}
    gates = {name: k for k, name in enumerate(call.program.gates)}
    bias = None if call.bias is None else call.bias[:, None]
    if equations.sums is not None:  # the input's parts are added by the product itself
        inputs = (call.x if bias is None else call.x + bias[:, None]).unbind(1)
    else:
        inputs = call.x.unbind(1)
    states = list(call.states)
    valid = None if call.valid is None else call.valid[..., None].unbind()
    outputs: list[Tensor] = [call.x[0, 0]] * len(inputs) if len(inputs) else []
    kept: list[list[Tensor]] = [[]] * len(inputs)
    for t in call.order:
        values, x = equations.blank(), inputs[t]
        addend = bias if equations.sums is None else x
        for index in equations.forward:
            node = nodes[index]
            if node.op == "u":
                if index in equations.first:
                    number = equations.first[index]
                    argument = values[equations.products[number][0].argument]
                    parts = products.of(number, argument, addend)
                    for target, part in zip(equations.targets[number], parts, strict=True):
                        values[target] = part
            elif node.op == "x":
                values[index] = x[gates[node.name]]
            elif node.op == "old":
                values[index] = states[names[node.name]]
            else:
                values[index] = _OPERATIONS[node.op](*[values[a] for a in node.args])
        fresh = [values[i] for i in equations.fresh]
        outputs[t] = fresh[0]
        if valid is not None:
            states = [torch.where(valid[t], n, o) for n, o in zip(fresh, states, strict=True)]
            outputs[t] = torch.where(valid[t], fresh[0], 0.0)
        else:
            states = fresh
        kept[t] = [values[i] for i in equations.kept]
    if not outputs:
        return call.x.new_zeros(0, *call.states[0].shape), states, kept
    return torch.stack(outputs), states, kept


def _backward(
    call: Call, kept: list[list[Tensor]], gradients: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients by x, u, the bias and each initial state."""
    equations = _equations(call.program)
    products = _Products(call, equations)
    steps, batch, hidden = call.x.shape[1:]
    dy, *dlast = gradients
    pairs = zip(call.states, dlast, strict=True)
    flows = [torch.zeros_like(s) if d is None else d for s, d in pairs]
    if not steps:
        zeros = [None if v is None else torch.zeros_like(v) for v in (call.x, call.u, call.bias)]
        return [*zeros, *flows]
    dgates = [call.x.new_empty(steps, len(gates), batch, hidden) for _, gates in equations.products]
    dx = dgates[0] if equations.shared else call.x.new_empty(steps, len(call.u), batch, hidden)
    known = _known(equations, kept)
    by_step = [(i, v.unbind() if isinstance(v, Tensor) else None) for i, v in known.items()]
    for t in reversed(call.order):
        flows, waiting = list(flows), flows
        if dy is not None:
            flows[0] = flows[0] + dy[t]
        if call.valid is not None:  # elsewhere outputs are zero, and states wait
            here = call.valid[t][:, None]
            flows = [torch.where(here, f, 0.0) for f in flows]
            waiting = [torch.where(here, 0.0, w) for w in waiting]
        values = equations.blank()
        for index, value in by_step:
            values[index] = known[index] if value is None else value[t]
        flows = _step_back(equations, products, t, flows, values, dgates, dx)
        if call.valid is not None:
            flows = [f + w for f, w in zip(flows, waiting, strict=True)]
    du, dbias = call.u.new_empty(call.u.shape), call.u.new_empty(call.u.shape[:2])
    for number, (product, gates) in enumerate(equations.products):
        argument, mask = known[product.argument], products.masks[number]
        for k, gate in enumerate(gates):
            rows = (argument if mask is None else argument * mask[k]).flatten(0, 1)
            torch.mm(rows.T, dgates[number][:, k].reshape(-1, hidden), out=du[gate])
        dbias[gates] = dgates[number].sum((0, 2))
    return [dx.transpose(0, 1), du, None if call.bias is None else dbias, *flows]


def _known(equations: _Equations, kept: list[list[Tensor]]) -> dict[int, Any]:
    """Return by index what the backward pass can know before it begins, for all steps (T, B, H)."""
    values = equations.blank()
    for index, found in zip(equations.kept, zip(*kept, strict=True), strict=True):
        values[index] = torch.stack(found)
    for index in equations.hoisted:
        node = equations.nodes[index]
        values[index] = _OPERATIONS[node.op](*[values[a] for a in node.args])
    return {i: values[i] for i in (*equations.kept, *equations.hoisted)}


def _step_back(
    equations: _Equations,
    products: _Products,
    t: int,
    flows: list[Tensor],
    values: list[Any],
    dgates: list[Tensor],
    dx: Tensor,
) -> list[Tensor]:
    """Write step t of the gates' gradients; return dL/d(old states) from dL/d(new states)."""
    names = equations.step.program.states
    for index in equations.backward:
        node = equations.nodes[index]
        if node.op == "grad":
            values[index] = flows[names.index(node.name)]
        elif node.op == "ut":
            gates = torch.stack([values[a] for a in node.args])
            values[index] = products.back(int(node.value), gates)
        else:
            values[index] = _OPERATIONS[node.op](*[values[a] for a in node.args])
    if not equations.shared:
        torch.stack([values[g] for g in equations.inputs], out=dx[t])
    old = {name: values[index] for name, index in equations.step.direct.items()}
    for number, (product, _) in enumerate(equations.products):
        torch.stack([values[g] for g in product.gradients], out=dgates[number][t])
        argument = equations.nodes[product.argument]
        if argument.op == "old":
            found = products.back(number, dgates[number][t])
            old[argument.name] = old[argument.name] + found if argument.name in old else found
    return [old[name] for name in names]
