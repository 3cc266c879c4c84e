"""Time cells of a user's own beside the built-in LSTM, in turns: `python -m bench.own_cell`.

Each is compiled on first use, as anybody's would be. Times are divided by the products' FLOPs, so
that a cell with two gates is not half as slow for having half to do: 1.0 is the LSTM's speed.
"""

import argparse
import math
from functools import partial
from typing import Any

import torch

from bench.kernels import medians
from recurra import native
from recurra.cells import Program, cell, find, sigmoid, softplus, tanh
from recurra.nn import Recurrent


@cell(states="h c", gates="i f g o")
def own_lstm(x, u, h, c, opt):
    """The LSTM once more."""
    a = x + u(h)
    c = sigmoid(a.f) * c + sigmoid(a.i) * tanh(a.g)
    return dict(c=c, h=sigmoid(a.o) * tanh(c))


@cell(states="h c", gates="f g o")
def coupled(x, u, h, c, opt):
    """Input and forget gate in one."""
    a = x + u(h)
    f = sigmoid(a.f)
    c = f * c + (1 - f) * tanh(a.g)
    return dict(c=c, h=sigmoid(a.o) * tanh(c))


@cell(states="h", gates="f n")
def minimal_gated(x, u, h, opt):
    """Zhou et al. 2016: a product waits for another."""
    f = sigmoid(x.f + u(h).f)
    return dict(h=(1 - f) * h + f * tanh(x.n + u(f * h).n))


@cell(states="h m", gates="i f z o")
def exponential(x, u, h, m, opt):
    """Gates of no built-in cell."""
    a = x + u(h)
    m = sigmoid(a.f) * m + softplus(a.i) * tanh(a.z)
    return dict(m=m, h=sigmoid(a.o) * tanh(m))


CELLS = ("own_lstm", "coupled", "minimal_gated", "exponential")
GRID = ((1, 100, 64), (32, 35, 200), (64, 128, 256), (64, 64, 512))
STEPS = (64, 256, 512)


def layer(program: Program, batch: int, steps: int, hidden: int, threads: int) -> native.Inputs:
    """Arguments of a call with as many inputs as units, on as many threads as pay."""
    sizes = {"gates": len(program.gates), "inputs": hidden, "hidden": hidden}
    parameters = [torch.randn(p.shape(**sizes)) * hidden**-0.5 for p in program.parameters]
    initial = [torch.zeros(batch, hidden) for _ in program.states]
    x = torch.randn(steps, batch, hidden)
    return native.Inputs(program, x, parameters, initial, threads=-threads)


def train(inputs: native.Inputs) -> None:
    """Forward and backward by the kernels, outputs allocated as an operator would."""
    saved = native.empty(native.saved_size(inputs))
    y = torch.from_numpy(native.empty(*inputs.x.shape))
    dx = torch.from_numpy(native.empty(*inputs.x.shape))
    native.forward(inputs, y, [None] * len(inputs.initial), saved=saved)
    native.backward(
        inputs,
        y,
        saved,
        y,
        [None] * len(inputs.initial),
        dx=dx,
        dparameters=[torch.zeros_like(p) for p in inputs.parameters],
        dinitial=[None] * len(inputs.initial),
    )


def train_layer(module: Recurrent, x: torch.Tensor) -> None:
    """Forward and backward of a module."""
    module.zero_grad()
    module(x)[0].sum().backward()


def measure(*, threads: int | None = None, seconds: float = 1.0) -> list[dict[str, Any]]:
    """Return a row for each cell and size: `ratio` is to the LSTM's time for as many products."""
    threads = threads or torch.get_num_threads()
    programs = {name: find(name).program() for name in ("lstm", *CELLS)}
    gates = {name: len(program.gates) for name, program in programs.items()}
    rows: list[dict[str, Any]] = []

    def add(what: str, times: list[float]) -> None:
        lstm, *others = times
        for name, time in zip(list(programs)[1:], others, strict=True):
            ratio = time / lstm * gates["lstm"] / gates[name]
            found = {"lstm": round(lstm * 1e6, 1), "own": round(time * 1e6, 1)}
            rows.append(
                {"what": f"{name}, {what}", "unit": "us", **found, "ratio": round(ratio, 3)}
            )

    for batch, steps, hidden in GRID:
        size = f"{batch}×{steps}×{hidden}"
        layers = [layer(p, batch, steps, hidden, threads) for p in programs.values()]
        calls = [partial(train, inputs) for inputs in layers]
        add(f"kernels, {size}", medians(calls, seconds=seconds))
        modules = [Recurrent(name, hidden, hidden) for name in programs]
        calls = [partial(train_layer, module, layers[0].x) for module in modules]
        add(f"layer, {size}", medians(calls, seconds=seconds))
    for hidden in STEPS:
        x = torch.randn(1, hidden).numpy()
        steppers = [
            native.Stepper(program, layer(program, 1, 1, hidden, 1).parameters)
            for program in programs.values()
        ]
        calls = [partial(stepper.step, x) for stepper in steppers]
        add(f"one step, {hidden}", medians(calls, seconds=seconds))
    return rows


def main() -> None:
    """Print a line a row, and geometric means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each size")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = measure(threads=options.threads, seconds=options.seconds)
    for row in rows:
        print(f"{row['what']}: {row['own']:,} us, the LSTM's {row['lstm']:,}; x{row['ratio']:.2f}")
    for name in CELLS:
        ratios = [row["ratio"] for row in rows if row["what"].startswith(f"{name},")]
        mean, worst = math.exp(sum(map(math.log, ratios)) / len(ratios)), max(ratios)
        print(f"{name}: x{mean:.2f} of the LSTM's time, at most x{worst:.2f}")


if __name__ == "__main__":
    main()
