"""The list of messages is that of the source, and what messages name can be used."""

import ast
import functools
import re
import tomllib
from importlib import import_module

import pytest

from conftest import ROOT
from recurra.bounded import LIMITS
from recurra.cli.parser import VERBS, Parser
from tools import list_messages

SOURCE = ROOT / "src" / "recurra"
#: What messages name of other projects: options, calls and settings.
ELSEWHERE = (
    {"to", "long", "to_dense", "as_tensor", "to_padded_tensor", "weight_ih"},  # torch
    {"reset_index"},  # pandas
    {"go_backwards", "merge_mode", "recurrent_kernel"},  # Keras
    {
        "sequence_lens",
        "input_forget",
        "activation_alpha",
        "activation_beta",
        "training_mode",
    },  # ONNX
    {"__metadata__"},  # safetensors
    {"my_cell", "name"},  # examples
    {"label_kinds", "tag_kinds"},  # config.json
)


@functools.cache
def messages():
    """Every message, with its module and the function that raises it."""
    return [
        (f"{path.relative_to(SOURCE)} {where}", text)
        for path in sorted(SOURCE.rglob("*.py"))
        for where, _, text in list_messages.messages_of(path)
    ]


def literal(text):
    """What a message says whatever is filled in: settings of the source that it computes go."""
    before = None
    while before != text:
        before, text = text, re.sub(r"\{[^{}]*\}", "…", text)
    return text


def options():
    """Every option of every verb and task."""
    found, waiting = set(), []
    for verb in VERBS:
        waiting.append(Parser())
        import_module(f"recurra.cli.{verb}").add_arguments(waiting[-1])
    while waiting:
        one = waiting.pop()
        if one.fill is not None:
            one.fill()
        for action in one._actions:
            found |= set(action.option_strings)
            waiting += action.choices.values() if isinstance(action.choices, dict) else []
    return found


@pytest.fixture(scope="module")
def named():
    """Names of modules, arguments, fields, attributes, functions and classes in the source."""
    found = set().union(*ELSEWHERE)
    for path in SOURCE.rglob("*.py"):
        found |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


def test_the_list_is_that_of_the_source():
    assert list_messages.PAGE.read_text(encoding="utf-8") == list_messages.page()
    assert len(messages()) > 600


def test_every_message_says_something():
    for where, text in messages():
        assert text.strip(), where
        assert "\\n" not in text, f"{where}: more than one line: {text}"
        assert not literal(text).rstrip().endswith((".", "!")), f"{where}: {text}"


def test_options_of_the_command_line_exist():
    known = options()
    assert "--skip-bad" in known
    for where, text in messages():
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
            assert option in known, f"{where} names {option}: {text}"


#: `name=value`, `call()`, and names that only code has: those with an underscore.
PATTERNS = {
    "setting": r"(?<![\w.-])([a-z_]+)=(?=[\w\"'])",
    "call": r"(?<!\w)([a-z_]+)\(",
    "name": r"(?<![\w.])([a-z]+(?:_[a-z]+)+)(?![\w.])",
    "backticks": r"`([a-z_]+)`",
    "method": r"recurra\.([a-z_]+)\b",
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_settings_and_calls_exist(kind, named):
    for where, text in messages():
        for name in re.findall(PATTERNS[kind], literal(text)):
            assert name in named, f"{where} names {name}: {text}"


def test_extras_and_environment_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    for where, text in messages():
        for extra in re.findall(r"recurra\[(\w+)\]", text):
            assert extra in extras, f"{where} names {extra}"
        for row in re.findall(r"\bRECURRA_LIMIT_([A-Z_]+)\b", text):
            assert row.lower() in LIMITS, f"{where} names a limit {row}"
        for variable in re.findall(r"\bRECURRA_(?!LIMIT_)[A-Z]+", text):
            assert len(re.findall(rf'"{variable}"', sources)) >= 1, f"{where} names {variable}"
