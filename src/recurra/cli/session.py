"""Writing with a language model in turns: `recurra generate RUN` without a prompt."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from recurra.errors import InputError

HELP = """A line is a prompt, or goes on where the text ends. An empty line lets the model write on.
  :retry        write the last turn again, with other draws
  :back         take the last turn back
  :try N        N ways to go on; :pick K takes one of them
  :set NAME X   a setting, such as temperature 0.7; none of X for its default
  :settings     those that are set
  :show         the whole text
  :new          begin anew
  :help, :quit  this help; the end, as Ctrl-D
"""
_PROMPT = "» "


class Session:
    """A text that a person and a model write in turns.

    Args:
        model: a language model.
        options: of `generate`, by name.
        kinds: names of the options that may be set.
    """

    def __init__(self, model: Any, options: dict[str, Any], kinds: set[str]) -> None:
        self._model, self._options, self._kinds = model, dict(options), kinds
        self._turns: list[tuple[str, str]] = []  # what was typed, and what was written after it
        self._ways: list[str] = []
        self._draw = 0

    @property
    def text(self) -> str:
        """All that was written by both."""
        return "".join(typed + written for typed, written in self._turns)

    def run(self) -> int:
        """Read lines until there are no more; returns the exit code."""
        shown = sys.stdin.isatty()
        if shown:
            _write(f"{self._model!r}\n{HELP}")
        while True:
            if shown:
                _write(_PROMPT)
            line = sys.stdin.readline()
            if not line:
                _write("\n" if shown else "")
                return 0
            try:
                if self._take(line.rstrip("\r\n")):
                    return 0
            except InputError as error:
                sys.stderr.write(f"recurra: {' '.join(str(error).split())}\n")
            except KeyboardInterrupt:
                _write("\n")

    def _take(self, line: str) -> bool:
        """Do what a line says; whether it was the last."""
        if not line.startswith(":"):
            self._write_on(line)
            return False
        name, *words = line[1:].split() or [""]
        if name in ("quit", "q") and not words:
            return True
        verbs: dict[str, Callable[..., None]] = {
            "retry": self._retry,
            "back": self._back,
            "try": self._try,
            "pick": self._pick,
            "set": self._set,
            "settings": self._settings,
            "show": lambda: _write(self.text + "\n"),
            "new": self._turns.clear,
            "help": lambda: _write(HELP),
        }
        does = verbs.get(name)
        if does is None:
            raise InputError(f"unknown command :{name}: see :help")
        try:
            inspect.signature(does).bind(*words)
        except TypeError as error:
            raise InputError(f":{name}: expected other words behind it: see :help") from error
        does(*words)
        return False

    def _chosen(self, way: int = 0) -> dict[str, Any]:
        """The options of the next text; with a seed other draws have other seeds."""
        chosen = dict(self._options)
        if chosen.get("seed") is not None:
            chosen["seed"] = int(chosen["seed"]) + self._draw + way
        return chosen

    def _write_on(self, typed: str) -> None:
        text, written = self.text + typed, ""
        pieces = self._model.stream(text, **self._chosen())
        self._turns.append((typed, written))
        try:
            for piece in pieces:
                written += piece.text
                self._turns[-1] = (typed, written)
                _write(piece.text)
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):  # what was written until then stays
                self._turns.pop()
            raise
        _write("\n")

    def _retry(self) -> None:
        typed, _ = self._last()
        before = self._turns.pop()
        self._draw += 1
        try:
            self._write_on(typed)
        except InputError:
            self._turns.append(before)
            raise

    def _back(self) -> None:
        self._last()
        self._turns.pop()
        _write(f"{self.text}\n")

    def _last(self) -> tuple[str, str]:
        if not self._turns:
            raise InputError("nothing is written yet: type a line")
        return self._turns[-1]

    def _try(self, count: str) -> None:
        number = _number(count, "try")
        self._ways = []
        for way in range(number):
            found = self._model.generate(self.text, **self._chosen(way + 1))
            self._ways.append(found.text)
            _write(f"{way + 1}: {found.text}\n")
        self._draw += number

    def _pick(self, which: str) -> None:
        number = _number(which, "pick")
        if number > len(self._ways):
            raise InputError(f":pick: expected one of {len(self._ways)} ways of :try")
        self._turns.append(("", self._ways[number - 1]))
        self._ways = []
        _write(f"{self.text}\n")

    def _set(self, name: str, text: str) -> None:
        from recurra.cli.parser import value
        from recurra.generate import Options

        key = name.removeprefix("--").replace("-", "_")
        if key not in self._kinds:
            raise InputError(
                f":set: unknown setting {name}: known: {', '.join(sorted(self._kinds))}"
            )
        options = {**self._options, key: value(text)}
        if options[key] is None:
            del options[key]
        Options(**options).validate(self._model.runtime.vocab_size)
        self._options = options

    def _settings(self) -> None:
        told = (f"{name} {value}" for name, value in self._options.items() if value not in ([], ()))
        _write("\n".join(told) + "\n")


def _number(text: str, command: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise InputError(f":{command}: expected a number from 1 to 100, received {text}")
    return int(text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
