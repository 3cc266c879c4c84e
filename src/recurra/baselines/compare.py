"""Train several models on the same data, measure them, and set them side by side."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recurra import cells, native
from recurra.baselines.catalog import Contest, contest_of, find
from recurra.baselines.finished import Finished, digest
from recurra.baselines.protocol import Budget, Contender
from recurra.errors import FormatError, InputError
from recurra.given import NOTHING, LeftOut
from recurra.settings import sort
from recurra.tasks import catalog as tasks
from recurra.tasks.protocol import Task

if TYPE_CHECKING:
    from recurra.train import Callback


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
    """Models trained and measured on the same data, best first.

    left_out: what of the data could not be used. notes: what was switched off, and why.
    """

    task: str
    metric: str
    higher: bool
    results: tuple[Result, ...]
    left_out: LeftOut = NOTHING
    notes: tuple[str, ...] = ()

    def __getitem__(self, model: str) -> Result:
        return next(result for result in self.results if result.model == model)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = [result.to_dict() for result in self.results]
        told = {"task": self.task, "metric": self.metric, "models": rows}
        return {**told, "left_out": self.left_out.to_dict(), "notes": list(self.notes)}

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
            colours = ["#e0702f" if name in cells.names() else "#4c8dd6" for name in names]
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
    out: str | Path | None = None,
    fresh: bool = False,
    grown: Callable[["Comparison"], None] = lambda comparison: None,
    watch: "Callable[[], Sequence[Callback]]" = tuple,
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
        models: names of cells, which stand for the task's own class with that cell, and rivals; by
            default the task's usual ones.
        minutes: of training for each; by default the recurrent models train as `settings` say.
        seed: of everything random.
        threads: of torch.
        told: is given the name of a model when it begins.
        out: a directory in which each finished model's row is kept at once, in `finished.json`; the
            same call again goes on with those that are missing.
        fresh: start over where `out` holds a comparison.
        grown: is given what there is so far, after each model.
        watch: makes the callbacks of one training (see `recurra.train.Callback`).
        **settings: of the task's class, of its data and of training, by name.

    Raises:
        InputError: a model or setting that does not exist, data that cannot be used, or an `out`
            with another comparison.
        Interrupted: a signal came; what is finished is kept in `out`.
    """
    contest, names = contest_of(task), list(models)
    names = names or list(contest.models)
    known_cells = list(dict.fromkeys([*native.BUILT_IN, *cells.names()]))
    unknown = [name for name in names if name not in known_cells and name not in contest.rivals]
    if unknown:
        known = ", ".join([*known_cells, *contest.rivals])
        raise InputError(f"compare: expected models of {known}, received {', '.join(unknown)}")
    from recurra.train.config import TrainConfig

    entry = next(entry for entry in tasks.ENTRIES if entry.word == task)
    own: Any = entry.load()
    config, of_data, training = sort(settings, own.Config, own.Data, TrainConfig)
    own._training_side()  # importing torch is no part of a training
    make_inputs, _ = find(contest.inputs)
    inputs = make_inputs(test, config, of_data)
    kept = None
    if out is not None:
        given = {**config, **of_data, **training}
        lasting = {name: value for name, value in given.items() if name not in _FREE}
        parts = {"data": data, "valid": valid, "test": test}
        identity: dict[str, Any] = {name: digest(part, name) for name, part in parts.items()}
        identity |= {"task": task, "minutes": minutes, "seed": seed}
        own_cells = {n: cells.find(n) for n in names if n in known_cells}
        identity |= {
            f"cell {n}": c.digest for n, c in own_cells.items() if n not in native.BUILT_IN
        }
        kept = Finished(Path(out), {**identity, **_as_json(lasting)}, fresh=fresh)
    budget = Budget(minutes, None, seed, threads)
    entered: list[_Entered] = []
    for name in sorted(names, key=lambda name: name not in known_cells):
        row = None if kept is None else kept.get(name, budget.limits)
        if row is None:
            told(name)
            contender: Contender
            if name in known_cells:
                contender = Own(own(**{**config, "cell": name}), of_data, training)
            else:
                rival, arguments = find(contest.rivals[name])
                contender = rival(**{**config, **of_data, **arguments})
            watched = replace(budget, callbacks=tuple(watch()))
            with _stops_explained(name, entered, out):
                made = _enter(name, contender, contest, data, valid, test, inputs, watched)
            if kept is not None:
                kept.put(name, budget.limits, made.to_json())
        else:
            try:
                made = _Entered.from_json(row)
            except (TypeError, KeyError):
                raise FormatError(f"{out}: the row of {name} is damaged: use --fresh") from None
        entered.append(made)
        grown(_ranked(task, contest, entered))
        if budget.parameters is None and name in known_cells:
            first = entered[0].result
            budget = Budget(minutes or first.seconds / 60, first.parameters, seed, threads)
    return _ranked(task, contest, entered)


#: Settings that may change between two calls of one comparison.
_FREE = ("threads", "checkpoint_every", "max_bad_steps")


class _Entered(NamedTuple):
    """A model that was trained and measured; what of the data it could not use, and its notes."""

    result: Result
    left_out: LeftOut
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        more = {"left_out": self.left_out.to_dict(), "notes": list(self.notes)}
        return {"figures": asdict(self.result), **more}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "_Entered":
        left_out, notes = LeftOut(**row["left_out"]), tuple(map(str, row["notes"]))
        return cls(Result(**row["figures"]), left_out, notes)


def _ranked(task: str, contest: Contest, entered: Sequence[_Entered]) -> Comparison:
    """The results so far, best first."""
    order = -1 if contest.higher else 1
    every = [name for e in entered for name in e.result.figures]
    metric = contest.metric if contest.metric in every else every[0]
    if without := [e.result.model for e in entered if metric not in e.result.figures]:
        raise InputError(
            f"compare: {', '.join(without)} has no {metric.replace('_', ' ')}, by which models are "
            "compared: the test data have nothing it could be measured on, or too little before it"
        )
    ranked = sorted(entered, key=lambda e: order * e.result.figures[metric])
    left_out = max((e.left_out for e in entered), key=lambda one: one.count)
    notes = dict.fromkeys(note for e in entered for note in e.notes)
    results = tuple(e.result for e in ranked)
    return Comparison(task, metric, contest.higher, results, left_out, tuple(notes))


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(v) if isinstance(v, tuple) else str(v) if isinstance(v, Path) else v
        for name, v in settings.items()
    }


@contextmanager
def _stops_explained(
    name: str, entered: Sequence["_Entered"], out: str | Path | None
) -> Iterator[None]:
    """Say of a signal in a training what is kept: the training's own directory is temporary."""
    from recurra.train.interrupt import Interrupted

    try:
        yield
    except Interrupted as stop:
        done = ", ".join(entry.result.model for entry in entered) or "no model"
        kept = f"kept in {out}: run the same again to go on" if out else "lost without --out"
        message = f"compare: stopped by a signal while {name} was trained; {done} finished, {kept}"
        raise Interrupted(message, stop.signal) from None


class Own:
    """A task's own class as a contender."""

    def __init__(self, model: Task, data: Mapping[str, Any], training: Mapping[str, Any]) -> None:
        self.model: Any = model
        self._data, self._training = data, training
        self.left_out, self.notes = NOTHING, tuple[str, ...]()

    def fit(self, data: Any, *, valid: Any = None, budget: Budget) -> None:
        """See `Contender`; its length is what the settings say where the budget does not."""
        how = {**self._training, "seed": budget.seed, "threads": budget.threads}
        if budget.minutes is not None and not {"epochs", "steps", "minutes", "plan"} & set(
            self._training
        ):
            how["minutes"] = budget.minutes
        self.model.fit(
            data,
            valid=valid,
            progress=False,
            callbacks=budget.callbacks,
            **self._data,
            **how,
        )
        result = self.model.fit_result_
        self.left_out, self.notes = result.left_out, result.notes

    def evaluate(self, data: Any) -> Any:
        """See `Contender`."""
        skip = self._data.get("skip_bad") or self._data.get("bad") == "skip"
        known = skip and "skip_bad" in self.model.Measurement.names()
        return self.model.evaluate(data, **({"skip_bad": True} if known else {}))

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
) -> "_Entered":
    """Train and measure one model."""
    start = time.monotonic()
    contender.fit(data, valid=valid, budget=budget)
    seconds = time.monotonic() - start
    measured = contender.evaluate(test)
    left_out: LeftOut = getattr(contender, "left_out", NOTHING)
    left_out += getattr(measured, "left_out", NOTHING)
    found = measured.to_dict()
    keys = (contest.metric, *contest.figures)
    figures = {key: float(found[key]) for key in keys if found.get(key) is not None}
    if not figures:
        raise InputError(
            f"compare: {name} has none of {', '.join(keys)}: the test data have nothing they could "
            "be measured on, or too little before it"
        )
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        saved = contender.save(Path(folder) / "model")
        size = sum(path.stat().st_size for path in saved.rglob("*") if path.is_file())
    contender.predict(inputs[0])  # what is made on first use is no part of a prediction
    latency = float(np.median(list(_times(contender, inputs))))
    result = Result(name, figures, contender.parameters, seconds, latency, size)
    notes = (*getattr(contender, "notes", ()), *getattr(measured, "notes", ()))
    return _Entered(result, left_out, notes)


def _times(contender: Contender, inputs: Sequence[Any]) -> Iterator[float]:
    for one in inputs:
        start = time.perf_counter()
        contender.predict(one)
        yield time.perf_counter() - start
