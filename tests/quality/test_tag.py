"""What the examples of tagging promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def test_parts_of_speech(data_dir):
    own, hmm = example("tag/parts_of_speech").main([str(data_dir / "ud-en-ewt")])
    assert own.accuracy >= 0.95
    assert hmm.accuracy >= 0.92


def test_entities(data_dir):
    found = example("tag/entities").main([str(data_dir / "wnut17")])
    own, crf, hmm = (found[model].figures["f1"] for model in ("gru", "crf", "hmm"))
    assert own > crf + 0.01
    assert crf > hmm
