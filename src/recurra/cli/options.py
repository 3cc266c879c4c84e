"""Options of verbs that serve a trained model of any task: each task has its table of them."""

import argparse
from typing import Any

from recurra.cli.parser import add_settings, settings
from recurra.tasks.catalog import ENTRIES


def add_options(parser: argparse.ArgumentParser, table: str) -> None:
    """Add the options of every task whose class has that `table`, each once."""
    told: set[str] = set()
    for entry in ENTRIES:
        options = getattr(entry.load(), table, None)
        if options is not None:
            add_settings(parser, f"options of {entry.model}", options, without=told)
            told |= set(options.names())


def given_options(arguments: argparse.Namespace, table: str, model: Any) -> dict[str, Any]:
    """The options that were given, by name; all of them are in the model's own `table`.

    Raises:
        InputError: one is for models of other tasks, or its value cannot be.
    """
    from recurra.errors import InputError
    from recurra.settings import check

    given: dict[str, Any] = {}
    for entry in ENTRIES:
        options = getattr(entry.load(), table, None)
        if options is not None:
            given |= settings(arguments, options)
    own = getattr(model, table, None)
    known = () if own is None else own.names()
    foreign = [_flag(name) for name in given if name not in known]
    if foreign:
        has = f"; it has {', '.join(map(_flag, known))}" if known else ""
        raise InputError(
            f"{', '.join(foreign)}: no option of this {model.title}: leave it out{has}"
        )
    if own is not None:
        check(own(**given))
    return given


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
