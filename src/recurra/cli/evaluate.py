"""`recurra evaluate RUN FILE`."""

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
        "Measure a model on data it was not trained on, in the figures of its task.",
        "recurra evaluate runs/corpus held-out.txt --json",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument(
        "data", nargs="+", metavar="FILE", help="data in the form the task trains on"
    )
    add_precision(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_options(parser, "Measurement")


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError
    from recurra.tasks.catalog import by_task

    model = open_model(arguments.model, precision=arguments.precision)
    entry, data = by_task(model.task), arguments.data
    if entry is None or not entry.many:
        if len(data) > 1:
            raise InputError(
                f"evaluate: expected one FILE for a {model.title}, received {len(data)}: evaluate "
                "them one by one"
            )
        data = data[0]
    found = model.evaluate(data, **given_options(arguments, "Measurement", model))
    text = json.dumps(found.to_dict()) if arguments.json else str(found)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    tell(found)
    return 0
