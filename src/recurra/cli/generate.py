"""`recurra generate RUN PROMPT`."""

import argparse
import dataclasses
import json
import sys
from typing import Any

from recurra.cli.opening import open_model
from recurra.cli.parser import add_precision, describe, value

#: Options whose flags are written out below.
_SPECIAL = ("stop", "include_stop", "eos")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Let a language model continue a prompt; the text appears as it is written.\n"
        "Without one, in a terminal, it opens a session of turns.",
        'recurra generate runs/corpus "The weather is" --temperature 0.8 --top-k 40 --stop .',
        usage="RUN [PROMPT ...] [options]",
    )
    parser.add_argument("model", metavar="RUN", help="a run, or a model directory")
    parser.add_argument(
        "prompt", nargs="*", metavar="PROMPT", help="one text, or several; - reads standard input"
    )
    for field in _fields():
        flag = "--" + field.name.replace("_", "-")
        usual = "" if field.default is None else f" (default: {field.default:g})"
        text = field.metadata["help"] + usual
        parser.add_argument(flag, type=value, metavar="X", default=argparse.SUPPRESS, help=text)
    parser.add_argument(
        "--stop", action="append", metavar="TEXT", default=[], help="end before TEXT; repeatable"
    )
    parser.add_argument("--include-stop", action="store_true", help="end after it instead")
    parser.add_argument("--ignore-eos", action="store_true", help="do not end at <eos>")
    add_precision(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object a prompt")


def _fields() -> list[dataclasses.Field[Any]]:
    """The options that are numbers."""
    from recurra.generate import Options

    fields = dataclasses.fields(Options)
    return [f for f in fields if f.name not in _SPECIAL and not f.metadata["python"]]


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError

    names = {field.name for field in _fields()}
    options = {name: given for name, given in vars(arguments).items() if name in names}
    options |= {"stop": arguments.stop, "include_stop": arguments.include_stop}
    options["eos"] = not arguments.ignore_eos
    model = open_model(arguments.model, precision=arguments.precision)
    if not hasattr(model, "generate"):
        raise InputError(f"{arguments.model}: a {model.title} writes no text: use predict")
    if not arguments.prompt and not arguments.json and sys.stdin.isatty():
        from recurra.cli.session import Session

        return Session(model, options, names).run()
    if arguments.prompt.count("-") > 1:
        raise InputError("standard input can be read once: give - once")
    prompts = [_read() if text == "-" else text for text in arguments.prompt or [""]]
    _warn_unknown(model, prompts)
    beams = options.get("beams") not in (None, 1)
    if len(prompts) == 1 and not arguments.json and not beams:
        return _stream(model, prompts[0], options)
    for index, found in enumerate(model.generate(prompts, **options)):
        if arguments.json:
            sys.stdout.write(json.dumps(found.to_dict(), ensure_ascii=False) + "\n")
            continue
        for hypothesis in (found, *found.others):
            score = f"[{hypothesis.score:.3f}] " if found.others else ""
            sys.stdout.write(f"{score}{hypothesis.prompt}{hypothesis.text}\n")
        if index < len(prompts) - 1:
            sys.stdout.write("\n")
    return 0


def _read() -> str:
    """The text of standard input, without the line end after it."""
    from recurra.errors import InputError

    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: expected a prompt in UTF-8, received {error}") from None


def _stream(model: Any, prompt: str, options: dict[str, Any]) -> int:
    pieces = model.stream(prompt, **options)
    sys.stdout.write(prompt)
    try:
        for piece in pieces:
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        raise
    sys.stdout.write("\n")
    return 0


def _warn_unknown(model: Any, prompts: list[str]) -> None:
    """Say which symbols of the prompts the model reads as <unk>; it refuses where it has none."""
    unknown = sorted({s for prompt in prompts for s in model.tokenizer.unknown(prompt)})
    if unknown and model.tokenizer.unk_id is not None:
        shown = ", ".join(map(repr, unknown[:5])) + (" …" if len(unknown) > 5 else "")
        sys.stderr.write(f"recurra: note: not in the vocabulary, read as <unk>: {shown}\n")
