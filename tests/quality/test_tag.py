"""What the examples of tagging promise, on the whole of their data: minutes each."""

import importlib.util

import pytest

from conftest import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def example(name):
    path = ROOT / "examples" / "tag" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_parts_of_speech(data_dir):
    own, hmm = example("parts_of_speech")([str(data_dir / "ud-en-ewt")])
    assert own.accuracy >= 0.95
    assert hmm.accuracy >= 0.92


def test_entities(data_dir):
    found = example("entities")([str(data_dir / "wnut17")])
    own, crf, hmm = (found[model].figures["f1"] for model in ("gru", "crf", "hmm"))
    assert own > crf + 0.01
    assert crf > hmm
