"""Verbs with odd values of their options, drawn from a seed: done, or one line that says why not;
and the defaults that help shows are those in use."""

import re
import zlib
from importlib import import_module

import numpy as np
import pytest

from conftest import ROOT
from project import odd_calls
from recurra.cli.parser import VERBS, Parser
from recurra.tasks.catalog import ENTRIES
from recurra.train.config import TrainConfig

GOLDEN = ROOT / "tests" / "golden"
VALUES = ["", " ", "-1", "0", "1", "2", "1.5", "nan", "inf", "1e400", "9" * 400, "a", "none"]
VALUES += ["true", "a,b", "0.5,0.9", "x" * 3000, "\ud83d", "ä\nb", "../..", "/dev/null", "--", "-"]
#: Each verb with arguments that are right; training ends at its number of steps.
COMMANDS = {
    "evaluate": ["evaluate", GOLDEN / "lm-char-gru" / "model", "text.txt"],
    "predict": ["predict", GOLDEN / "classifier-words" / "model", "rows.csv"],
    "predict tags": ["predict", GOLDEN / "tagger-crf" / "model", "tagged.conll"],
    "predict series": ["predict", GOLDEN / "forecaster-direct" / "model", "series.csv"],
    "generate": ["generate", GOLDEN / "lm-char-gru" / "model", "a", "--max-tokens", "3"],
    "export": ["export", GOLDEN / "lm-char-gru" / "model", "--out", "out.onnx"],
    "train lm": ["train", "lm", "text.txt", "--steps", "0"],
    "train classify": ["train", "classify", "rows.csv", "--steps", "0"],
    "train tag": ["train", "tag", "tagged.conll", "--steps", "0"],
    "train forecast": ["train", "forecast", "series.csv", "--steps", "0"],
    "train translate": ["train", "translate", "pairs.tsv", "--steps", "0"],
    "train transcribe": ["train", "transcribe", "said.tsv", "--steps", "0"],
}


def parser_of(words):
    """The parser of a verb, or of one of its tasks, with all arguments."""
    made = Parser()
    import_module(f"recurra.cli.{words[0]}").add_arguments(made)
    if words[0] == "train":
        (tasks,) = (a for a in made._actions if isinstance(a.choices, dict))
        made = tasks.choices[words[1]]
    if made.fill is not None:
        made.fill()
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_odd_options(name, recurra, tmp_path, monkeypatch):
    odd_calls.files(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = [str(word) for word in COMMANDS[name]]
    assert words[0] in VERBS
    flags = [f for a in parser_of(words)._actions for f in a.option_strings if f.startswith("--")]
    flags = sorted(set(flags) - {"--help", "--steps"})
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(15):
        flag, value = str(random.choice(flags)), str(random.choice(VALUES))
        # Without a value, with one of its own, and with one that is its next word.
        given = [[flag], [f"{flag}={value}"], [flag, value]][int(random.integers(3))]
        done = recurra(*words, *given)
        told = [line for line in done.err.splitlines() if "error" in line]
        assert done.code in (0, 1, 2), (given, done)
        assert (done.code == 0) == (not told), (given, done)
        assert len(told) <= 1, (given, done)
        assert words[0] != "train" or done.code == 2, (given, done)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.word for entry in ENTRIES])
def test_defaults_in_help_are_those_in_use(entry):
    model = entry.load()()
    used = TrainConfig().to_json() | model.config.to_json()
    compared = 0
    for action in parser_of(["train", entry.word])._actions:
        shown = re.search(r"\(default: ([^)]*)\)$", action.help or "")
        if shown is None or action.dest not in used:
            continue
        value = used[action.dest]
        if value is None:  # chosen by what stands beside it: help says how
            continue
        if isinstance(value, bool):
            expected = "on" if value else "off"
        elif isinstance(value, list):
            expected = " ".join(f"{number:g}" for number in value)
        else:
            expected = f"{value:g}" if isinstance(value, float) else str(value)
        assert shown[1].replace("%%", "%") == expected, action.option_strings
        compared += 1
    assert compared > 30
