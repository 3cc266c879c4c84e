"""The examples of translation run on a slice; with `-m quality`, they reach their figures."""

import importlib.util

import pytest

from conftest import ROOT

FOLDER = ROOT / "examples" / "translate"


def load(name):
    spec = importlib.util.spec_from_file_location(f"translate_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cmudict(data_dir):
    if not (data_dir / "cmudict" / "g2p.test.tsv.gz").is_file():
        pytest.skip("no cmudict")
    return data_dir / "cmudict"


@pytest.fixture
def tatoeba(data_dir):
    if not (data_dir / "tatoeba-eng-fra" / "test.tsv.gz").is_file():
        pytest.skip("no tatoeba-eng-fra")
    return data_dir / "tatoeba-eng-fra"


def test_words_have_all_their_pronunciations(cmudict):
    example = load("cmudict")
    test = example.read(cmudict / "g2p.test.tsv.gz")
    assert len(test) == 6327
    assert not any(c.isdigit() for _, sounds in test for c in sounds)
    given = dict(example.with_alternatives(test[:1000], cmudict / "cmudict.dict"))
    more = example.with_alternatives(test[:1000], cmudict / "cmudict.dict")
    assert given.keys() == dict(test[:1000]).keys()
    assert set(test[:1000]) <= set(more)
    assert 1030 < len(more) < 1200
    assert {p for w, p in example.with_alternatives([("a", "AH")], cmudict / "cmudict.dict")} == {
        "AH",
        "EY",
    }


@pytest.mark.quality
@pytest.mark.timeout(7200)
def test_cmudict_reaches_its_figures(cmudict):
    found = load("cmudict").main([str(cmudict)])
    assert found["error_rate"] <= 0.065
    assert found["wrong"] <= 0.27


@pytest.mark.quality
@pytest.mark.timeout(7200)
def test_tatoeba_is_above_the_transformer(tatoeba):
    found = load("tatoeba").main([str(tatoeba)])
    assert found["lstm"].figures["bleu"] > found["transformer"].figures["bleu"]
