"""Words, their n-grams, and the numbering of forms."""

import numpy as np
import pytest

from recurra.errors import FormatError
from recurra.text import CharTokenizer, WordTokenizer
from recurra.text.lexicon import Lexicon, Normaliser, Subwords, subwords_from_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's good, isn't it?!", "It's good , isn't it ? !"),
        ("slow-moving -- and (odd)", "slow-moving - - and ( odd )"),
        ("£900 prize: call 09061701461.", "£ 900 prize : call 09061701461 ."),
        ("l’été à 5.5", "l’été à 5 . 5"),
        ("  \t\n ", ""),
    ],
)
def test_punctuation_is_parted_from_words(text, expected):
    assert Normaliser(punctuation=True)(text) == expected
    assert Normaliser(punctuation=True, lowercase=True)(text) == expected.lower()
    assert Normaliser()(text) == text


def test_n_grams_of_a_word_by_hand():
    grams = Subwords.train(["cat"], min_count=1)
    assert set(grams.grams) == {"<ca", "cat", "at>", "<cat", "cat>", "<cat>"}
    assert [grams.grams[k] for k in grams.of("cats")] == ["<ca", "cat", "<cat"]
    assert grams.of("dog").tolist() == []
    twice = Subwords.train(["aaaa"], min_count=1)
    assert [twice.grams[k] for k in twice.of("aaaa")].count("aaa") == 2


def test_n_grams_have_to_be_in_several_words():
    grams = Subwords.train(["cat", "cats", "dog"], min_count=2)
    assert set(grams.grams) == {"<ca", "cat", "<cat"}
    # however often one word has it
    assert "aaa" not in Subwords.train(["aaaa", "b"], min_count=2).grams
    assert Subwords(list(grams.grams)).of("cat").tolist() == grams.of("cat").tolist()


def test_forms_are_words_with_their_own_n_grams():
    words = WordTokenizer(["<unk>", "the", "cat"])
    lexicon = Lexicon(words, Subwords.train(["cat", "the"], min_count=1))
    assert lexicon.encode("the cat the cot cut").tolist() == [0, 1, 0, 2, 3]
    assert lexicon.encode("cut").tolist() == [3]
    assert lexicon.tokens == [1, 2, 0, 0]  # two unknown words are two forms of one token
    tokens, grams, counts = lexicon.rows(np.array([3, 1, 1]))
    assert tokens.tolist() == [0, 2, 2]
    assert counts.tolist() == [0, 6, 6]
    assert len(grams) == 12
    assert (grams[:6] == grams[6:]).all()


def test_forms_are_tokens_with_any_other_tokenizer():
    lexicon = Lexicon(CharTokenizer(["<unk>", "a", "b"]))
    assert lexicon.encode("abax?").tolist() == [0, 1, 0, 2, 2]
    assert lexicon.tokens == [1, 2, 0]
    assert [len(part) for part in lexicon.rows(np.arange(3))] == [3, 0, 3]
    assert lexicon.encode("").tolist() == []


def test_what_a_file_says_of_n_grams():
    assert subwords_from_json(None) is None
    assert subwords_from_json(["abc"]).grams == ("abc",)
    for wrong in ("abc", [1], {"a": 1}):
        with pytest.raises(FormatError, match="n-grams"):
            subwords_from_json(wrong)
