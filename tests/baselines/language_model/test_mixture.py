"""Mixtures of language models: the weights, the probabilities, and what may be mixed."""

import numpy as np
import pytest

import recurra
from generate.toys import Table
from recurra import LanguageModel
from recurra.baselines.language_model.mixture import Mixed, MixtureModel
from recurra.baselines.language_model.ngram import NGramModel
from recurra.errors import FormatError, InputError
from tasks.texts import QUICK, TINY, prose


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Two n-gram models and a recurrent one, of the same words."""
    folder = tmp_path_factory.mktemp("texts")
    train, valid = folder / "train.txt", folder / "valid.txt"
    train.write_text(prose(3000), encoding="utf-8")
    valid.write_text(prose(600, seed=1), encoding="utf-8")
    recurrent = LanguageModel(**TINY, tokenizer="word")
    recurrent.fit(train, valid=valid, progress=False, **QUICK)
    models = [recurrent]
    for order in (1, 3):
        models.append(NGramModel(tokenizer="word", order=order))
        models[-1].fit(train, valid=valid, tokenizer=recurrent.tokenizer)
    return models


TEXT = prose(300, seed=2)


def test_its_probabilities_are_the_weighted_mean(parts):
    mixture = MixtureModel(parts, weights=[0.2, 0.3, 0.5])
    each = np.exp([model.log_probabilities(text=TEXT) for model in parts])
    expected = np.log(np.array([0.2, 0.3, 0.5]) @ each)
    np.testing.assert_allclose(mixture.log_probabilities(text=TEXT), expected, rtol=1e-12)
    assert mixture.evaluate(text=TEXT).nats == pytest.approx(-expected.sum(), rel=1e-12)


def test_it_steps_as_it_scores(parts):
    mixed = MixtureModel(parts, weights=[0.6, 0.1, 0.3]).runtime
    ids = np.arange(24).reshape(2, 12) * 5 % mixed.vocab_size
    found, _ = mixed.log_probabilities(ids[:, :-1], ids[:, 1:], mixed.start(2))
    state = mixed.start(2)
    for place in range(11):
        logits, state = mixed.step(ids[:, place], state)
        np.testing.assert_allclose(np.exp(logits.astype(float)).sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(
            logits[[0, 1], ids[:, place + 1]], found[:, place], rtol=1e-4, atol=1e-4
        )
    both, state = mixed.read(ids, np.array([4, 9]), mixed.start(2))
    alone, _ = mixed.read(ids[1:, :9], None, mixed.start(1))
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-5)
    swapped, _ = mixed.step(np.array([3, 2]), mixed.select(state, np.array([1, 0])))
    straight, _ = mixed.step(np.array([2, 3]), state)
    np.testing.assert_allclose(swapped, straight[::-1], rtol=1e-5)


def test_the_weights_are_the_best_there_are(parts):
    mixture = MixtureModel(parts[::2])
    mixture.fit(text=TEXT)
    assert mixture.weights.sum() == pytest.approx(1)
    each = np.exp([model.log_probabilities(text=TEXT) for model in parts[::2]])

    def nats(share):
        return -np.log(share * each[0] + (1 - share) * each[1]).sum()

    grid = np.linspace(0, 1, 2001)
    best = grid[np.argmin([nats(share) for share in grid])]
    assert mixture.weights[0] == pytest.approx(best, abs=1e-3)
    assert mixture.evaluate(text=TEXT).nats <= min(map(nats, grid)) + 1e-3


def test_the_mean_is_of_probabilities_not_of_logits():
    one, other = np.full((5, 4), 0.1), np.full((5, 4), 0.1)
    one[:, 0] = other[:, 1] = 0.7
    models = [Table.of(table) for table in (one, other)]
    mixed = Mixed(models, np.array([0.8, 0.2]))
    state = mixed.start(1)
    logits, _ = mixed.step(np.array([2]), state)
    np.testing.assert_allclose(np.exp(logits[0]), 0.8 * one[0] + 0.2 * other[0], rtol=1e-5)


def test_a_model_that_only_disturbs_gets_nothing(parts):
    mixture = MixtureModel([parts[2], parts[2]], weights=[0.25, 0.75])
    mixture.fit(text=TEXT)
    np.testing.assert_allclose(mixture.weights, [0.25, 0.75])  # nothing tells them apart


def test_it_writes_is_saved_and_loaded(parts, tmp_path):
    mixture = MixtureModel(parts)
    mixture.fit(text=TEXT)
    written = mixture.generate("the cat", max_tokens=10, seed=1)
    loaded = recurra.load(mixture.save(tmp_path / "mixture"))
    assert isinstance(loaded, MixtureModel)
    np.testing.assert_array_equal(loaded.weights, mixture.weights)
    assert [type(model) for model in loaded.models] == [type(model) for model in parts]
    assert loaded.evaluate(text=TEXT) == mixture.evaluate(text=TEXT)
    assert str(loaded.generate("the cat", max_tokens=10, seed=1)) == str(written)
    assert loaded.parameters == mixture.parameters


def test_what_cannot_be_mixed(parts, tmp_path):
    with pytest.raises(InputError, match="at least two models"):
        MixtureModel(parts[:1])
    text = tmp_path / "text.txt"
    text.write_text(prose(), encoding="utf-8")
    other = NGramModel(tokenizer="char")
    other.fit(text)
    with pytest.raises(InputError, match="the same tokenizer"):
        MixtureModel([parts[0], other])
    lines = NGramModel(tokenizer="word", lines=True)
    lines.fit(text, tokenizer=parts[0].tokenizer)
    with pytest.raises(InputError, match="one model reads lines"):
        MixtureModel([parts[0], lines])


@pytest.mark.parametrize("weights", [[1], [0.5, 0.6], [-0.5, 1.5], [0.2, 0.3, 0.5], [0, 0]])
def test_weights_that_are_none(weights, parts):
    with pytest.raises(InputError, match="weights: expected 2 numbers"):
        MixtureModel(parts[:2], weights=weights)


DAMAGED = [
    ({"weights": [0.5]}, r"weights: expected 2 numbers"),
    ({"weights": None}, '"weights": expected a list'),
    ({"models": 5}, r'"models": expected a list, found int 5'),
    ({"models": None}, r'"models": expected a list, found None'),
    ({"models": ["x", 1]}, r'"models", 0: expected the settings of a model, found the text'),
    ({"models": []}, r"models"),
]


@pytest.mark.parametrize(("change", "words"), DAMAGED)
def test_a_damaged_directory_is_refused(change, words, parts, tmp_path):
    from recurra.storage import read_model, save_model

    files = read_model(MixtureModel(parts[1:]).save(tmp_path / "mixture"))
    config = {**files.config, **change}
    save_model(tmp_path / "bad", config=config, tensors=files.tensors, tokenizer=files.tokenizer)
    with pytest.raises(FormatError, match=words) as caught:
        recurra.load(tmp_path / "bad")
    assert "\n" not in str(caught.value)
