"""`recurra completion SHELL`."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from recurra.cli.parser import describe

SHELLS = ("bash", "zsh", "fish")

_BASH = """_recurra() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words= values=
  local command=${{COMP_WORDS[1]}}
  [[ $command == train && $COMP_CWORD -gt 2 ]] && command="train ${{COMP_WORDS[2]}}"
  [[ $COMP_CWORD -eq 1 ]] && command=
  case "$command" in
{words}
  esac
  case "$command $before" in
{values}
  esac
  COMPREPLY=()
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  elif [[ -z $command || $command == train || $command == completion || $current == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}}
complete -o default -F _recurra recurra
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Print a script that completes verbs, tasks, options and their values in a shell.\n"
        'bash: eval "$(recurra completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, after '
        "compinit;\nfish: recurra completion fish > ~/.config/fish/completions/recurra.fish",
        "recurra completion bash >> ~/.bash_completion",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _run(arguments: argparse.Namespace) -> int:
    table = dict(_commands())
    text = _fish(table) if arguments.shell == "fish" else _bash(table)
    if arguments.shell == "zsh":
        text = f"autoload -U +X bashcompinit && bashcompinit\n{text}"
    sys.stdout.write(text)
    return 0


def _commands() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Of each command its words, and the values of each that has some: an option's choices."""
    from importlib import import_module

    from recurra.cli.parser import VERBS, Parser

    top: dict[str, list[str]] = {word: [] for word in (*VERBS, "--help", "--version")}
    yield "", top
    for verb in VERBS:
        parser = Parser(prog=f"recurra {verb}")
        import_module(f"recurra.cli.{verb}").add_arguments(parser)
        words = dict(_words(parser))
        yield verb, words
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, child in action.choices.items():
                    child.fill()
                    yield f"{verb} {name}", dict(_words(child))


def _words(parser: Any) -> Iterator[tuple[str, list[str]]]:
    """The options of a parser, and names that stand by themselves."""
    for action in parser._actions:
        if not action.option_strings:
            yield from ((str(name), []) for name in action.choices or ())
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        values = metavar.split("|") if "|" in metavar else []
        for flag in action.option_strings:
            yield flag, values


def _bash(table: dict[str, dict[str, list[str]]]) -> str:
    words = [f'    "{name}") words="{" ".join(words)}" ;;' for name, words in table.items()]
    values = [
        f'    "{name} {flag}") values="{" ".join(choices)}" ;;'
        for name, words in table.items()
        for flag, choices in words.items()
        if choices
    ]
    return _BASH.format(words="\n".join(words), values="\n".join(values))


def _fish(table: dict[str, dict[str, list[str]]]) -> str:
    lines = []
    for name, words in table.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split())
        when = seen or "__fish_use_subcommand"
        for word, choices in words.items():
            what = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            if word.startswith("-") and not word.startswith("--"):
                what = f"-s {word[1:]}"
            given = f" -xa '{' '.join(choices)}'" if choices else ""
            lines.append(f"complete -c recurra -n '{when}' {what}{given}")
    return "\n".join(lines) + "\n"
