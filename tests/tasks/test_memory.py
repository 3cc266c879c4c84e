"""Training takes memory for the model, not for the text."""

import subprocess
import sys

import pytest

TRAIN = """
import resource, sys
from recurra import LanguageModel
model = LanguageModel(hidden=8, embedding=8)
text, out, valid = sys.argv[1:]
model.fit(text, valid=valid, out=out, steps=3, batch=8, bptt=16, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
LINE = "the cat sees a dog, and the dog runs to the small house.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_memory_does_not_grow_with_the_text(tmp_path):
    valid = tmp_path / "valid.txt"
    valid.write_text(LINE * 20)
    peaks = []
    for megabytes in (1, 60):
        text = tmp_path / f"{megabytes}.txt"
        text.write_text(LINE * (megabytes * 1_000_000 // len(LINE)))
        command = [sys.executable, "-c", TRAIN, str(text), str(tmp_path / f"run{megabytes}")]
        done = subprocess.run(
            [*command, str(valid)], capture_output=True, text=True, timeout=120, check=True
        )
        peaks.append(int(done.stdout) / 1000)
        text.unlink()
    assert peaks[1] - peaks[0] < 150, f"{peaks} megabytes"
