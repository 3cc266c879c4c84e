import numpy as np
import pytest
from scipy.stats import spearmanr

from inspect_cases import load
from recurra.errors import InputError
from recurra.inspect import attention
from recurra.inspect.attention import rank_correlation


@pytest.mark.parametrize("name", ["translator-char", "translator-copy"])
def test_rows_sum_to_one(name):
    found = attention(load(name), "abcdef", "fedcba")
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-5)
    assert found.weights.shape == found.occlusion.shape == (len(found.target), len(found.source))
    assert ((found.entropy >= 0) & (found.entropy <= np.log(len(found.source)) + 1e-9)).all()
    assert np.isnan(found.correlation) or -1 <= found.correlation <= 1
    assert attention(load(name), "abc").target


def test_ranks_are_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 5, (2, 9)).astype(float)
        assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other)[0], abs=1e-12)


def test_other_models_are_refused_in_a_line():
    with pytest.raises(InputError, match="expected a translator, received a"):
        attention(load("tagger-crf"), "abc")
