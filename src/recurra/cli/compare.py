"""`recurra compare TASK DATA`."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra import native
from recurra.baselines.catalog import CONTESTS
from recurra.cli.own_cells import add_cells, define_cells
from recurra.cli.parser import (
    Parser,
    add_settings,
    describe,
    settings,
    usual_of,
)
from recurra.cli.telling import tell
from recurra.tasks.catalog import ENTRIES, Entry

if TYPE_CHECKING:
    from recurra.baselines.compare import Comparison

_EXAMPLE = "recurra compare classify train.csv --test test.csv --models gru,tfidf,transformer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tasks as further verbs."""
    describe(parser, _nothing, "Train models on the same data and set them side by side.", _EXAMPLE)
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True, parser_class=Parser)
    for entry in ENTRIES:
        if entry.word in CONTESTS:
            child = tasks.add_parser(entry.word, help=entry.about)
            child.fill = partial(_fill, child, entry)


def _fill(child: argparse.ArgumentParser, entry: Entry) -> None:
    from recurra.train.config import TrainConfig

    contest = CONTESTS[entry.word]
    known = ", ".join([*native.BUILT_IN, "a cell of --cells", *contest.rivals])
    describe(
        child,
        partial(_run, entry),
        f"Train several models, each {entry.about}, on the same data; measure each on the same "
        "test data.\nRivals have as many parameters and as much time as the first recurrent model.",
        _example(entry),
        usage=f"DATA {'[DATA ...] ' if entry.many else ''}--test FILE [options]",
    )
    child.add_argument("data", nargs="+" if entry.many else None, metavar="DATA", help=entry.data)
    child.add_argument("--test", metavar="FILE", required=True, help="data to measure on")
    child.add_argument("--valid", metavar="FILE", help="held-out data; else a share of DATA")
    child.add_argument(
        "--models",
        metavar="A,B",
        default=",".join(contest.models),
        help=f"of {known} (default: {','.join(contest.models)})",
    )
    child.add_argument(
        "--out",
        metavar="DIR",
        help="write compare.json and compare.png there, and keep what is finished: the same "
        "command again goes on",
    )
    child.add_argument(
        "--fresh", action="store_true", help="start over where DIR holds a comparison"
    )
    child.add_argument("--json", action="store_true", help="print one JSON object")
    add_cells(child)
    model = entry.load()
    add_settings(child, "model", model.Config)
    add_settings(child, "data", model.Data)
    add_settings(child, "training", TrainConfig, usual=usual_of(model))


def _example(entry: Entry) -> str:
    """A comparison of the task's own models, on data as its training takes them."""
    data = entry.example.split()[3]
    test = f"test{Path(data).suffix}" if "train" not in data else data.replace("train", "test")
    models = ",".join(CONTESTS[entry.word].models)
    return f"recurra compare {entry.word} {data} --test {test} --models {models}"


def _run(entry: Entry, arguments: argparse.Namespace) -> int:
    from recurra.baselines.compare import compare
    from recurra.storage import write_json
    from recurra.train import Progress
    from recurra.train.config import TrainConfig

    define_cells(arguments.cells)
    task: Any = entry.load()
    out = None if arguments.out is None else Path(arguments.out)
    names = [name.strip() for name in arguments.models.split(",")]
    shown = _Shown(len(names), getattr(arguments, "minutes", None), quiet=arguments.json)
    bars = sys.stderr.isatty() and not arguments.json
    found = compare(
        entry.word,
        arguments.data,
        test=arguments.test,
        valid=arguments.valid,
        models=names,
        told=shown.begun,
        out=out,
        fresh=arguments.fresh,
        grown=shown.grown,
        watch=lambda: (Progress(),) if bars else (),
        **settings(arguments, task.Config, task.Data, TrainConfig),
    )
    if out is not None:
        write_json(out / "compare.json", found.to_dict())
        found.plot(out / "compare.png")
    text = json.dumps(found.to_dict()) if arguments.json else str(found)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    tell(found)
    return 0


class _Shown:
    """What is said of a comparison while it goes on, on standard error."""

    def __init__(self, count: int, minutes: float | None, *, quiet: bool) -> None:
        self._count, self._minutes, self._quiet = count, minutes, quiet
        self._done = 0
        self._table: Comparison | None = None

    def begun(self, model: str) -> None:
        """Show the table so far, which model is trained now, and how long the rest takes at most
        where that is known."""
        if self._quiet:
            return
        if self._table is not None:
            sys.stderr.write(f"{self._table}\n")
        left = self._count - self._done
        known = f" (about {left * self._minutes:.3g} minutes left)" if self._minutes else ""
        sys.stderr.write(f"training {model} …{known}\n")

    def grown(self, comparison: "Comparison") -> None:
        """Remember the table so far; the whole is printed at the end anyway."""
        self._table, self._done = comparison, len(comparison.results)
        if self._minutes is None and self._done:  # of the recurrent model, which sets the limit
            self._minutes = max(result.seconds for result in comparison.results) / 60


def _nothing(arguments: argparse.Namespace) -> int:
    raise AssertionError("argparse asks for a task")
