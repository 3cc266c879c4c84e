"""`recurra compare TASK DATA`."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from recurra.baselines.catalog import CONTESTS
from recurra.cli.parser import (
    Parser,
    add_settings,
    add_skipping,
    describe,
    settings,
    usual_of,
)
from recurra.cli.telling import tell
from recurra.tasks.catalog import ENTRIES, Entry

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
    known = ", ".join(["rnn", "lstm", "gru", *contest.rivals])
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
    child.add_argument("--out", metavar="DIR", help="write compare.json and compare.png there")
    child.add_argument("--json", action="store_true", help="print one JSON object")
    model = entry.load()
    add_settings(child, "model", model.Config)
    add_settings(child, "data", model.Data)
    add_settings(child, "training", TrainConfig, usual=usual_of(model))
    add_skipping(child, model.Data)


def _example(entry: Entry) -> str:
    """A comparison of the task's own models, on data as its training takes them."""
    data = entry.example.split()[3]
    test = f"test{Path(data).suffix}" if "train" not in data else data.replace("train", "test")
    models = ",".join(CONTESTS[entry.word].models)
    return f"recurra compare {entry.word} {data} --test {test} --models {models}"


def _run(entry: Entry, arguments: argparse.Namespace) -> int:
    from recurra.baselines.compare import compare
    from recurra.storage import make_directory, write_json
    from recurra.train.config import TrainConfig

    task: Any = entry.load()
    out = None if arguments.out is None else Path(arguments.out)
    if out is not None:
        make_directory(out)
    found = compare(
        entry.word,
        arguments.data,
        test=arguments.test,
        valid=arguments.valid,
        models=[name.strip() for name in arguments.models.split(",")],
        told=lambda line: None if arguments.json else _tell(line),
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


def _tell(model: str) -> None:
    sys.stderr.write(f"training {model} …\n")


def _nothing(arguments: argparse.Namespace) -> int:
    raise AssertionError("argparse asks for a task")
