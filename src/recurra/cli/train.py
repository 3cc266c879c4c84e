"""`recurra train TASK DATA`."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tasks as further verbs."""
    describe(parser, _nothing, "Train a model.", ENTRIES[0].example)
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True, parser_class=Parser)
    for entry in ENTRIES:
        child = tasks.add_parser(entry.word, help=entry.about)
        child.fill = partial(_fill, child, entry)


def _fill(child: argparse.ArgumentParser, entry: Entry) -> None:
    from recurra.train.config import TrainConfig

    describe(
        child,
        partial(_run, entry),
        f"Train {entry.about}.\nThe same command again goes on where it was stopped; --from RUN "
        "trains a finished one further.",
        entry.example,
        usage=f"DATA {'[DATA ...] ' if entry.many else ''}[options]",
    )
    child.add_argument("data", nargs="+" if entry.many else None, metavar="DATA", help=entry.data)
    child.add_argument("--valid", metavar="FILE", help="held-out data; else a share of DATA")
    child.add_argument(
        "--out",
        metavar="DIR",
        help="the run (default: runs/NAME, of DATA's name; with --from RUN, RUN-further)",
    )
    child.add_argument(
        "--from",
        dest="begun",
        metavar="RUN",
        help="go on from the weights of a finished run or a model directory, with its network and, "
        "where none are given, its settings; optimizer and schedule begin anew",
    )
    child.add_argument("--fresh", action="store_true", help="start over where DIR holds a run")
    child.add_argument("--json", action="store_true", help="print the result as JSON; no progress")
    add_cells(child)
    model = entry.load()
    add_settings(child, "model", model.Config)
    add_settings(child, "data", model.Data)
    add_settings(child, "training", TrainConfig, usual=usual_of(model))


def _run(entry: Entry, arguments: argparse.Namespace) -> int:
    from recurra.settings import check
    from recurra.train.config import TrainConfig

    define_cells(arguments.cells)
    task: Any = entry.load()
    tables = (task.Config, task.Data, TrainConfig)
    check(*(table(**settings(arguments, table)) for table in tables))
    data = arguments.data
    usual = Path("runs") / _name(data[0] if entry.many else data)
    if arguments.begun is not None:
        begun = Path(arguments.begun).resolve()
        usual = Path(arguments.begun).with_name(f"{begun.name}-further") if begun.name else usual
    out = Path(arguments.out or usual)
    model = task(**settings(arguments, task.Config))
    model.fit(
        data,
        valid=arguments.valid,
        out=out,
        fresh=arguments.fresh,
        progress=not arguments.json,
        warm_start=arguments.begun,
        **settings(arguments, task.Data, TrainConfig),
    )
    result = model.fit_result_
    if os.environ.get("RANK", "0") != "0":  # under torchrun one process speaks for all
        return 0
    best = dict(result.best or {})
    if arguments.json:
        found = {"run": str(out), "steps": result.steps, "seconds": result.seconds, "best": best}
        found["tokens_per_second"] = result.tokens_per_second
        found |= {"left_out": result.left_out.to_dict(), "notes": list(result.notes)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        tell(result)  # without --json the progress has said so
        return 0
    if arguments.begun is not None and best.get("step") == 0:
        sys.stderr.write(
            f"recurra: note: no validation was better than that of {arguments.begun} itself, whose "
            "weights are the best model: try a lower --lr, or more steps\n"
        )
    told = ", ".join(_told(name, value) for name, value in best.items() if name != "step")
    lines = {
        "best validation:": told,
        "model": str(out / "best"),
        "curves": str(out / "report.html"),
        "try it": _next(entry, out, data),
    }
    width = max(map(len, lines)) + 1
    sys.stdout.write("\n" + "".join(f"{k:{width}}{v}\n" for k, v in lines.items()))
    return 0


def _next(entry: Entry, out: Path, data: Any) -> str:
    """What to do with a trained model, with files in the form that it was trained on."""
    first = Path(data[0] if entry.many else data)
    ends = "".join(first.suffixes[-2:] if first.suffix == ".gz" else first.suffixes[-1:])
    words = {"run": str(out), "data": str(first)}
    return entry.then.format(**{k: quote(v) for k, v in words.items()}, suffix=ends or ".csv")


def _nothing(arguments: argparse.Namespace) -> int:
    raise AssertionError("argparse asks for a task")


def _told(name: str, value: float) -> str:
    return f"{name.replace('_', ' ')} {value:.4f}"


def _name(data: str) -> str:
    if data == "-":
        return "stdin"
    name = Path(data).resolve().name
    for suffix in (".gz", ".txt", ".md", ".tsv", ".csv", ".jsonl", ".parquet", ".conllu"):
        name = name.removesuffix(suffix)
    return name or "data"
