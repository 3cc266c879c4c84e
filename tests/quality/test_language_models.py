"""What the examples of language models promise, on whole texts."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(7200)]

NGRAMS = {"king-james": 73.617, "wikipedia": 214.088}


@pytest.mark.parametrize("text", NGRAMS)
def test_words_are_predicted_better_than_by_ngrams_and_best_by_both(text, data_dir):
    script = ROOT / "examples" / "lm" / "beat_ngrams.py"
    command = [sys.executable, script, text, data_dir, "--minutes", "18", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["Kneser-Ney 5-gram"] == pytest.approx(NGRAMS[text], abs=0.001)
    assert found["both"] < found["LSTM"] < found["Kneser-Ney 5-gram"]
