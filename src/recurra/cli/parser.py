"""Arguments of every verb. Imports nothing slow: `recurra --help` answers at once."""

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NoReturn

#: Verbs, in the order of help: a line each, and the module in which they are.
VERBS = {
    "train": "train a model on data",
    "evaluate": "measure a model on held-out data",
    "predict": "apply a model to data",
    "compare": "train rivals on the same data and set them side by side",
    "generate": "let a language model write",
    "inspect": "look inside a model while it reads: a page of pictures",
    "serve": "answer requests over HTTP, as OpenAI's clients send them",
    "export": "write a model in the format of other libraries",
    "completion": "print a script for bash, zsh or fish that completes commands",
    "doctor": "show versions and processor, and test the installation",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, **options: Any) -> None:
        # What `--hid` stands for would change with the next option that begins so.
        super().__init__(**{"allow_abbrev": False, **options})
        self._mixing = False
        #: Adds the arguments when the parser is used: they may cost imports.
        self.fill: Callable[[], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; where words are left over that look like options, say which were meant."""
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill()
        if self._subparsers is not None or self._mixing:
            return super().parse_known_args(args, namespace)
        # Else `generate RUN --seed 1 PROMPT` would find no prompt beside RUN, and be done with it.
        self._mixing = True
        arguments, left = self.parse_known_intermixed_args(args, namespace)
        self._mixing = False
        unknown = [word for word in left if word.startswith("-")]
        if unknown:
            self.error(f"unknown option {unknown[0]}{self._meant(unknown[0])}")
        return arguments, left

    def _meant(self, word: str) -> str:
        close = difflib.get_close_matches(word.partition("=")[0], self._option_string_actions, 1)
        return f": did you mean {close[0]}?" if close else ""

    def error(self, message: str) -> NoReturn:
        """Print the message and where help is, and exit with 2."""
        sys.stderr.write(f"{self.prog}: error: {message} (see {self.prog} --help)\n")
        sys.exit(2)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="recurra",
        description="Recurrent sequence models: train them, measure them, let them write.",
        epilog="example: recurra train lm corpus.txt --minutes 3",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, help_line in VERBS.items():
        verbs.add_parser(verb, help=help_line, add_help=False).set_defaults(verb=verb)
    return _Lazy(parser, verbs)  # type: ignore[return-value]


class _Lazy:
    """Fills in the arguments of the one verb that is asked for."""

    def __init__(self, parser: Parser, verbs: Any) -> None:
        self._parser, self._verbs = parser, verbs

    def parse_args(self, argv: Iterable[str] | None = None) -> argparse.Namespace:
        given = list(sys.argv[1:] if argv is None else argv)
        verb = next((word for word in given if not word.startswith("-")), None)
        if verb in VERBS:
            child = self._verbs.choices[verb]
            child.add_argument("-h", "--help", action="help", help="show this help and exit")
            import_module(f"recurra.cli.{verb}").add_arguments(child)
        return self._parser.parse_args(given)


class _Version(argparse.Action):
    """`--version`."""

    def __init__(self, option_strings: Any, dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: Any, *_: Any) -> None:
        from recurra import __version__

        sys.stdout.write(f"recurra {__version__}\n")
        parser.exit()


def describe(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int | None],
    description: str,
    example: str,
    *,
    usage: str | None = None,
) -> None:
    """Set what a verb does and says of itself."""
    parser.set_defaults(run=run)
    parser.description = description
    parser.epilog = f"example: {example}"
    parser.usage = usage and f"{parser.prog} {usage}"
    # An example is there to be copied, and is in one line.
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add the option of verbs that run a trained model."""
    parser.add_argument(
        "--precision",
        metavar="float32|bf16",
        default="float32",
        help="of products; bf16 needs AVX512-BF16 or AMX, and saves time with AMX alone "
        "(default: float32)",
    )


def add_settings(
    parser: argparse.ArgumentParser,
    title: str,
    table: Any,
    *,
    without: Collection[str] = (),
    usual: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Add an option for every field of a table of settings; only those given are set.

    Fields `without` which it is to be, another table has added already. `usual` says, by
    name, what is done by default where that is not what the table says.
    """
    group = parser.add_argument_group(title)
    for field in dataclasses.fields(table):
        if field.name in without or field.metadata["python"]:
            continue
        rule, flag = field.metadata, "--" + field.name.replace("_", "-")
        shown = "" if field.default is None else f" (default: {_show(field.default)})"
        described = rule["help"]
        if field.name in usual:
            described = f"{described.partition('; by default')[0]}; by default {usual[field.name]}"
        known = f": {', '.join(rule['choices'])}" if len(rule["choices"]) > 5 else ""
        help_text = (described + known + shown).replace("%", "%%")
        common: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": field.name}
        if rule["switch"]:
            action = argparse.BooleanOptionalAction
            group.add_argument(flag, action=action, help=help_text, **common)
            continue
        if rule["choices"]:
            metavar: Any = "|".join(rule["choices"]) if len(rule["choices"]) < 6 else "NAME"
        else:
            metavar = "TEXT" if rule["text"] else "N" if rule["whole"] else "X"
        if isinstance(field.default, tuple):
            size = len(field.default)
            group.add_argument(
                flag, nargs=size, type=value, metavar=(metavar,) * size, help=help_text, **common
            )
        else:
            kind = str if rule["choices"] or rule["text"] else value
            group.add_argument(flag, type=kind, metavar=metavar, help=help_text, **common)


def usual_of(model: Any) -> Mapping[str, str]:
    """What a task's class does by default in training, where that is not what the loop does."""
    lr = model.fitting.lr
    return {} if lr is None else {"lr": f"{lr:g} for adam and adamw, 1 for sgd"}


def settings(arguments: argparse.Namespace, *tables: Any) -> dict[str, Any]:
    """The settings of some tables that were given, by name."""
    names = {name for table in tables for name in table.names()}
    return {
        name: tuple(given) if isinstance(given, list) else given
        for name, given in vars(arguments).items()
        if name in names
    }


def value(text: str) -> Any:
    """A number where the text is one, None for "none", else the text: what is wrong is told later,
    together with all other mistakes."""
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _show(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return " ".join(f"{item:g}" for item in default)
    return f"{default:g}" if isinstance(default, float) else str(default)
