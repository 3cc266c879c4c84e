"""What the examples of tagging promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def test_parts_of_speech(data_dir):
    own, hmm = example("tag/parts_of_speech").main([str(data_dir / "ud-en-ewt")])
    assert own.accuracy >= 0.95
    assert hmm.accuracy >= 0.92


def test_few_tags(data_dir):
    """What the words without tags are worth, beside the same network, and one that reads more."""
    words = [str(data_dir / "ud-en-ewt"), "--sentences", "100", "--threads", "1"]
    own, same, letters = example("tag/few_tags").main(words)[100].values()
    assert own > same + 0.02
    assert own > letters + 0.01


def test_entities(data_dir):
    found = example("tag/entities").main([str(data_dir / "wnut17")])
    own, crf, hmm = (found[model].figures["f1"] for model in ("gru", "crf", "hmm"))
    assert own > crf + 0.01
    assert crf > hmm
