"""`recurra predict RUN FILE`."""

import argparse
import json
import sys

from recurra.cli.opening import open_model
from recurra.cli.options import add_options, given_options
from recurra.cli.parser import add_precision, describe
from recurra.cli.telling import tell


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
    add_options(parser, "Prediction")


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError
    from recurra.tasks.answers import Tally

    model = open_model(arguments.model, precision=arguments.precision)
    table = getattr(model, "Prediction", None)
    if table is None:
        raise InputError(f"{arguments.model}: a {model.title} predicts no file: use generate")
    options = table(**given_options(arguments, "Prediction", model))
    tally = Tally()
    for row in model.predict_file(arguments.data, options):
        tally.add(row)
        if arguments.json:
            sys.stdout.write(json.dumps(row.to_dict(), ensure_ascii=False) + "\n")
        elif getattr(row, "line", True):
            sys.stdout.write((row.to_text() if hasattr(row, "to_text") else str(row)) + "\n")
    sys.stdout.flush()
    tell(tally)
    return 0
