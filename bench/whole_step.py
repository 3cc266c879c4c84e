"""Whole training steps of language models against the same models written by hand in torch.

`python -m bench.whole_step` prints medians of interleaved repetitions in one process, the peak
memory of each side in a process of its own, and where the time goes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.figures import highest
from recurra import native, ops
from recurra.nn import LSTM
from recurra.tasks.language_model.network import RecurrentLM
from recurra.text import Batch, StreamBatches
from recurra.train import TrainConfig
from recurra.train.distributed import World
from recurra.train.step import Step

STEPS = 50  # of text, after which it begins again


@dataclass(frozen=True)
class Size:
    """V, E, H, layers, B and T of a model and its batches; plain steps a repetition."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    batch: int
    bptt: int
    tied: bool
    steps: int


SIZES = {
    "char": Size(65, 128, 256, 1, 32, 64, False, 5),
    "word": Size(33_278, 200, 200, 2, 20, 35, True, 1),
}


def batches(size: Size) -> StreamBatches:
    """Random tokens: there is nothing to learn in them, but as much to do."""
    ids = torch.randint(
        size.vocabulary,
        (size.batch * size.bptt * STEPS + 1,),
        generator=torch.Generator().manual_seed(0),
    )
    return StreamBatches(ids.numpy(), batch=size.batch, bptt=size.bptt, seed=0, epoch=0)


class ByHand(nn.Module):
    """What one would write."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size.vocabulary, size.embedding)
        self.rnn = nn.LSTM(size.embedding, size.hidden, size.layers)
        self.head = nn.Linear(size.hidden, size.vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if size.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: object) -> tuple[Tensor, object]:
        """Tokens (T, B) to logits (T, B, V)."""
        outputs, state = self.rnn(self.embedding(tokens), state)
        return self.head(outputs), state


class Model:
    """Our model, as `recurra.train.Task` describes it."""

    def __init__(self, size: Size, precision: str = "float32") -> None:
        rnn = LSTM(size.embedding, size.hidden, size.layers, precision=precision)
        self.module = RecurrentLM(size.vocabulary, rnn, embedding=size.embedding, tied=size.tied)

    def loss(self, batch: Batch, state: object) -> tuple[Tensor, int, object]:
        """See `recurra.train.Task`."""
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        total, state = self.module(inputs, targets, state=state)
        return total, batch.count, state


def ours(size: Size, precision: str = "float32") -> Callable[[int], None]:
    """A step on the batch of that number, as the training loop makes it."""
    model, found, state = Model(size, precision), batches(size), None
    step = Step(model, TrainConfig(lr=1e-3), World())

    def run(n: int) -> None:
        nonlocal state
        figures, _, state = step(found[n % len(found)], state, 1e-3)
        figures.tolist()

    return run


def by_hand(size: Size) -> Callable[[int], None]:
    """The same step in plain torch."""
    model, found, state = ByHand(size), batches(size), None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run(n: int) -> None:
        nonlocal state
        batch = found[n % len(found)]
        inputs, targets = torch.from_numpy(batch.inputs).T, torch.from_numpy(batch.targets).T
        logits, state = model(inputs, state if batch.carry else None)
        state = tuple(s.detach() for s in state)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    return run


SIDES = {"recurra": ours, "torch by hand": by_hand}


def measure(
    names: tuple[str, ...] = tuple(SIZES), seconds: float = 20.0
) -> list[dict[str, object]]:
    """Return rows for each model: tokens per second of both sides, and their peak memory."""
    rows: list[dict[str, object]] = []
    for name in names:
        size = SIZES[name]
        what = f"whole training step, {name}: V {size.vocabulary:,}, {size.hidden} units"
        precisions = ("float32", "bf16") if native.half_products() else ("float32",)
        rows += [{"what": f"{what}, {p}", **_rates(size, p, seconds)} for p in precisions]
        peaks = {side: _peak(name, side) for side in SIDES}
        share = peaks["recurra"] / peaks["torch by hand"]
        rows.append(
            {"what": f"{what}, peak memory", "unit": "MB", **peaks, "ratio": round(share, 3)}
        )
    return rows


def _rates(size: Size, precision: str, seconds: float) -> dict[str, object]:
    pairs = _pairs(ours(size, precision), by_hand(size), size.steps, seconds)
    tokens = size.batch * size.bptt * size.steps
    rates = [tokens / statistics.median(times) for times in zip(*pairs, strict=True)]
    return {
        "unit": "tokens/s",
        **{side: round(rate) for side, rate in zip(SIDES, rates, strict=True)},
        "ratio": round(statistics.median(b / a for a, b in pairs), 3),
    }


def _pairs(
    first: Callable[[int], None], second: Callable[[int], None], steps: int, seconds: float
) -> list[tuple[float, float]]:
    """Times of some steps of both, in turns, the first of a pair alternating."""
    found: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    for turn in range(10_000):
        if turn > 6 and time.perf_counter() > end:
            break
        times = [0.0, 0.0]
        for side in (0, 1) if turn % 2 else (1, 0):
            begin = time.perf_counter()
            for n in range(steps):
                (first, second)[side](turn * steps + n)
            times[side] = time.perf_counter() - begin
        if turn > 1:  # the first rounds warm up
            found.append((times[0], times[1]))
    return found


def _peak(name: str, side: str) -> int:
    """Peak memory of a process that trains, in MB, the libraries included."""
    command = [sys.executable, "-m", "bench.whole_step", name, "--peak", side]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def profile(size: Size, rounds: int = 12) -> dict[str, list[float]]:
    """Medians of the milliseconds that each part of a step takes: ours, and torch's."""
    hand, model = ByHand(size), Model(size)
    updater = Step(model, TrainConfig(lr=1e-3), World()).updater
    optimizer = torch.optim.AdamW(hand.parameters(), lr=1e-3)
    found: dict[str, list[float]] = {}
    last = 0.0

    def tick(part: str) -> None:
        nonlocal last
        now = time.perf_counter()
        found.setdefault(part, []).append((now - last) * 1e3)
        last = now

    def parts(side: str, batch: Batch) -> None:
        nonlocal last
        native = side == "recurra"
        inputs, targets = torch.from_numpy(batch.inputs).T, torch.from_numpy(batch.targets).T
        chosen = model.module if native else hand
        weight = chosen.head.weight
        last = time.perf_counter()
        if native:
            rows, passed = ops.embedding(inputs, chosen.embedding.weight)
            weight = passed if size.tied else weight
        else:
            rows = chosen.embedding(inputs)
        rows.register_hook(lambda _: tick("layers, backward"))
        tick("embedding")
        outputs, _ = chosen.rnn(rows)
        outputs.register_hook(lambda _: tick("output and loss, backward"))
        tick("layers")
        flat, bias = outputs.flatten(0, 1), chosen.head.bias
        if native:
            loss = ops.token_losses(flat, weight, bias, targets.flatten()).sum() / targets.numel()
        else:
            loss = functional.cross_entropy(
                functional.linear(flat, weight, bias), targets.flatten()
            )
        tick("output and loss")
        loss.backward()
        tick("embedding, backward")
        if native:
            updater.step(loss.detach(), 1e-3)
        else:
            nn.utils.clip_grad_norm_(hand.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        tick("clipping and update")

    batch = batches(size)[0]
    sides = []
    for side in SIDES:
        found = {}
        for _ in range(rounds + 2):
            parts(side, batch)
        sides.append({part: statistics.median(times[2:]) for part, times in found.items()})
    return {part: [side[part] for side in sides] for part in sides[0]}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=list(SIZES), help=", ".join(SIZES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each comparison")
    parser.add_argument("--peak", choices=SIDES, help="train one side, print its peak memory")
    parser.add_argument("--profile", action="store_true", help="only where the time goes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        run = SIDES[options.peak](SIZES[options.sizes[0]])
        for n in range(6):
            run(n)
        print(highest())
        return
    if not options.profile:
        for row in measure(tuple(options.sizes), options.seconds):
            figures = {k: v for k, v in row.items() if k not in ("what", "unit")}
            shown = ", ".join(f"{k} {v:,}" for k, v in figures.items())
            print(f"{row['what']} ({row['unit']}): {shown}", flush=True)
    for name in options.sizes:
        print(f"\n{name}, ms a step{'':<16} recurra   torch")
        table = profile(SIZES[name])
        for part, (mine, theirs) in table.items():
            print(f"{part:<32}{mine:>10.2f}{theirs:>8.2f}")
        mine, theirs = (sum(column) for column in zip(*table.values(), strict=True))
        print(f"{'all':<32}{mine:>10.2f}{theirs:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
