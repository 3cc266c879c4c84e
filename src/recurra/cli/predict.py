"""`recurra predict RUN FILE`."""

import argparse
import json
import sys
from typing import Any

from recurra.cli.opening import open_model
from recurra.cli.parser import add_precision, add_settings, describe, settings
from recurra.tasks.catalog import ENTRIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Apply a trained model to data: one line, or with --json one object, for each example.",
        "recurra predict runs/reviews new.tsv --json",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument("data", metavar="FILE", help="data in the form the task trains on, or -")
    add_precision(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object an example")
    told: set[str] = set()
    for entry in ENTRIES:
        table = getattr(entry.load(), "Prediction", None)
        if table is not None:
            add_settings(parser, f"options of {entry.model}", table, without=told)
            told |= set(table.names())


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError
    from recurra.settings import check, sort

    model = open_model(arguments.model, precision=arguments.precision)
    table = getattr(model, "Prediction", None)
    if table is None:
        raise InputError(f"{arguments.model}: a {model.title} predicts no file: use generate")
    given: dict[str, Any] = {}
    for entry in ENTRIES:
        other = getattr(entry.load(), "Prediction", None)
        if other is not None:
            given |= settings(arguments, other)
    (chosen,) = sort(given, table)
    options = table(**chosen)
    check(options)
    for row in model.predict_file(arguments.data, options):
        text = json.dumps(row.to_dict(), ensure_ascii=False) if arguments.json else str(row)
        sys.stdout.write(text + "\n")
    return 0
