"""Resampling: tones keep what they are, and pieces make the whole."""

import tracemalloc

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.tasks.transcriber.resample import Resampler, resample

RATES = [(8000, 16000), (16000, 8000), (44100, 8000), (48000, 16000), (22050, 16000), (8000, 11025)]


@pytest.mark.parametrize(("rate", "into"), RATES)
def test_tones_in_the_band_stay_and_those_beyond_go(rate, into):
    seconds, low = 0.5, min(rate, into)
    for frequency in (0.0, 100.0, 0.2 * low, 0.41 * low):
        x = np.cos(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
        y = resample(x, rate, into)
        assert len(y) == -(-len(x) * into // rate)
        expected = np.cos(2 * np.pi * frequency * np.arange(len(y)) / into)
        inner = slice(len(y) // 4, -len(y) // 4)
        assert np.abs(y - expected)[inner].max() < 5e-4
    if into < rate:
        gone = resample(np.cos(2 * np.pi * 0.53 * into * np.arange(rate) / rate), rate, into)
        assert np.abs(gone[into // 4 : -into // 4]).max() < 1e-3


@pytest.mark.parametrize(("rate", "into"), RATES)
def test_noise_agrees_with_scipy_where_both_pass(rate, into):
    """scipy's polyphase filter is another one: the same in the band that both let through."""
    random = np.random.default_rng(0)
    band = scipy.signal.firwin(801, 0.3 * min(rate, into), fs=rate)
    x = scipy.signal.fftconvolve(random.normal(size=rate // 2), band, "same")
    ours = resample(x, rate, into)
    theirs = scipy.signal.resample_poly(x, into, rate, window=("kaiser", 8.0))
    inner = slice(len(ours) // 4, -len(ours) // 4)
    assert len(ours) == len(theirs)
    assert np.abs(ours - theirs)[inner].max() < 0.01 * np.abs(x).max()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*RATES, (8000, 8000), (3, 2), (1, 7)]),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_pieces_make_the_whole_bit_for_bit(rates, sizes):
    x = np.random.default_rng(sum(sizes)).normal(size=sum(sizes)).astype(np.float32)
    stream, made, start = Resampler(*rates), [], 0
    for size in sizes:
        made.append(stream.push(x[start : start + size]))
        start += size
    joined = np.concatenate([*made, stream.finish()])
    assert joined.tobytes() == resample(x, *rates).tobytes()
    assert len(joined) == -(-len(x) * rates[1] // rates[0])


def test_an_odd_ratio_takes_little_memory_and_no_table():
    """999,983 is prime: a table of all phases would be 16,000 filters of 3,000 numbers."""
    x = np.cos(2 * np.pi * 1000 * np.arange(99_999) / 999_983)
    tracemalloc.start()
    y = resample(x, 999_983, 16_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6
    expected = np.cos(2 * np.pi * 1000 * np.arange(len(y)) / 16_000)
    assert np.abs(y - expected)[400:-400].max() < 5e-4
    stream = Resampler(999_983, 16_000)
    pieces = [stream.push(x[:70_001]), stream.push(x[70_001:]), stream.finish()]
    assert np.concatenate(pieces).tobytes() == y.tobytes()


def test_the_same_rate_changes_nothing():
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert resample(x, 8000, 8000).tobytes() == x.tobytes()


@pytest.mark.parametrize("rates", [(0, 8000), (8000, -1), (8000.5, 8000), (True, 8000)])
def test_rates_that_are_none(rates):
    with pytest.raises(InputError, match="expected rates from 1 Hz on"):
        Resampler(*rates)
