"""What the examples of translation make of their data."""

import pytest

from conftest import example


@pytest.fixture
def cmudict(data_dir):
    if not (data_dir / "cmudict" / "g2p.test.tsv.gz").is_file():
        pytest.skip("no cmudict")
    return data_dir / "cmudict"


def test_words_have_all_their_pronunciations(cmudict):
    script = example("translate/cmudict")
    test = script.read(cmudict / "g2p.test.tsv.gz")
    assert len(test) == 6327
    assert not any(c.isdigit() for _, sounds in test for c in sounds)
    given = dict(script.with_alternatives(test[:1000], cmudict / "cmudict.dict"))
    more = script.with_alternatives(test[:1000], cmudict / "cmudict.dict")
    assert given.keys() == dict(test[:1000]).keys()
    assert set(test[:1000]) <= set(more)
    assert 1030 < len(more) < 1200
    assert {p for w, p in script.with_alternatives([("a", "AH")], cmudict / "cmudict.dict")} == {
        "AH",
        "EY",
    }
