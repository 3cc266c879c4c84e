"""Train several models on the same data, measure them, and set them side by side."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.baselines.catalog import Contest, contest_of, find
from recurra.baselines.protocol import Budget, Contender
from recurra.errors import InputError
from recurra.settings import sort
from recurra.tasks import catalog as tasks
from recurra.tasks.base import TrainedModel

CELLS = ("rnn", "lstm", "gru")


@dataclass(frozen=True)
class Result:
    """One model of a comparison.

    figures: of `evaluate`, the contest's metric first. parameters: fitted numbers. seconds: of
    training. latency: seconds of one prediction, the median. size: bytes of what it saves.
    """

    model: str
    figures: dict[str, float]
    parameters: int
    seconds: float
    latency: float
    size: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "model": self.model,
            **self.figures,
            "parameters": self.parameters,
            "training_seconds": round(self.seconds, 3),
            "latency_ms": round(1000 * self.latency, 4),
            "bytes": self.size,
        }


@dataclass(frozen=True)
class Comparison:
    """Models trained and measured on the same data, best first."""

    task: str
    metric: str
    higher: bool
    results: tuple[Result, ...]

    def __getitem__(self, model: str) -> Result:
        return next(result for result in self.results if result.model == model)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = [result.to_dict() for result in self.results]
        return {"task": self.task, "metric": self.metric, "models": rows}

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for r in self.results for name in r.figures))
        head = ["model", *names, "parameters", "training s", "latency ms", "size kB"]
        rows = [
            [name.replace("_", " ") for name in head],
            *(self._cells(r, names) for r in self.results),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            first, *others = (
                cell.rjust(width) if k else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join([first, *others]).rstrip())
        return "\n".join(lines)

    def _cells(self, r: Result, names: Sequence[str]) -> list[str]:
        figures = [f"{r.figures[name]:.4f}" if name in r.figures else "–" for name in names]
        measured = [f"{r.parameters:,}", f"{r.seconds:.1f}", f"{1000 * r.latency:.3g}"]
        return [r.model, *figures, *measured, f"{r.size / 1000:,.0f}"]

    def plot(self, path: str | Path) -> Path:
        """Draw the table as bars, one panel a figure, and write it as PNG.

        Raises:
            InputError: matplotlib is not there.
        """
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise InputError("a plot needs matplotlib: pip install recurra[report]") from error
        panels: list[tuple[str, Callable[[Result], float], bool]] = [
            (self.metric.replace("_", " "), lambda r: r.figures[self.metric], False),
            ("parameters", lambda r: r.parameters, True),
            ("training, s", lambda r: r.seconds, True),
            ("one prediction, ms", lambda r: 1000 * r.latency, True),
            ("on disk, kB", lambda r: r.size / 1000, True),
        ]
        names = [result.model for result in self.results][::-1]
        figure = Figure(figsize=(13, 0.7 + 0.42 * len(names)), layout="constrained", dpi=120)
        for axes, (title, value, log) in zip(
            figure.subplots(1, len(panels), sharey=True), panels, strict=True
        ):
            values = [value(result) for result in self.results][::-1]
            colours = ["#e0702f" if name in CELLS else "#4c8dd6" for name in names]
            bars = axes.barh(names, values, color=colours)
            axes.bar_label(bars, [f"{v:,.4g}" for v in values], padding=3, fontsize=8)
            axes.set_title(title, fontsize=10)
            if log and min(values, default=0) > 0:
                axes.set_xscale("log")
                axes.set_xlim(min(values) / 3, max(values) * 12)
            else:
                axes.margins(x=0.3)
            axes.spines[["top", "right", "bottom"]].set_visible(False)
            axes.tick_params(bottom=False, labelbottom=False, which="both")
        path = Path(path)
        figure.savefig(path, format="png")
        return path


def compare(
    task: str,
    data: Any,
    *,
    test: Any,
    valid: Any = None,
    models: Sequence[str] = (),
    minutes: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    told: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> Comparison:
    """Train models on the same data and measure them on the same test data.

    The recurrent models train first; the others may have as many parameters and as many minutes as
    the first of them had, and use what they can of it.

    Args:
        task: the command line's word for it: `classify`.
        data: training data in the forms the task reads.
        test: data to measure on; nothing is chosen by them.
        valid: held-out data; by default what the task holds out.
        models: cells (`rnn`, `lstm`, `gru`), which stand for the task's own class, and rivals; by
            default the task's usual ones.
        minutes: of training for each; by default the recurrent models train as `settings` say.
        seed: of everything random.
        threads: of torch.
        told: is given a line when a model begins.
        **settings: of the task's class, of its data and of training, by name.

    Raises:
        InputError: a model or setting that does not exist, or data that cannot be used.
    """
    contest, names = contest_of(task), list(models)
    names = names or list(contest.models)
    unknown = [name for name in names if name not in CELLS and name not in contest.rivals]
    if unknown:
        known = ", ".join([*CELLS, *contest.rivals])
        raise InputError(f"compare: expected models of {known}, received {', '.join(unknown)}")
    from recurra.train.config import TrainConfig

    entry = next(entry for entry in tasks.ENTRIES if entry.word == task)
    own: Any = entry.load()
    config, of_data, training = sort(settings, own.Config, own.Data, TrainConfig)
    own._training_side()  # importing torch is no part of a training
    make_inputs, _ = find(contest.inputs)
    inputs = make_inputs(test, config, of_data)
    budget = Budget(minutes, None, seed, threads)
    results = []
    for name in sorted(names, key=lambda name: name not in CELLS):
        told(name)
        contender: Contender
        if name in CELLS:
            contender = Own(own(**{**config, "cell": name}), of_data, training)
        else:
            rival, arguments = find(contest.rivals[name])
            contender = rival(**{**config, **of_data, **arguments})
        results.append(_enter(name, contender, contest, data, valid, test, inputs, budget))
        if budget.parameters is None and name in CELLS:
            first = results[0]
            budget = Budget(minutes or first.seconds / 60, first.parameters, seed, threads)
    order = -1 if contest.higher else 1
    metric = contest.metric
    results.sort(key=lambda r: order * r.figures[metric])
    return Comparison(task, metric, contest.higher, tuple(results))


class Own:
    """A task's own class as a contender."""

    def __init__(
        self, model: TrainedModel, data: Mapping[str, Any], training: Mapping[str, Any]
    ) -> None:
        self.model: Any = model
        self._data, self._training = data, training

    def fit(self, data: Any, *, valid: Any = None, budget: Budget) -> None:
        """See `Contender`; its length is what the settings say where the budget does not."""
        how = {**self._training, "seed": budget.seed, "threads": budget.threads}
        if budget.minutes is not None and not {"epochs", "steps", "minutes"} & set(self._training):
            how["minutes"] = budget.minutes
        self.model.fit(data, valid=valid, progress=False, **self._data, **how)

    def evaluate(self, data: Any) -> Any:
        """See `Contender`."""
        return self.model.evaluate(data)

    def predict(self, inputs: Any) -> Any:
        """See `Contender`."""
        return self.model.predict(inputs)

    def save(self, directory: Path) -> Path:
        """See `Contender`."""
        found: Path = self.model.save(directory)
        return found

    @property
    def parameters(self) -> int:
        """See `Contender`."""
        return sum(int(tensor.size) for tensor in self.model.files.tensors.values())


def _enter(
    name: str,
    contender: Contender,
    contest: Contest,
    data: Any,
    valid: Any,
    test: Any,
    inputs: Sequence[Any],
    budget: Budget,
) -> Result:
    """Train and measure one model."""
    start = time.monotonic()
    contender.fit(data, valid=valid, budget=budget)
    seconds = time.monotonic() - start
    found = contender.evaluate(test).to_dict()
    keys = (contest.metric, *contest.figures)
    figures = {key: float(found[key]) for key in keys if found.get(key) is not None}
    if contest.metric not in figures:
        raise InputError(
            f"compare: {name} has no {contest.metric.replace('_', ' ')}, by which models are "
            "compared: the test data have nothing it could be measured on, or too little before it"
        )
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        saved = contender.save(Path(folder) / "model")
        size = sum(path.stat().st_size for path in saved.rglob("*") if path.is_file())
    contender.predict(inputs[0])  # what is made on first use is no part of a prediction
    latency = float(np.median(list(_times(contender, inputs))))
    return Result(name, figures, contender.parameters, seconds, latency, size)


def _times(contender: Contender, inputs: Sequence[Any]) -> Iterator[float]:
    for one in inputs:
        start = time.perf_counter()
        contender.predict(one)
        yield time.perf_counter() - start
