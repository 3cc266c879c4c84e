import numpy as np
import pytest
from scipy import stats

from inspect_cases import TEXTS, load
from recurra.errors import InputError
from recurra.inspect import neurons
from recurra.inspect.neurons import features, follow

SIZE = 1200
PLACES = [(k // 40, "h", k % 40) for k in range(80)]


def slow_noise(rng, count, size=SIZE):
    """Values that neighbours share, as states do."""
    values = rng.normal(size=(size, count))
    for t in range(1, size):
        values[t] += 0.9 * values[t - 1]
    return values


def a_feature(rng, *, binary):
    values = slow_noise(rng, 1)[:, 0]
    return values > 0.4 if binary else np.round(values).astype(np.int64)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_unit_is_first(binary, sign):
    rng = np.random.default_rng(1)
    values, feature = slow_noise(rng, 80), a_feature(rng, binary=binary)
    values[:, 57] = sign * (3.0 * feature + 1)
    found = follow(PLACES, values, {"planted": feature})
    assert (found.layer[0], found.state[0], found.unit[0]) == (1, "h", 17)
    assert found.score[0] == pytest.approx((sign + 1) / 2 if binary else sign, abs=1e-12)
    assert found.strength()[0] == pytest.approx(1, abs=1e-12)
    assert found.p[0] == pytest.approx(1 / 201)
    assert found.significant.all()


def test_scores_are_those_of_scipy_on_the_second_half():
    rng = np.random.default_rng(2)
    values = np.round(slow_noise(rng, 80), 0)  # with ties
    binary, number = a_feature(rng, binary=True), a_feature(rng, binary=False)
    found = follow(PLACES, values, {"binary": binary, "number": number})
    half = SIZE // 2
    for k, feature in enumerate((binary, number)):
        unit = values[:, PLACES.index((found.layer[k], found.state[k], found.unit[k]))]
        for part, score in ((slice(0, half), found.chosen[k]), (slice(half, None), found.score[k])):
            if k == 0:
                yes, no = unit[part][feature[part]], unit[part][~feature[part]]
                expected = stats.mannwhitneyu(yes, no).statistic / (len(yes) * len(no))
            else:
                expected = stats.spearmanr(unit[part], feature[part]).statistic
            assert score == pytest.approx(expected, abs=1e-9)


def test_noise_is_significant_at_most_as_often_as_is_said():
    """5 % of texts; more than 9 of 60 come by chance once in a thousand times."""
    hits = 0
    for trial in range(60):
        rng = np.random.default_rng(100 + trial)
        some = {f"f{k}": a_feature(rng, binary=k % 2 == 0) for k in range(6)}
        hits += bool(follow(PLACES, slow_noise(rng, 80), some, seed=trial).significant.any())
    assert hits <= 9


def test_features_of_a_text_in_pieces_of_any_size():
    text = 'Hi "you (a) b"\n  in\nX'
    found = features(list(text))
    assert "".join("q" if q else "." for q in found["quotes"]) == "...qqqqqqqqqq.......X"[:20] + "."
    assert np.flatnonzero(found["brackets"]).tolist() == [8, 9]
    assert found["column"].tolist() == [*range(1, 15), 0, 1, 2, 3, 4, 0, 1]
    assert found["newline"].tolist() == [*range(14, 0, -1), 0, 4, 3, 2, 1, 0, 0][:21]
    assert found["indentation"].tolist() == [0] * 15 + [1, 2, 2, 2, 0, 0]
    assert np.flatnonzero(found["capitals"]).tolist() == [0, 20]
    pieces = features(["Hi ", '"you (', 'a) b"\n', "  in\nX"])
    ends = [2, 8, 14, 20]
    for name, values in pieces.items():
        np.testing.assert_array_equal(values, found[name][ends], err_msg=name)


@pytest.mark.parametrize("name", TEXTS)
def test_every_recurrent_language_model_has_them(name):
    model = load(name)
    text = "The cat (a big one) sat.\n  The mat was red.\n" * 60
    found = neurons(model, text)
    assert len(found.features) == len(found.score) >= 1
    assert (np.abs(found.strength()) <= 1 + 1e-12).all()
    assert set(found.features) | set(found.absent) == set(features(["a"]))
    again = neurons(model, text)
    np.testing.assert_array_equal(found.p, again.p)
    assert found.figure() is not None


def test_mistakes_are_told_in_a_line():
    with pytest.raises(InputError, match="expected a text of at least 500 tokens, received 11"):
        neurons(load("lm-char-gru"), "the big cat")
    with pytest.raises(InputError, match="expected a language model"):
        neurons(load("tagger-crf"), [["a", "b"]])
    with pytest.raises(InputError, match="none of the features"):
        follow(PLACES, np.zeros((SIZE, 80)), {"flat": np.zeros(SIZE, bool)})
