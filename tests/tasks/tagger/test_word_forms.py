"""Words as numbers, and as characters in groups of similar length."""

import numpy as np
import pytest

from recurra.errors import FormatError
from recurra.tasks.tagger.word_features import features
from recurra.tasks.tagger.word_forms import HALF, WordForms, WordVocabulary

SENTENCES = [["The", "the", "cat"], ["the", "END"], ["cat"]]


def spelled(batch, vocabulary, t, b):
    """The word that the characters at a place of the batch spell."""
    place = batch.places[t, b]
    for characters, lengths in batch.groups:
        if place < len(lengths):
            return "".join(vocabulary.characters[c] for c in characters[: lengths[place], place])
        place -= len(lengths)
    raise AssertionError


def test_a_vocabulary_is_ordered_by_count_and_counted():
    plain = WordVocabulary.learn(SENTENCES)
    assert plain.words == ("<unk>", "cat", "the", "END", "The")
    assert plain.count([*SENTENCES, ["dog"]]).tolist() == [1, 2, 2, 1, 1]
    folded = WordVocabulary.learn(SENTENCES, min_count=2, lowercase=True)
    assert folded.words == ("<unk>", "the", "cat")
    assert folded.count(SENTENCES).tolist() == [1, 3, 2]
    assert set("TheEND") < set(folded.characters)
    assert WordVocabulary.from_json(folded.to_json()) == folded


def test_a_batch_holds_each_word_once_as_it_is_spelled():
    rng = np.random.default_rng(0)
    letters = "abcdefgh"
    words = ["".join(rng.choice(list(letters), size=rng.integers(1, 60))) for _ in range(80)]
    vocabulary = WordVocabulary.learn([words[:60], list(letters)])
    forms = WordForms(vocabulary)
    sentences = [[words[k] for k in rng.integers(0, 80, size)] for size in (7, 0, 30, 1)]
    encoded = [forms.encode(sentence) for sentence in sentences]
    batch = forms.batch(encoded)
    assert batch.lengths.tolist() == [7, 0, 30, 1]
    assert batch.words.shape == batch.places.shape == (30, 4)
    total = sum(len(lengths) for _, lengths in batch.groups)
    assert total == len({word for sentence in sentences for word in sentence})
    for characters, lengths in batch.groups:
        assert characters.shape == (lengths.max(), len(lengths))
    for b, sentence in enumerate(sentences):
        for t, word in enumerate(sentence):
            known = vocabulary.words.index(word) if word in words[:60] else 0
            assert batch.words[t, b] == known
            shown = word if len(word) <= 2 * HALF else word[:HALF] + word[-HALF:]
            assert spelled(batch, vocabulary, t, b) == shown
    assert {forms.knows(word) for word in words[:60]} == {True}
    assert not forms.knows("zzz")


def test_features_are_those_that_are_often_true_and_each_word_has_its_own():
    vocabulary = WordVocabulary.learn(SENTENCES, feature_count=2)
    often = set(vocabulary.features)
    assert vocabulary.features[0] == "bias"  # the most frequent
    assert {"w=the", "w=cat", "e1=e", "S=x"} <= often
    assert not {"w=end", "upper", "title", "s=XXX"} & often  # true of one word alone
    assert WordVocabulary.from_json(vocabulary.to_json()) == vocabulary
    before = {k: v for k, v in vocabulary.to_json().items() if k != "features"}
    assert WordVocabulary.from_json(before).features == ()
    forms = WordForms(vocabulary)
    batch = forms.batch([forms.encode(words) for words in (["The", "2-Z"], ["cat"])])
    items, counts = batch.features
    told = np.split(items, np.cumsum(counts)[:-1])
    for t, b, word in ((0, 0, "The"), (1, 0, "2-Z"), (0, 1, "cat")):
        found = [vocabulary.features[k] for k in told[batch.places[t, b]]]
        assert found == [name for name in features(word) if name in often]


def test_unknown_characters_and_no_words_at_all():
    vocabulary = WordVocabulary.learn(SENTENCES)
    forms = WordForms(vocabulary)
    batch = forms.batch([forms.encode(["tçh"])])
    assert spelled(batch, vocabulary, 0, 0) == "t<unk>h"
    empty = forms.batch([forms.encode([])])
    assert empty.words.shape == (1, 1)
    assert empty.lengths.tolist() == [0]


@pytest.mark.parametrize(
    "values",
    [None, {}, {"words": ["a"], "characters": ["<unk>"], "lowercase": False}, {"words": 3}],
)
def test_what_is_no_vocabulary_is_refused(values):
    with pytest.raises(FormatError, match=r"tokenizer\.json: expected words and characters"):
        WordVocabulary.from_json(values)
