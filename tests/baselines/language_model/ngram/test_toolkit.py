"""The King James Bible beside KenLM: n-grams, discounts, and the perplexity of six held-out books.

Made with `lmplz -o 5` and `query -v summary` of KenLM, from the verses in lower case with the
punctuation apart, every word of the training books in the vocabulary.
"""

import numpy as np
import pytest

from examples.lm.texts import king_james
from recurra.baselines.language_model.ngram import KneserNey
from recurra.text import train_tokenizer

GRAMS = [11983, 130208, 360370, 547190, 635189]  # KenLM counts <s> as one more of the first
DISCOUNTS = [
    (0.560895, 1.01873, 1.57583),
    (0.693364, 1.1032, 1.48564),
    (0.79876, 1.19231, 1.50811),
    (0.87938, 1.32234, 1.58605),
    (0.877181, 1.40023, 1.62659),
]
PERPLEXITY, WITHOUT_UNKNOWN, UNKNOWN = 80.50130106235986, 74.69118360797795, 403


def test_kenlms_counts_discounts_and_perplexity(data_dir):
    train, _, held_out = king_james(data_dir)
    tokenizer = train_tokenizer("word", [train], eos=True)
    read, scored = (np.append([tokenizer.eos_id], tokenizer.encode(t)) for t in (train, held_out))
    V, end = len(tokenizer), tokenizer.eos_id
    model = KneserNey.count(read, order=5, vocabulary=V, end=end)
    assert [len(grams) for grams in model.grams] == GRAMS
    np.testing.assert_allclose(model.discounts, DISCOUNTS, rtol=5e-6)
    assert model.fallback == []
    found, _ = model.log_probabilities(scored[None, :-1], scored[None, 1:], model.start(1))
    unknown = scored[1:] == tokenizer.unk_id
    assert unknown.sum() == UNKNOWN
    # in float32, theirs and ours
    assert np.exp(-found.mean()) == pytest.approx(PERPLEXITY, rel=1e-6)
    assert np.exp(-found[0][~unknown].mean()) == pytest.approx(WITHOUT_UNKNOWN, rel=1e-6)
