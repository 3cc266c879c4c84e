"""Tables and panels as scikit-learn, aeon and sktime have them."""

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from tasks import classified
from tasks.test_estimators import TINY, same, weights


def test_panels_of_channels_and_time():
    """aeon and sktime have (N, channels, time): the same model as of (N, time, channels)."""
    X, y = classified.slopes(40)
    steps = min(len(row) for row in X)
    panel = np.stack([np.stack([row[:steps, 0], -(row[:steps, 0] ** 2)]) for row in X])
    how = {"inputs": "numbers", **TINY}
    ours = recurra.SequenceClassifier(**how).fit(panel.transpose(0, 2, 1), y)
    theirs = recurra.SequenceClassifier(**how, axes="channels").fit(panel, y)
    assert same(weights(ours), weights(theirs))
    assert ours.n_features_in_ == theirs.n_features_in_ == 2
    np.testing.assert_array_equal(
        ours.predict_proba(panel.transpose(0, 2, 1)), theirs.predict_proba(panel)
    )
    unequal = [panel[0], panel[1, :, :3]]  # as aeon has series of several lengths
    np.testing.assert_array_equal(
        ours.predict_proba([row.T for row in unequal]), theirs.predict_proba(unequal)
    )


def test_columns_are_those_of_fit():
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    for model in (
        recurra.SequenceClassifier(inputs="numbers", **TINY),
        recurra.Forecaster(**TINY),
    ):
        plain = weights(model.fit(X, y))
        assert model.n_features_in_ == 3
        assert not hasattr(model, "feature_names_in_")
        assert same(plain, weights(model.fit(frame, y)))
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        with pytest.raises(InputError, match=r"expected the columns a, b, c, in this order"):
            model.predict(frame[["b", "a", "c"]])
        with pytest.raises(InputError, match=r"X has 2 features, but .* is expecting 3 features"):
            model.predict(X[:, :2])
    model = recurra.SequenceClassifier(inputs="numbers", **TINY).fit(X, y)
    assert len(model.predict([[1.0, 2.0], [1.0]])) == 2  # a list of sequences has any lengths


def test_rows_are_forecast_as_given(tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 5)).cumsum(1)
    y = X[:, -1:] + np.array([[1.0, 2.0]])
    model = recurra.Forecaster(
        hidden=4, output="point", norm="l2", steps=60, lr=0.02, progress=False
    )
    model.fit(X, y)
    assert (model.config.horizon, model.config.lookback) == (2, 5)
    assert model.score(X, y) > 0.8
    found = model.predict(X)
    assert found.shape == (60, 2)
    loaded = recurra.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(X), found)
    np.testing.assert_array_equal(loaded.predict(X[3:4]), found[3:4])
    assert loaded.predict(X[:1], times="iso")[0].mean[:, 0].tolist() == found[0].tolist()
    assert model.set_params(horizon=2).fit(X, y).predict(X).shape == (60, 2)
    with pytest.raises(
        InputError, match=r"expected 2 values after each row, the horizon, received 1"
    ):
        model.fit(X, y[:, 0])
    single = recurra.Forecaster(**TINY).fit(X, y[:, 0], valid=(X[:3], y[:3, 0]))
    assert single.predict(X).shape == (60,)
    with pytest.raises(InputError, match="was trained on series"):
        recurra.Forecaster(**TINY, horizon=2).fit([np.arange(40.0)]).score(X, y)
