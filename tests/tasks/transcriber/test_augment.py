"""What training does to sound."""

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks.transcriber.augment import Augmentation, at_speed
from recurra.tasks.transcriber.features import LogMel


def tone(frequency, size=8000, rate=8000):
    return np.sin(2 * np.pi * frequency * np.arange(size) / rate).astype(np.float32)


@pytest.mark.parametrize("speed", [0.8, 0.93, 1.0, 1.1, 1.25])
def test_faster_is_shorter_and_higher(speed):
    found = at_speed(tone(400), speed)
    assert found.dtype == np.float32
    assert len(found) == round(8000 / speed)
    expected = tone(400 * speed, len(found))
    assert np.abs(found - expected)[10:-10].max() < 0.01


def test_the_same_speed_changes_nothing_and_silence_stays_silent():
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_allclose(at_speed(x, 1.0), x, atol=1e-6)
    for size in (0, 1, 2):
        assert at_speed(np.zeros(size, np.float32), 0.9).tolist() == [0.0] * round(size / 0.9)


def test_speeds_are_drawn_from_the_whole_range_and_no_further():
    augment, random = Augmentation(speed=0.1), np.random.default_rng(0)
    sizes = [len(augment.sound(np.zeros(1000, np.float32), random)) for _ in range(300)]
    assert 909 <= min(sizes) < 925
    assert 1080 < max(sizes) <= 1111


def test_noise_is_as_loud_as_it_is_said_to_be_and_as_often():
    augment, random, x = Augmentation(noise=0.5), np.random.default_rng(0), 0.2 * tone(300)
    ratios = []
    for _ in range(300):
        added = augment.sound(x, random) - x
        if np.abs(added).max() > 1e-6:
            ratios.append(10 * np.log10(np.mean(x**2) / np.mean(added**2)))
    assert 110 < len(ratios) < 190
    assert 4.5 < min(ratios) < 7
    assert 28 < max(ratios) < 30.5


def test_masks_hide_bands_and_stretches_behind_the_mean():
    random = np.random.default_rng(0)
    frames = random.normal(size=(50, 20)).astype(np.float32)
    bands = Augmentation(frequency_masks=1, frequency_width=0.5)
    stretches = Augmentation(time_masks=1, time_width=0.3)
    wide, long = set(), set()
    for _ in range(200):
        hidden = bands.features(frames, random)
        changed = (hidden != frames).all(0)
        assert ((hidden != frames).any(0) == changed).all()
        np.testing.assert_allclose(
            hidden[:, changed], np.tile(frames.mean(0)[changed], (50, 1)), rtol=1e-6
        )
        wide.add(int(changed.sum()))
        hidden = stretches.features(frames, random)
        changed = (hidden != frames).any(1)
        long.add(int(changed.sum()))
    assert (min(wide), max(wide)) == (0, 10)
    assert (min(long), max(long)) == (0, 15)


def test_without_any_nothing_changes_and_nothing_is_changed_in_place():
    random = np.random.default_rng(0)
    frames = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    assert not Augmentation().changes_sound
    assert Augmentation().features(frames, random) is frames
    kept = frames.copy()
    Augmentation(time_masks=3, time_width=1.0, frequency_masks=2).features(frames, random)
    assert (frames == kept).all()
    x = tone(300, 100)
    assert (Augmentation().sound(x, random) == x).all()


def test_what_it_makes_still_has_features():
    augment, random = Augmentation(speed=0.5, noise=1.0, time_masks=1), np.random.default_rng(0)
    features = LogMel(rate=8000)
    for size in (0, 1, 250, 1000):
        frames = features.frames(augment.sound(tone(300, size), random))
        assert np.isfinite(augment.features(frames, random)).all()


def test_shares_out_of_range():
    with pytest.raises(InputError, match=r"speed must be .* at most 0.5.*noise must be"):
        Augmentation(speed=0.9, noise=2).validate()
