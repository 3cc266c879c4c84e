"""Time the kernels beside torch's own layers, interleaved: `python -m bench.kernels`.

Medians of repetitions in one process, and the geometric mean of the ratios. FLOPs count products
alone: 2 · T · B · G · H · (I + H) forward, twice as many backward.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from recurra import native, ops  # noqa: F401
from recurra.cells import definition

GRID = (
    (1, 100, 64),
    (1, 100, 512),
    (32, 10, 64),
    (32, 35, 200),
    (20, 35, 650),
    (64, 128, 256),
    (64, 128, 512),
)
OPTIONS = ("norm", "peephole", "projection", "lengths", "dropout", "zoneout")


class Layer:
    """One layer of a cell, to be run by the kernels or by torch."""

    def __init__(
        self, cell: str, batch: int, steps: int, hidden: int, *, threads: int, option: str = ""
    ) -> None:
        on = {option: True} if option in ("norm", "peephole", "projection") else {}
        program = definition.find(cell).program(**on)
        gates, states = len(program.gates), len(program.states)
        sizes = {"gates": gates, "inputs": hidden, "hidden": hidden}
        self.parameters = [
            torch.randn(p.shape(**sizes, projection=hidden)) * hidden**-0.5
            for p in program.parameters
        ]
        self.x = torch.randn(steps, batch, hidden)
        self.dy = torch.randn(steps, batch, hidden)
        self.initial = [torch.zeros(batch, hidden) for _ in range(states)]
        valid = None
        if option == "lengths":
            lengths = torch.randint(steps // 2, steps + 1, (batch,))
            valid = torch.arange(steps)[:, None] < lengths
        keep: list[Tensor] = []
        if option == "zoneout":
            keep = [(torch.rand(steps, batch, hidden) < 0.1).float() for _ in range(states)]
        mask = torch.ones(batch, hidden) if option == "dropout" else None
        self.inputs = native.Inputs(
            program, self.x, self.parameters, self.initial, valid, mask, keep, False, threads
        )
        self.last = [torch.empty(batch, hidden) for _ in range(states)]
        self.flop = 2 * steps * batch * gates * hidden * 2 * hidden
        self.module = getattr(torch.nn, cell.upper())(hidden, hidden)
        self.leaf = self.x.clone().requires_grad_()

    def train(self) -> None:
        """Forward and backward by the kernels, outputs allocated as an operator would."""
        saved = native.empty(native.saved_size(self.inputs))
        y = torch.from_numpy(native.empty(*self.x.shape))
        dx = torch.from_numpy(native.empty(*self.x.shape))
        native.forward(self.inputs, y, self.last, saved=saved)
        native.backward(
            self.inputs,
            y,
            saved,
            self.dy,
            [None] * len(self.last),
            dx=dx,
            dparameters=[torch.zeros_like(p) for p in self.parameters],
            dinitial=[None] * len(self.last),
        )

    def infer(self) -> None:
        """Forward alone by the kernels."""
        y = torch.from_numpy(native.empty(*self.x.shape))
        native.forward(self.inputs, y, self.last)

    def train_torch(self) -> None:
        """Forward and backward by torch."""
        self.module.zero_grad()
        self.leaf.grad = None
        outputs, _ = self.module(self.leaf)
        outputs.backward(self.dy)

    def infer_torch(self) -> None:
        """Forward alone by torch."""
        with torch.no_grad():
            self.module(self.x)


def medians(
    calls: list[Callable[[], None]],
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the median time of each call by a clock, taken in turns."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, found in zip(calls, times, strict=True):
            start = clock()
            call()
            found.append(clock() - start)
    return [statistics.median(found) for found in times]


def steps(seconds: float, threads: int) -> None:
    """Print the time of one step of one stream, from Python."""
    for cell in ("rnn", "gru", "lstm"):
        for hidden in (64, 256, 512, 1024):
            layer = Layer(cell, 1, 1, hidden, threads=1 if hidden < 256 else threads)
            stepper = native.Stepper(
                layer.inputs.program, layer.parameters, threads=layer.inputs.threads
            )
            x = layer.x[0].numpy()
            ours, theirs = medians(
                [lambda s=stepper, x=x: s.step(x), layer.infer_torch], seconds=seconds
            )
            print(
                f"{cell} step H={hidden}: {ours * 1e6:.1f} us, torch {theirs * 1e6:.1f} us, "
                f"x{theirs / ours:.1f}",
                flush=True,
            )


def main() -> None:
    """Print a line a grid point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each grid point")
    parser.add_argument("--cells", default="rnn,gru,lstm")
    parser.add_argument("--points", default="", help="rows of the grid, e.g. 0,3")
    parser.add_argument("--options", action="store_true", help="the LSTM's options, not torch")
    parser.add_argument("--steps", action="store_true", help="one step of one stream")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    grid = [GRID[int(p)] for p in options.points.split(",")] if options.points else GRID
    if options.steps:
        return steps(options.seconds, options.threads)
    if options.options:
        for point in grid:
            layers = [
                Layer("lstm", *point, threads=options.threads, option=o) for o in ("", *OPTIONS)
            ]
            plain, *others = medians([layer.train for layer in layers], seconds=options.seconds)
            ratios = ", ".join(
                f"{o} x{t / plain:.2f}" for o, t in zip(OPTIONS, others, strict=True)
            )
            print(f"lstm {point}: {plain * 1e3:.2f} ms; {ratios}", flush=True)
        return None
    for cell in options.cells.split(","):
        training, inference = [], []
        for point in grid:
            layer = Layer(cell, *point, threads=options.threads)
            ours, theirs, infer, infer_theirs = medians(
                [layer.train, layer.train_torch, layer.infer, layer.infer_torch],
                seconds=options.seconds,
            )
            training.append(theirs / ours)
            inference.append(infer_theirs / infer)
            print(
                f"{cell} {point}: forward+backward {ours * 1e3:.2f} ms "
                f"({3 * layer.flop / ours / 1e9:.0f} GFLOP/s), torch {theirs * 1e3:.2f} ms, "
                f"x{training[-1]:.2f}; inference {infer * 1e3:.3f} ms "
                f"({layer.flop / infer / 1e9:.0f}), torch {infer_theirs * 1e3:.3f} ms, "
                f"x{inference[-1]:.2f}",
                flush=True,
            )
        means = [math.exp(statistics.fmean(map(math.log, r))) for r in (training, inference)]
        print(f"{cell}: geometric means x{means[0]:.2f} training, x{means[1]:.2f} inference")
    return None


if __name__ == "__main__":
    main()
