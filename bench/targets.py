"""What is asked of the figures, and which of them answer it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.figures import geometric_mean
from bench.isa import NAMES, SWITCHES
from bench.work import CELLS, LARGEST, OPTIONS

Results = dict[str, Any]
Row = dict[str, Any]
#: Ratios by where they were measured.
Points = dict[str, float]

TRAINERS = ("torch", "jax", "tensorflow")
ALL = (*TRAINERS, "onnxruntime")


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.

    Attributes:
        what, against: is compared.
        points: finds its ratios in the results; none: it was not measured.
        mean: what their geometric mean must reach; None: anything.
        each: what each of them must reach; None: anything.
        at_most: what must be reached is the most they may be, not the least.
    """

    what: str
    against: str
    points: Callable[[Results], Points]
    mean: float | None = None
    each: float | None = None
    at_most: bool = False

    def asked(self) -> str:
        """Return what is to be reached."""
        sign = "≤" if self.at_most else "≥"
        parts = [("mean", self.mean), ("each", self.each)]
        return ", ".join(f"{name} {sign} {value:g}" for name, value in parts if value is not None)

    def met(self, points: Points) -> bool:
        """Whether the ratios are what is asked."""
        reached = (lambda a, b: a <= b) if self.at_most else (lambda a, b: a >= b)
        mean = self.mean is None or reached(geometric_mean(points.values()), self.mean)
        return mean and (self.each is None or all(reached(v, self.each) for v in points.values()))

    def worst(self, points: Points) -> str:
        """Return the name of the point that is furthest from what is asked."""
        return (max if self.at_most else min)(points, key=points.__getitem__)


def rows(results: Results, part: str) -> list[Row]:
    """Return the rows of a part; none where it was not measured."""
    found: list[Row] = results.get(part, {}).get("rows", [])
    return found


def size(row: Row) -> str:
    """Return the sizes of a row."""
    return "×".join(map(str, row["size"]))


def peak(results: Results, part: str = "peak") -> float | None:
    """Return the most GFLOP/s that the probe measured; None: it did not run."""
    found = [r for r in rows(results, part) if r["what"] == "multiply-adds"]
    return max(v for k, v in found[0].items() if "thread" in k) if found else None


def layers(
    results: Results, part: str, what: str, cells: Iterable[str], peers: Iterable[str]
) -> Points:
    """Return at each size the ratio to the fastest of the peers."""
    found = {}
    for row in rows(results, part):
        there = [row["ratios"][p]["median"] for p in peers if p in row["ratios"]]
        if row["what"] == what and row["cell"] in cells and there:
            found[f"{row['cell']} {size(row)}"] = min(there)
    return found


def share(results: Results, part: str = "peak") -> Points:
    """Return the share of the peak of training at the largest size."""
    return flat(results, part, size({"size": LARGEST}), figure="share")


def option(results: Results, name: str) -> Points:
    """Return at each size the LSTM's time with an option, in that of the plain one."""
    found = rows(results, "options")
    return {f"lstm {size(row)}": row["ratios"][name]["median"] for row in found}


def flat(results: Results, part: str, *words: str, figure: str = "ratio") -> Points:
    """Return a figure of the rows of a part whose `what` has all these words."""
    return {
        row["what"]: row[figure]
        for row in rows(results, part)
        if figure in row and all(word in row["what"] for word in words)
    }


def _grid(
    what: str, cells: Iterable[str], peers: Iterable[str], part: str = "grid"
) -> Callable[[Results], Points]:
    return partial(layers, part=part, what=what, cells=cells, peers=peers)


def _step(*peers: str) -> Callable[[Results], Points]:
    return partial(layers, part="step", what="step", cells=CELLS, peers=peers)


def _flat(part: str, *words: str, figure: str = "ratio") -> Callable[[Results], Points]:
    return lambda results: flat(results, part, *words, figure=figure)


def _busy(text: str, situation: str, figure: str) -> Callable[[Results], Points]:
    """Of Recurra's rows of a situation."""

    def points(results: Results) -> Points:
        return {
            row["what"]: row[figure]
            for row in rows(results, "busy")
            if row["library"] == "recurra" and text in row["what"] and situation in row["what"]
        }

    return points


ONE, BUSY = "one processor", "neighbours"
BEST = "the best of torch, JAX, TensorFlow"

TARGETS = (
    Target("forward + backward, RNN", "torch", _grid("training", ["rnn"], ["torch"]), 3, 1.05),
    Target("forward + backward, GRU", "torch", _grid("training", ["gru"], ["torch"]), 4, 1.05),
    Target("forward + backward, LSTM", "torch", _grid("training", ["lstm"], ["torch"]), 1.6, 1.05),
    Target("forward + backward", BEST, _grid("training", CELLS, TRAINERS), 1.8, 1.0),
    Target("inference", f"{BEST}, ONNX Runtime", _grid("inference", CELLS, ALL), 1.4, 1.0),
    Target("one step, B = T = 1", "torch", _step("torch"), 10),
    Target("one step, B = T = 1", "ONNX Runtime", _step("onnxruntime"), 1.8),
    Target(
        "one step through `recurra.nn`",
        "1.15 of our stepper + 15 us",
        _flat("single", "forward", figure="of 1.15 steppers + 15 us"),
        each=1.0,
        at_most=True,
    ),
    Target("forward + backward of one step", "torch", _flat("single", "backward"), each=1.0),
    Target("forward + backward, share of the peak", "multiply-adds", share, each=0.75),
    *(
        Target(f"LSTM with {name}", "plain LSTM", partial(option, name=name), 1.35, at_most=True)
        for name in OPTIONS
        if name != "plain"
    ),
    Target("a user's cell", "our LSTM", _flat("own_cell"), each=1.5, at_most=True),
    Target("resets within a sequence", "none", _flat("reset"), each=1.1, at_most=True),
    Target("published cells", "a plain torch loop", _flat("published", "median"), each=5),
    Target("forward + backward in bf16", "our float32", _flat("bf16"), each=1.5),
    Target("whole step in float32", "torch", _flat("whole_step", "float32"), each=1.5),
    Target("whole step in bf16", "torch in float32", _flat("whole_step", "bf16"), each=2.2),
    Target(
        "whole step, peak memory, word model",
        "torch",
        _flat("whole_step", "word", "peak memory"),
        each=0.5,
        at_most=True,
    ),
    Target(
        "generation of 10,000 characters, one stream",
        "torch",
        partial(layers, part="generation", what="generation", cells=["lstm"], peers=["torch"]),
        each=10,
    ),
    Target("two streams of one model", "one stream", _flat("pair"), each=1.7),
    Target(
        "64 streams of one model, tokens a second",
        "one stream",
        _flat("streams", "streams", "2×512", figure="64 to 1"),
        each=5,
    ),
    Target(
        "64 streams over HTTP, tokens a second",
        "one stream",
        _flat("serve", "streams", figure="64 to 1"),
        each=5,
    ),
    *(
        Target(
            f"over HTTP: {what}, 64 streams",
            f"{most} ms",
            _flat("serve", what, figure=figure),
            each=most,
            at_most=True,
        )
        for what, figure, most in (
            ("first token, p99", "64", 50),
            ("between tokens, p99", "64, prompts beside", 20),
        )
    ),
    Target(
        "a token over HTTP",
        "150 us",
        _flat("serve", "a token", figure="whole"),
        each=150,
        at_most=True,
    ),
    Target(
        "going on at 100,000 tokens over HTTP",
        "at 10",
        _flat("serve", "8 tokens", figure="ratio"),
        each=1.2,
        at_most=True,
    ),
    Target(
        "a rewind over HTTP",
        "20 ms",
        _flat("serve", "a rewind", figure="p50"),
        each=20,
        at_most=True,
    ),
    Target(
        "a prompt in slices, two layers of LSTM 512, two threads",
        "100 us a token",
        _flat("streams", "lstm 2×512, 2", figure="of 100 us"),
        each=1.0,
        at_most=True,
    ),
    *(
        target
        for where in (ONE, BUSY)
        for target in (
            Target(
                f"2 threads, LSTM 1×100×64, {where}",
                "1 thread",
                _busy("1×100×64", where, "worst of five"),
                each=1.5,
                at_most=True,
            ),
            Target(
                f"2 threads, LSTM 1×100×64, {where}: 99th percentile",
                "ms",
                _busy("1×100×64", where, "99th percentile"),
                each=5,
                at_most=True,
            ),
            Target(
                f"2 threads, LSTM of all sizes, {where}",
                "1 thread",
                _busy("LSTM", where, "ratio"),
                each=1.5,
                at_most=True,
            ),
        )
    ),
    *(
        Target(
            f"{NAMES[isa]}: forward + backward, share of the peak",
            "multiply-adds",
            partial(share, part=f"peak {isa}"),
            each=0.75,
        )
        for isa in SWITCHES
    ),
    *(
        Target(
            f"{NAMES[isa]}: {what}, {cell.upper()}",
            "torch",
            _grid(kind, [cell], ["torch"], f"grid {isa}"),
            mean,
            1.0,
        )
        for isa in SWITCHES
        for kind, what, cell, mean in (
            ("training", "forward + backward", "rnn", 2.5),
            ("training", "forward + backward", "gru", 3.0),
            ("training", "forward + backward", "lstm", 1.3),
            ("inference", "inference", "lstm", 1.3),
        )
    ),
    Target(
        "2 threads write text, one processor",
        "1 thread",
        _busy("text", ONE, "ratio"),
        each=1.11,
        at_most=True,
    ),
    Target(
        "2 threads write text, beside neighbours",
        "1 thread",
        _busy("text", BUSY, "ratio"),
        each=1.25,
        at_most=True,
    ),
)
