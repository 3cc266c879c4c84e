"""The Transformer beside the recurrent transcriber: as many parameters, and it learns."""

import pytest

from recurra.baselines.compare import compare
from recurra.baselines.protocol import Budget
from recurra.baselines.transcriber.transformer import TransformerTranscriber
from recurra.errors import InputError
from recurra.storage import read_model
from tasks.tones import TINY, recordings

TRAIN, VALID, TEST = recordings(64, seed=1), recordings(16, seed=2), recordings(16, seed=3)


def test_it_learns_with_as_many_parameters_as_it_is_given(tmp_path):
    model = TransformerTranscriber(**TINY, batch=8, epochs=25, lr=3e-3)
    model.fit(TRAIN, valid=VALID, budget=Budget(parameters=12_000, threads=1))
    assert model.parameters == pytest.approx(12_000, rel=0.01)
    found = model.evaluate(TEST)
    assert found.word_error_rate < 0.3, found
    heard = model.predict([one.sound for one in TEST])
    assert sum(a == b.text for a, b in zip(heard, TEST, strict=True)) >= 8
    files = read_model(model.save(tmp_path / "model"))
    assert files.config["task"] == "transformer_transcriber"
    assert sum(t.size for t in files.tensors.values()) == model.parameters


def test_the_two_are_compared_on_the_same_recordings():
    found = compare(
        "transcribe",
        TRAIN,
        test=TEST,
        valid=VALID,
        models=["gru", "transformer"],
        minutes=0.05,
        threads=1,
        **TINY,
        batch=8,
    )
    assert found["transformer"].parameters == pytest.approx(found["gru"].parameters, rel=0.02)
    assert {"word_error_rate", "character_error_rate"} <= set(found["gru"].figures)
    assert "word error rate" in str(found)


def test_it_asks_to_be_trained():
    with pytest.raises(InputError, match="not trained yet"):
        TransformerTranscriber().predict(TEST)
