"""What the examples of transcription promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def test_strings_of_digits(data_dir):
    found = example("transcribe/digits").main([str(data_dir / "fsdd")])
    assert found["word_error_rate"] <= 0.03


def test_strings_of_a_speaker_held_out(data_dir):
    found = example("transcribe/digits").main([str(data_dir / "fsdd"), "--held-out", "theo"])
    assert found["word_error_rate"] <= 0.15


def test_single_digits(data_dir):
    found = example("transcribe/single_digits").main([str(data_dir / "fsdd")])
    assert found["accuracy"] >= 0.98
