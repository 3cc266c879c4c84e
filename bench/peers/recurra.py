"""Recurra: `recurra.nn`'s layers over torch, and the layers of the runtime without torch."""

from functools import partial

import numpy as np
import torch

import bench.peers.torch as with_torch
from bench.peers import Forms, Job, threads
from bench.work import OPTIONS, PARAMETERS, TAKEN, Numbers, Work
from recurra import native, nn
from recurra.cells import find
from recurra.runtime.layer import KernelLayer


def forms(spec: dict) -> Forms:
    """Return the layer, and what runs without torch for inference; an option of the LSTM."""
    option = spec.pop("option", None)
    work = Work(**spec)
    if option:
        return {option: partial(_option, work, option)}
    name = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}[work.cell]
    found: Forms = {}
    if work.kind != "step":
        found[f"nn.{name}"] = partial(with_torch.layer, work, getattr(nn, name))
    if work.kind == "inference":
        found["runtime"] = partial(_runtime, work)
    if work.kind == "step":
        for count in sorted({1, threads()}):
            label = f"{count} thread{'s' if count > 1 else ''}"
            found[f"native.Stepper, {label}"] = partial(_step, work, count)
    return found


def _runtime(work: Work) -> Job:
    numbers = work.numbers()
    program = find(work.cell).program()
    layer = KernelLayer(program, {n: numbers[n] for n in PARAMETERS}, ())
    states = tuple(np.zeros((work.batch, work.hidden), np.float32) for _ in program.states)

    def run() -> np.ndarray:
        return layer.run(numbers["x"], states, None)[0]

    return Job(run, lambda: {"y": run()})


def _step(work: Work, count: int) -> Job:
    numbers = work.numbers()
    program = find(work.cell).program()
    stepper = native.Stepper(program, [numbers[n] for n in PARAMETERS], threads=count)
    step, x = stepper.step, numbers["x"][0]

    def result() -> Numbers:
        stepper.states = [np.zeros((1, work.hidden), np.float32) for _ in program.states]
        for _ in range(TAKEN):
            h = step(x)
        return {"h": np.array(h)}

    return Job(lambda: step(x), result)


def _option(work: Work, option: str) -> Job:
    size = work.hidden
    projected = size // 2 if option == "projection" else 0
    layer = nn.LSTM(size, size, proj_size=projected, **OPTIONS[option])
    numbers = work.numbers()
    x = torch.from_numpy(numbers["x"]).requires_grad_()
    dy = torch.from_numpy(numbers["dy"])[..., : projected or size].contiguous()
    given = {}
    if option == "ragged lengths":
        shares = np.random.default_rng(1).integers(work.steps // 2, work.steps + 1, work.batch)
        given = {"lengths": torch.from_numpy(shares)}
    leaves = [x, *layer.parameters()]

    def train() -> list[torch.Tensor]:
        y = layer(x, **given)[0]
        return [y, *torch.autograd.grad(y, leaves, dy)]

    return Job(train, lambda: {"y": train()[0].detach().numpy()})
