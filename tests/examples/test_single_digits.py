"""Single digits are told apart through a transcriber's features."""

import pytest

from conftest import example
from recurra import SequenceClassifier


@pytest.fixture(scope="module")
def script():
    return example("transcribe/single_digits")


def test_one_speaker(script, data_dir):
    parts = script.read(data_dir / "fsdd", ("nicolas",))
    assert {part: len(labels) for part, (_, labels) in parts.items()} == {
        "train": 400,
        "valid": 50,
        "test": 50,
    }
    model = SequenceClassifier(inputs="numbers", cell="gru", hidden=32, pooling="attention")
    model.fit(parts["train"], valid=parts["valid"], epochs=8, progress=False, threads=1)
    assert model.evaluate(parts["test"]).accuracy > 0.85
