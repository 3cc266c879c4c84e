"""`torch.nn.RNN`, `GRU`, `LSTM`, and their cells for single steps."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from bench.peers import Forms, Job, threads
from bench.work import PARAMETERS, TAKEN, Numbers, Work

torch.set_num_threads(threads())


def forms(spec: dict) -> Forms:
    """Return the layer; for a step the cell, too, and each on one thread."""
    work = Work(**spec)
    name = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}[work.cell]
    if work.kind != "step":
        return {f"nn.{name}": partial(layer, work, getattr(nn, name))}
    found: Forms = {}
    for count in sorted({1, threads()}):
        label = f"{count} thread{'s' if count > 1 else ''}"
        found[f"nn.{name}, {label}"] = partial(_step, work, getattr(nn, name), count)
        found[f"nn.{name}Cell, {label}"] = partial(_step, work, getattr(nn, name + "Cell"), count)
    return found


def layer(work: Work, make: Callable[..., nn.Module]) -> Job:
    """A layer of `torch.nn`'s interface, over a whole sequence."""
    numbers = work.numbers()
    module = make(work.hidden, work.hidden)
    _load(module, numbers)
    x, dy = torch.from_numpy(numbers["x"]), torch.from_numpy(numbers["dy"])
    if work.kind == "inference":
        module.eval()

        def infer() -> Tensor:
            with torch.inference_mode():
                return module(x)[0]

        return Job(infer, lambda: {"y": infer().numpy()})
    x.requires_grad_()
    leaves = [x, *(getattr(module, f"{name}_l0") for name in PARAMETERS)]

    def train() -> list[Tensor]:
        y = module(x)[0]
        return [y, *torch.autograd.grad(y, leaves, dy)]

    def result() -> Numbers:
        found = zip(("y", "dx", *PARAMETERS), train(), strict=True)
        return {name: value.detach().numpy() for name, value in found}

    return Job(train, result)


def _step(work: Work, make: Callable[..., nn.Module], count: int) -> Job:
    numbers = work.numbers()
    module = make(work.hidden, work.hidden).eval()
    _load(module, numbers)
    cell = isinstance(module, nn.RNNCellBase)
    x = torch.from_numpy(numbers["x"])
    x = x[0] if cell else x
    zeros = torch.zeros(1, work.hidden) if cell else torch.zeros(1, 1, work.hidden)
    start = (zeros, zeros) if work.cell == "lstm" else zeros
    state = start

    def run() -> None:
        nonlocal state
        torch.set_num_threads(count)
        with torch.inference_mode():
            state = module(x, state) if cell else module(x, state)[1]

    def result() -> Numbers:
        nonlocal state
        state = start
        for _ in range(TAKEN):
            run()
        h = state[0] if work.cell == "lstm" else state
        return {"h": h.reshape(1, -1).numpy().copy()}

    return Job(run, result)


def _load(module: nn.Module, numbers: Numbers) -> None:
    suffix = "" if isinstance(module, nn.RNNCellBase) else "_l0"
    with torch.no_grad():
        for name in PARAMETERS:
            getattr(module, name + suffix).copy_(torch.from_numpy(numbers[name]))
