"""What the examples of translation promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(7200)]


def test_cmudict(data_dir):
    found = example("translate/cmudict").main([str(data_dir / "cmudict")])
    assert found["sources"] == 6327
    assert found["error_rate"] <= 0.065
    assert found["wrong"] <= 0.27


def test_tatoeba(data_dir):
    found = example("translate/tatoeba").main([str(data_dir / "tatoeba-eng-fra")])
    assert found["lstm"].figures["bleu"] > found["transformer"].figures["bleu"]
