import numpy as np
import pytest

from inspect_cases import TEXTS, data_of, load, text_model
from recurra.cells import find
from recurra.errors import InputError
from recurra.inspect import calibration, memory_signature, probe
from recurra.inspect.calibration import reliability
from recurra.inspect.network import Network
from recurra.runtime.stack import OneHot

RNG = np.random.default_rng(0)
V = 5


def delay_line(m):
    size = m * V
    weights = {"weight_ih": np.eye(size)[:, :V], "weight_hh": np.eye(size, k=-V)}
    weights |= {"bias_ih": np.zeros(size), "bias_hh": np.zeros(size)}
    program = find("rnn").program(activation="identity")
    network = Network(program, (weights,), ((np.zeros(size),),), V, rows=OneHot(V))
    return text_model(network, RNG.normal(size=(V, size)))


@pytest.mark.parametrize("m", [1, 3])
def test_a_delay_line_holds_as_many_tokens_as_it_is_long(m):
    found = memory_signature(delay_line(m), RNG.integers(0, V, 600), lags=6)
    np.testing.assert_array_equal(found.accuracy[0, :m], 1)
    assert (found.accuracy[0, m:] < 0.4).all()


def test_a_planted_unit_is_read_out_and_the_control_is_not():
    """Unit 4 of a delay line of 1 says that the token is the last letter; of 2: the one before."""
    ids = RNG.integers(0, V, 800)
    before = np.concatenate([[0], ids[:-1]])
    found = probe(delay_line(2), ids, (before == 4).astype(int))
    assert found.accuracy == 1.0
    assert found.units[0] == 9
    noise = probe(delay_line(2), ids, RNG.integers(0, 2, 800))
    assert abs(noise.accuracy - 0.5) < 0.12


@pytest.mark.parametrize("name", TEXTS)
def test_every_language_model_has_them(name):
    model, text = load(name), data_of(name) * 6
    assert np.isfinite(memory_signature(model, text, lags=3).accuracy).all()
    found = calibration(model, text)
    assert found.count.sum() > 10
    assert 0 <= found.error <= 1


def test_outcomes_drawn_as_they_were_said_are_calibrated_within_the_sampling_bound():
    sure = RNG.uniform(0, 1, 40_000)
    found = reliability(sure, (RNG.uniform(0, 1, 40_000) < sure).astype(float))
    spread = np.sqrt(found.confidence * (1 - found.confidence) / found.count)
    assert (np.abs(found.accuracy - found.confidence) < 4 * spread).all()
    assert found.error < 0.02
    wrong = reliability(np.full(100, 0.9), np.zeros(100))
    assert wrong.error == pytest.approx(0.9, rel=1e-12)


def test_mistakes_are_told_in_a_line():
    with pytest.raises(InputError, match="lags: expected a number from 0 to"):
        memory_signature(load("lm-char-gru"), "the big cat", lags=9)
    with pytest.raises(InputError, match="expected a label of two kinds"):
        probe(load("lm-char-gru"), "the big cat", [1, 2])
    with pytest.raises(InputError, match="expected a language model"):
        memory_signature(load("tagger-crf"), [["a", "b"]])
