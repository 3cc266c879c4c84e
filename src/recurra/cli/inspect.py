"""`recurra inspect RUN TEXT|FILE --out report.html`."""

import argparse
import json
import sys

from recurra.cli.opening import open_model
from recurra.cli.parser import add_precision, describe
from recurra.cli.telling import note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Look inside a model while it reads: gates, time constants, gradients and memory by lag, "
        "units that matter, each beside the model at initialisation. Writes one page that needs "
        "nothing else.",
        'recurra inspect runs/corpus "It was the best of times" --out report.html',
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument(
        "data",
        metavar="TEXT|FILE",
        help="a text; or a file, in the form that predict reads, of a language model a text",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="where to write the page, such as report.html"
    )
    parser.add_argument(
        "--tokens", type=int, default=2000, metavar="N", help="tokens of a text to read (2000)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (0)")
    add_precision(parser)
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object")


def _run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from recurra.bounded import is_file
    from recurra.errors import InputError
    from recurra.inspect import report
    from recurra.inspect.language import is_language
    from recurra.text import Corpus

    if arguments.out is None and not arguments.json:
        raise InputError("inspect: expected --out FILE, where to write the page, or --json")
    if arguments.seed < 0:
        raise InputError(f"inspect: --seed: expected 0 or more, received {arguments.seed}")
    model = open_model(arguments.model, precision=arguments.precision)
    given, path = arguments.data, Path(arguments.data) if len(arguments.data) < 1000 else None
    file = path is not None and is_file(path)
    data: object = given
    if is_language(model):
        data = "".join(Corpus.open(given).chunks()) if file or given == "-" else given
    elif file:
        data = path
    elif model.task in ("sequence_classifier", "translator"):
        data = [given]
    elif model.task == "sequence_tagger":
        data = [given.split()]
    else:
        raise InputError(f"{given}: expected a file for a {model.title}: there is none")
    name = Path(arguments.model).resolve().name
    made = report(model, data, name=name, tokens=arguments.tokens, seed=arguments.seed)
    if arguments.out is not None:
        written = made.write(arguments.out)
        if not arguments.json:
            sys.stdout.write(f"{written}\n")
    if arguments.json:
        sys.stdout.write(json.dumps(made.to_dict()) + "\n")
    sys.stdout.flush()
    for line in made.notes:
        note(line)
    return 0
