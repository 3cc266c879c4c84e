"""`recurra evaluate RUN FILE`."""

import argparse
import json
import sys

from recurra.cli.parser import add_precision, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Measure how well a language model predicts a text: perplexity, bits per character.",
        "recurra evaluate runs/corpus held-out.txt --json",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument("data", nargs="+", metavar="FILE", help="text: files, folders, or -")
    add_precision(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(arguments: argparse.Namespace) -> int:
    from recurra.tasks.language_model import LanguageModel

    model = LanguageModel.load(arguments.model, precision=arguments.precision)
    found = model.evaluate(arguments.data)
    text = json.dumps(found.to_dict()) if arguments.json else str(found)
    sys.stdout.write(text + "\n")
    return 0
