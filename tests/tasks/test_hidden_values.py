"""Numbers in memory that are hidden, too large, or not as a file has them: missing or refused."""

import numpy as np
import pytest

from recurra import Forecaster, SequenceClassifier
from recurra.errors import InputError
from recurra.tasks.classifier.examples import numbers_of
from recurra.tasks.transcriber.data import recordings_of
from recurra.tasks.transcriber.recordings import Recording
from recurra.tasks.transcriber.wav import Sound

ONE = {"steps": 1, "progress": False}
WAVE = np.sin(np.arange(60) / 3)
SPIKES = np.where(np.arange(60) % 7 == 3, 1e6, WAVE)
NOISE = np.random.default_rng(0).normal(size=800).astype(np.float32) / 10


def test_a_masked_series_is_one_with_missing_values():
    forecasts = []
    for series in (np.ma.masked_greater(SPIKES, 100), np.where(SPIKES > 100, np.nan, SPIKES)):
        model = Forecaster(horizon=2, lookback=4, hidden=4, embedding=4)
        model.fit(series, **ONE)
        forecasts.append(model.predict(series)[0].mean)
    np.testing.assert_array_equal(*forecasts)
    assert np.abs(forecasts[0]).max() < 10


def test_masked_sequences_and_labels():
    sequence = np.ma.masked_equal(np.array([[1, 2], [9, 4]]), 9)
    expected = np.array([[1, 2], [np.nan, 4]], np.float32)
    np.testing.assert_array_equal(numbers_of(sequence, "example 0"), expected)
    model = SequenceClassifier(hidden=4, embedding=4, subwords=0)
    labels = np.ma.array([0, 1] * 4, mask=[False] * 7 + [True])
    with pytest.raises(InputError, match="example 7: no label"):
        model.fit((["a b", "c d"] * 4, labels), **ONE)


@pytest.mark.parametrize("most", [1e101, 1e160, 1e308])
def test_values_whose_squares_are_infinite(most):
    model = Forecaster(horizon=2, lookback=4, hidden=4, embedding=4)
    with pytest.raises(
        InputError, match=r"series '0': .*within ±1e\+100, received one of .*divide"
    ):
        model.fit(WAVE * most, **ONE)
    model.fit(WAVE * 1e90, **ONE)
    assert np.isfinite(model.predict(WAVE * 1e90)[0].mean).all()
    with pytest.raises(InputError, match=r"within ±1e\+100"):
        model.predict(WAVE * most)


def test_numbers_beyond_float32():
    for value in (1e300, np.inf, -1e39):
        with pytest.raises(InputError, match=r"example 4: .*float32.*received one beyond"):
            numbers_of(np.array([[1.0, value]]), "example 4")


#: Samples that no wav file gives, and the cure.
SAMPLES = {
    "whole numbers": ((NOISE * 32768).astype(np.int16), r"int16: divide .*2 \*\* \(bits - 1\)"),
    "two channels": (np.stack([NOISE, NOISE], 1), r"shape \(800, 2\): average its channels"),
    "NaN": (np.where(np.arange(800) == 5, np.nan, NOISE), "NaN or infinity: cut"),
    "infinity": (np.where(np.arange(800) == 5, np.inf, NOISE), "NaN or infinity: cut"),
    "hidden": (np.ma.masked_greater(NOISE, 0.1), "NaN or infinity: cut"),
    "texts": (np.array(["a", "b"]), "received <U1"),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("alone", [True, False])
def test_samples_as_no_file_has_them(name, alone):
    samples, words = SAMPLES[name]
    sound = Sound(samples, 8000)
    given = sound if alone else [Recording(Sound(NOISE, 8000), "a"), Recording(sound, "b")]
    with pytest.raises(InputError, match=words) as caught:
        recordings_of(given, texts=not alone)
    assert f" {0 if alone else 1}: expected samples" in str(caught.value)


def test_samples_of_double_precision_are_taken():
    assert len(recordings_of([Sound(NOISE.astype(np.float64), 8000)], texts=False)) == 1
