"""A trained model is measured and writes where torch is not installed."""

import subprocess
import sys

import pytest

from recurra import LanguageModel
from recurra.text import KINDS
from tasks.texts import QUICK, TINY, prose

RUN = """
import sys
sys.modules.update(dict.fromkeys(["torch", "tokenizers", "rich", "matplotlib"]))
import recurra
model = recurra.load(sys.argv[1])
print(model.evaluate(text="the cat sees a dog").nats)
print(repr(str(model.generate("the", max_tokens=9, seed=1))))
print(repr("".join(piece.text for piece in model.stream("the", max_tokens=9, seed=1))))
model.save(sys.argv[2])
print(recurra.load(sys.argv[2]) is not None)
"""
TRAIN = """
import sys
sys.modules["torch"] = None
import recurra
from recurra.errors import InputError
try:
    recurra.LanguageModel().fit(sys.argv[1])
except InputError as error:
    print(error)
"""


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("tokenizer", KINDS)
def test_load_evaluate_generate_stream_save(tokenizer, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(prose())
    vocabulary = 300 if tokenizer == "bpe" else None
    model = LanguageModel(**TINY, tokenizer=tokenizer, vocab_size=vocabulary)
    model.fit(file, progress=False, **QUICK)
    model.save(tmp_path / "model")
    nats, text, streamed, saved = python(RUN, tmp_path / "model", tmp_path / "copy")
    assert float(nats) == pytest.approx(model.evaluate(text="the cat sees a dog").nats)
    assert text == streamed == repr(str(model.generate("the", max_tokens=9, seed=1)))
    assert saved == "True"


def test_training_says_what_it_needs(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(prose())
    (told,) = python(TRAIN, file)
    assert told == "training needs torch: pip install recurra[train]"
