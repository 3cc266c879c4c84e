import numpy as np
import pytest

from inspect_cases import TEXTS, data_of, load, text_model
from recurra.baselines.language_model.ngram import NGramModel
from recurra.cells import find
from recurra.errors import InputError
from recurra.inspect import context_needed, memory
from recurra.inspect.network import Network
from recurra.runtime.stack import OneHot

RNG = np.random.default_rng(0)


def delay_line(m, symbols=5):
    """A network that holds the last m tokens, one behind the other, and looks at all of them."""
    size = m * symbols
    shift = np.eye(size, k=-symbols)
    weights = {"weight_ih": np.eye(size)[:, :symbols], "weight_hh": shift}
    weights |= {"bias_ih": np.zeros(size), "bias_hh": np.zeros(size)}
    program = find("rnn").program(activation="identity")
    rows = OneHot(symbols)
    network = Network(program, (weights,), ((np.zeros(size),),), symbols, rows=rows)
    return text_model(network, RNG.normal(size=(symbols, size)))


@pytest.fixture(scope="module")
def five_gram(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    rng = np.random.default_rng(3)
    letters = "".join(rng.choice(list("abcde \n"), size=4000))
    (folder / "text.txt").write_text(letters)
    model = NGramModel(tokenizer="char", order=5)
    model.fit(folder / "text.txt")
    return model, letters[:600]


@pytest.mark.parametrize("m", [1, 3, 6])
def test_a_delay_line_forgets_after_its_length(m):
    found = memory(delay_line(m), RNG.integers(0, 5, 200), lags=12)
    assert found.last == m - 1
    np.testing.assert_array_equal(found.kl[m:], 0)
    assert (found.kl[:m] > 1e-3).all()


def test_a_five_gram_remembers_four_tokens(five_gram):
    model, text = five_gram
    found = memory(model, text, lags=10)
    np.testing.assert_array_equal(found.kl[4:], 0)
    assert (found.kl[:4] > 0).all()


def test_a_five_gram_needs_four_tokens(five_gram):
    model, text = five_gram
    found = context_needed(model, text, lags=(1, 2, 3, 4, 5, 8))
    np.testing.assert_array_equal(found.loss[3:], 0)
    assert (np.abs(found.loss[:3]) > 0).all()


def test_a_delay_line_needs_its_length():
    found = context_needed(delay_line(4), RNG.integers(0, 5, 200), lags=(1, 3, 4, 7))
    np.testing.assert_allclose(found.loss[2:], 0, atol=1e-12)
    assert found.loss[0] != 0


@pytest.mark.parametrize("name", [*TEXTS, "lm-ngram-char", "lm-mixture", "lm-transformer"])
def test_every_model_of_text_has_them(name):
    if name == "lm-transformer":
        pytest.importorskip("torch")
    model = load(name)
    found = memory(model, data_of(name), lags=4, places=3, draws=2)
    assert np.isfinite(found.kl).all()
    assert found.kl[0] > 0
    assert np.isfinite(context_needed(model, data_of(name), anchors=8).loss).all()


@pytest.mark.parametrize("name", ["lm-char-lstm", "lm-word-gru"])
def test_the_replaced_token_is_compared_as_if_it_had_been_written(name):
    """By hand: the text with each draw, read anew from the start, in float64."""
    model = load(name)
    found = memory(model, data_of(name), lags=3, places=1, draws=4, double=True)
    from recurra.inspect.language import language, log_softmax

    own = language(model, double=True)
    ids = own.whole(data_of(name))
    symbols, frequency = np.unique(ids, return_counts=True)
    odds = np.where(symbols == ids[0], 0, frequency)
    drawn = np.random.default_rng(0).choice(symbols, size=4, p=odds / odds.sum())
    for k in range(3):
        z = []
        for token in [ids[0], *drawn]:
            row = np.array([[token, *ids[1 : k + 1]]])
            z.append(log_softmax(own.steps.read(row, None, own.steps.start(1))[0][0]))
        kl = np.mean([(np.exp(z[0]) * (z[0] - other)).sum() for other in z[1:]])
        assert found.kl[k] == pytest.approx(kl, rel=1e-9)


WRONG = [
    (lambda: memory(load("tagger-crf"), "ab"), "expected a language model, received a"),
    (lambda: memory(load("lm-char-gru"), "the", draws=0), "draws: expected a number from 1 on"),
    (lambda: memory(load("lm-char-gru"), "tt"), "expected at least 3 tokens"),
    (lambda: memory(load("lm-char-gru"), "ttttt"), "received 5 of 1 kinds"),
    (lambda: context_needed(load("lm-char-gru"), "th"), "expected at least 3 tokens"),
    (lambda: context_needed(load("lm-char-gru"), "the", lags=(9,)), "expected numbers from 1 to"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_mistakes_are_told_in_a_line(number):
    call, said = WRONG[number]
    with pytest.raises(InputError, match=said):
        call()
