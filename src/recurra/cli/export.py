"""`recurra export RUN --format onnx`."""

import argparse
import json
import os
import sys
from pathlib import Path

from recurra.cli.parser import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Write a model as ONNX files, one that reads whole sequences and one that goes step by "
        "step with\nits states; see docs/conversion.md.",
        "recurra export runs/corpus --format onnx --out corpus.onnx",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="default: onnx")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="file for sequences, NAME.onnx (default: RUN.onnx); the other is NAME-step.onnx",
    )
    parser.add_argument(
        "--lengths", action="store_true", help="let the first file take a length for each row"
    )
    parser.add_argument(
        "--states", action="store_true", help="let the first file take the states to start from"
    )
    parser.add_argument(
        "--reset", action="store_true", help="let both files take the steps before which rows reset"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError
    from recurra.export import onnx

    model = Path(arguments.model)
    name = Path(os.path.abspath(model)).name  # of "." too
    out = Path(arguments.out) if arguments.out else model.parent / f"{name}.onnx"
    if out.suffix != ".onnx":
        raise InputError(f"--out: expected a file NAME.onnx, received {out}")
    step = out.with_name(f"{out.stem}-step.onnx")
    asked = {name: getattr(arguments, name) for name in ("lengths", "states", "reset")}
    written = onnx(model, out, step=step, **asked)
    if arguments.json:
        sizes = [{"path": str(p), "bytes": p.stat().st_size} for p in written]
        sys.stdout.write(json.dumps({"files": sizes}) + "\n")
    else:
        for path in written:
            sys.stdout.write(f"{path}  {path.stat().st_size:,} bytes\n")
    return 0
