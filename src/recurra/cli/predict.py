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
        "Apply a trained model to data: one line, or with --json one object, for each example.\n"
        "Lines of standard input (-) are answered as they come. Of several FILEs each line begins "
        "with the name of its own.",
        "recurra predict runs/reviews new.tsv --json",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument(
        "data", nargs="+", metavar="FILE", help="data in the form the task trains on, or -"
    )
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
    files = list(arguments.data)
    if files.count("-") > 1:
        raise InputError("standard input can be read once: give - once")
    tally, several, head = Tally(), len(files) > 1, None
    for file in files:
        for row in model.predict_file(file, options):
            told = row.to_dict()
            if told is not None:  # else a part of a document with nothing in it
                tally.add(row)
            if arguments.json:
                if told is None:
                    continue
                told = {"file": file, **told} if several else told
                sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            elif getattr(row, "line", True):
                above = getattr(row, "header", None)
                if above not in (None, head):
                    _write(above, "file" if several else None)
                    head = above
                of = file if several and not getattr(row, "document", False) else None
                _write(row.to_text() if hasattr(row, "to_text") else str(row), of)
            if file == "-":
                sys.stdout.flush()  # whoever writes the next line may wait for this one
    sys.stdout.flush()
    tell(tally)
    return 0


def _write(text: str, file: str | None) -> None:
    """Write lines, each behind the name of its file where there are several."""
    lines = [text] if file is None else [f"{file}\t{line}" for line in text.split("\n")]
    sys.stdout.write("\n".join(lines) + "\n")
