"""`recurra serve RUN [RUN ...]`."""

import argparse
import os
import sys

from recurra.cli.parser import add_precision, add_settings, describe, settings

_EXTRA = "serving needs fastapi, uvicorn and websockets: pip install recurra[serve]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    from recurra.serve.settings import Limits

    describe(
        parser,
        _run,
        "Answer requests over HTTP, as OpenAI's clients send them, until told to stop.",
        "recurra serve runs/corpus --port 8000",
        usage="RUN [RUN ...] [options]",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run or model directory; NAME=RUN names it"
    )
    for flag, metavar, usual, text in (
        ("--host", "ADDRESS", "127.0.0.1", "listen there; all but loopback needs a key"),
        ("--port", "N", 8000, "0 for one that is free"),
        (
            "--process",
            "N",
            None,
            "its number, 0 to 255, of several behind one port: ids begin with it",
        ),
        ("--key-file", "FILE", None, "keys that are let in, a line each; or RECURRA_SERVE_KEY"),
        ("--chat-format", "NAME|FILE", None, "how turns are written, if not as the card says"),
    ):
        shown = text if usual is None else f"{text} (default: {usual})"
        kind = int if flag in ("--port", "--process") else str
        parser.add_argument(flag, metavar=metavar, type=kind, default=usual, help=shown)
    for flag, metavar, text in (
        ("--allow-host", "NAME", "a name that requests may call the server by; repeatable"),
        ("--allow-origin", "URL", "a page's origin that may call the server; repeatable"),
    ):
        parser.add_argument(flag, metavar=metavar, action="append", default=[], help=text)
    parser.add_argument(
        "--check", action="store_true", help="test under load for ten seconds, and end"
    )
    add_precision(parser)
    add_settings(parser, "bounds (also RECURRA_SERVE_<NAME> in the environment)", Limits)


def _run(arguments: argparse.Namespace) -> int:
    from recurra.errors import InputError
    from recurra.serve.settings import Limits, from_environment

    limits = Limits(**{**from_environment(os.environ), **settings(arguments, Limits)}).validate()
    try:
        from recurra.serve import run
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "pydantic", "starlette", "h11", "websockets"):
            raise
        raise InputError(_EXTRA) from None
    where = run.Listening(
        host=arguments.host,
        port=arguments.port,
        keys=_keys(arguments.key_file),
        allow_hosts=arguments.allow_host,
        allow_origins=arguments.allow_origin,
        limits=limits,
    ).validate()
    serving = run.load(
        arguments.runs,
        limits,
        precision=arguments.precision,
        chat=arguments.chat_format,
        process=arguments.process,
    )
    if arguments.check:
        from recurra.cli.doctor import processor
        from recurra.serve.check import check

        return check(serving, _say, machine=processor()[0])
    return run.serve(serving, where, _announce)


def _keys(path: str | None) -> list[str]:
    """The keys of a file, and the one of the environment. No option takes a key: others on the
    machine could read it in the list of processes."""
    from pathlib import Path

    from recurra.storage.disk import read_file

    keys = [os.environ["RECURRA_SERVE_KEY"]] if os.environ.get("RECURRA_SERVE_KEY") else []
    if path is not None:
        text = read_file(Path(path), limit=1 << 20).decode("utf-8", "replace")
        keys += [line.strip() for line in text.splitlines() if line.strip()]
    return keys


def _announce(url: str) -> None:
    _say(f"listening on {url}\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
