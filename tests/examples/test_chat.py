"""The example of a dialogue: turns of plays, and a model that a server talks as."""

import subprocess
import sys

import pytest

import recurra
from conftest import ROOT, example
from recurra.serve.chat import format_of

PLAY = "\n\n".join(
    f"{'ANNA' if k % 3 else 'BERT'}:\nWhat is number {k % 7}? It is\none of seven."
    for k in range(150)
)


@pytest.fixture(scope="module")
def dialogue():
    return example("chat/dialogue")


def test_turns_of_a_play(dialogue):
    text = (
        "A note.\n\nFirst Citizen:\nSpeak,\nspeak.\n\nAll:\nHear him!\n\nAll:\nHear!\n\nNOBODY:\n"
    )
    found = dialogue.turns(text)
    assert found == [("First Citizen", "Speak, speak."), ("All", "Hear him!"), ("All", "Hear!")]
    assert dialogue.dialogue(found) == "A: Speak, speak.\nB: Hear him!\nB: Hear!\n"


def test_turns_are_brief(dialogue):
    long = "This is a sentence. " * 30
    assert dialogue.brief(long) == ("This is a sentence. " * 12).strip()
    assert len(dialogue.brief("x" * 1000)) == 240


def test_the_card_says_how_turns_are_written(dialogue):
    for card in ("---\nlicense: x\n---\n# A model\n", "# A model\n"):
        made = format_of(dialogue.with_format(card), None)
        assert made is not None
        assert made.stop == "\n"


def test_it_trains_a_model_that_a_server_talks_as(tmp_path):
    plays = tmp_path / "plays.txt"
    plays.write_text(PLAY, encoding="utf-8")
    script = ROOT / "examples" / "chat" / "dialogue.py"
    command = [sys.executable, script, plays, tmp_path / "model", "--steps", "5", "--hidden", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = format_of(recurra.load(tmp_path / "model").files.card, None)
    assert made is not None
    assert made.around["user"] == ("A: ", "\n")


def test_a_text_that_is_no_play(tmp_path):
    (tmp_path / "a.txt").write_text("no play", encoding="utf-8")
    script = ROOT / "examples" / "chat" / "dialogue.py"
    command = [sys.executable, script, tmp_path / "a.txt", tmp_path / "model"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected 100 turns at least, found 0" in done.stderr
