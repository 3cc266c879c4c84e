"""Single digits are told apart through a transcriber's features."""

import importlib.util

import pytest

from conftest import ROOT
from recurra import SequenceClassifier

PATH = ROOT / "examples" / "transcribe" / "single_digits.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("single_digits", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_speaker(example, data_dir):
    parts = example.read(data_dir / "fsdd", ("nicolas",))
    assert {part: len(labels) for part, (_, labels) in parts.items()} == {
        "train": 400,
        "valid": 50,
        "test": 50,
    }
    model = SequenceClassifier(inputs="numbers", cell="gru", hidden=32, pooling="attention")
    model.fit(parts["train"], valid=parts["valid"], epochs=8, progress=False, threads=1)
    assert model.evaluate(parts["test"]).accuracy > 0.85


@pytest.mark.quality
@pytest.mark.timeout(3600)
def test_the_figure_of_the_page(example, data_dir):
    assert example.main([str(data_dir / "fsdd")])["accuracy"] >= 0.98
