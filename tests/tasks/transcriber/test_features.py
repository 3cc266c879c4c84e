"""Log-mel features against scipy's transform and a mel filter written out by hand."""

import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.tasks.transcriber.features import FLOOR, LogMel

SHAPES = [
    LogMel(rate=8000),
    LogMel(rate=16000, mels=80, high=7600.0),
    LogMel(rate=8000, window=0.032, hop=0.016, mels=13, low=0.0, stack=1, stride=1),
    LogMel(rate=11025, window=0.02, hop=0.03, mels=20, low=100.0, stack=2, stride=3),
    LogMel(rate=8000, stack=5, stride=2),
]


def sound(seed, size):
    random = np.random.default_rng(seed)
    return (random.normal(size=size) * random.uniform(0, 0.3)).astype(np.float32)


def by_hand(features, samples):
    """Frames by scipy's short-time transform; each mel weight by the triangle's two lines."""
    f = features
    top = f.high or f.rate / 2
    mel, hertz = (lambda h: 1127 * math.log1p(h / 700)), (lambda m: 700 * math.expm1(m / 1127))
    edges = [hertz(m) for m in np.linspace(mel(f.low), mel(top), f.mels + 2)]
    size = 2 ** math.ceil(math.log2(f.samples))
    transform = scipy.signal.ShortTimeFFT(
        scipy.signal.get_window("hann", f.samples, fftbins=True), f.step, f.rate, mfft=size
    )
    out = []
    for first in range(0, len(samples) - f.samples + 1, f.step):
        segment = samples[first : first + f.samples].astype(np.float64)
        spectrum = np.abs(scipy.fft.rfft(segment * transform.win, size)) ** 2
        row = []
        for left, peak, right in zip(edges, edges[1:], edges[2:], strict=False):
            total = 0.0
            for k, power in enumerate(spectrum):
                h = k * f.rate / size
                if left < h <= peak:
                    total += power * (h - left) / (peak - left)
                elif peak < h < right:
                    total += power * (right - h) / (right - peak)
            row.append(math.log(total + FLOOR))
        out.append(row)
    return np.array(out).reshape(-1, f.mels)


@pytest.mark.parametrize("features", SHAPES, ids=str)
def test_frames_are_those_computed_by_hand(features):
    samples = sound(1, features.rate // 5)
    found = features.frames(samples)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(features, samples), rtol=2e-5, atol=2e-5)


def test_the_spectrum_is_that_of_scipys_short_time_transform():
    """All of it at once: bands of which each holds one line of the spectrum would be that line."""
    f = LogMel(rate=8000, stack=1, stride=1)
    samples = sound(2, 2000).astype(np.float64)
    window = scipy.signal.get_window("hann", f.samples)
    transform = scipy.signal.ShortTimeFFT(
        window, f.step, f.rate, mfft=f.spectrum, phase_shift=None, fft_mode="onesided"
    )
    power = np.abs(transform.stft(samples)) ** 2
    # scipy's slice p is centred on p * hop
    inside = [
        p
        for p in range(power.shape[1])
        if (start := p * f.step - f.samples // 2) >= 0
        and start % f.step == 0
        and start + f.samples <= len(samples)
    ]
    expected = np.log(power[:, inside].T @ f.filters + FLOOR)
    np.testing.assert_allclose(f.frames(samples)[: len(inside)], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frequency", [200, 700, 1500, 3100])
def test_a_tone_is_loudest_in_the_band_around_it(frequency):
    f = LogMel(rate=8000)
    tone = np.sin(2 * np.pi * frequency * np.arange(2000) / 8000)
    band = int(f.frames(tone)[3].argmax())
    weights = f.filters[:, band]
    places = np.flatnonzero(weights) * f.rate / f.spectrum
    step = f.rate / f.spectrum
    assert places.min() - step <= frequency <= places.max() + step


def test_silence_is_the_floor_and_louder_is_a_constant_more():
    f = LogMel(rate=8000)
    assert f.frames(np.zeros(400, np.float32)) == pytest.approx(math.log(FLOOR))
    x = np.random.default_rng(0).normal(size=800)
    np.testing.assert_allclose(f.frames(10 * x) - f.frames(x), math.log(100), rtol=1e-4)


@pytest.mark.parametrize("features", SHAPES, ids=str)
def test_how_many_vectors_there_are(features):
    f = features
    for size in [0, 1, f.samples - 1, f.samples, f.samples + f.step, 4321]:
        frames = 0 if size < f.samples else 1 + (size - f.samples) // f.step
        vectors = 0 if frames < f.stack else 1 + (frames - f.stack) // f.stride
        samples = sound(3, size)
        assert f.frames(samples).shape == (frames, f.mels)
        made = f.vectors(samples)
        assert made.shape == (vectors, f.size)
        for t in range(vectors):
            rows = f.frames(samples)[t * f.stride : t * f.stride + f.stack]
            assert made[t].tolist() == rows.ravel().tolist()


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(SHAPES), st.lists(st.integers(0, 700), max_size=9), st.integers(0, 99))
def test_a_stream_has_the_vectors_of_the_whole_bit_for_bit(features, sizes, seed):
    samples = sound(seed, sum(sizes))
    stream, made, start = features.stream(), [np.zeros((0, features.size), np.float32)], 0
    for size in sizes:
        made.append(stream.push(samples[start : start + size]))
        start += size
    assert np.concatenate(made).tobytes() == features.vectors(samples).tobytes()


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        ({"high": 5000.0, "rate": 8000}, "stay below half the rate"),
        ({"low": 4000.0, "rate": 8000}, "frequencies must rise"),
        ({"mels": 120, "rate": 8000}, "mels: 120 bands are narrower than a step"),
        ({"hop": 0.00001, "rate": 8000}, "must hold samples"),
        ({"window": 0, "stack": 0}, "window must be .*; stack must be"),
    ],
)
def test_settings_that_make_no_features(settings_, told):
    with pytest.raises(InputError, match=told):
        LogMel(**settings_).validate()
