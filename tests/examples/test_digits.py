"""The strings of digits: how they are joined, and that a small network learns the real ones."""

import importlib.util

import numpy as np
import pytest

from conftest import ROOT
from recurra import Transcriber
from recurra.data.recordings import Recording, read_recordings
from recurra.data.wav import Sound

PATH = ROOT / "examples" / "transcribe" / "digits.py"
SPEAKER = "nicolas"  # whose archive is the smallest


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("digits", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digits(example, data_dir):
    """The recordings of one speaker."""
    folder = data_dir / "fsdd"
    found = {}
    for one in read_recordings(folder / f"{SPEAKER}.tar.gz", texts=False):
        digit, name, number = one.name.rpartition("/")[2].removesuffix(".wav").split("_")
        found[name, int(digit), int(number)] = one.sound.samples
    return found


def test_parts_share_no_recording_and_the_test_is_the_official_one(example):
    train, valid, test = (set(example.PARTS[part]) for part in ("train", "valid", "test"))
    assert test == set(range(5))
    assert train | valid == set(range(5, 50))
    assert not train & valid


def test_a_string_is_what_its_text_says(example):
    """Each recording is one sample that tells speaker, digit and number."""
    told = {
        (speaker, digit, number): np.array([10_000 * s + 100 * digit + number + 1], np.float32)
        for s, speaker in enumerate(example.SPEAKERS)
        for digit in range(10)
        for number in range(50)
    }
    strings = example.join(told, example.SPEAKERS[:2], range(5), count=200, seed=1)
    silences = []
    for one in strings:
        places = np.flatnonzero(one.sound.samples)
        values = one.sound.samples[places].astype(int) - 1
        assert one.text.split() == [example.WORDS[digit] for digit in values // 100 % 100]
        assert set(values % 100) <= set(range(5))
        (speaker,) = set(values // 10_000)
        assert one.name.startswith(example.SPEAKERS[speaker])
        assert one.sound.rate == 8000
        silences += np.diff(places, append=len(one.sound.samples)).tolist()
    assert {len(one.text.split()) for one in strings} == {3, 4, 5, 6, 7}
    assert {one.name.split("-")[0] for one in strings} == set(example.SPEAKERS[:2])
    assert 1 <= min(silences) < 20
    assert 780 < max(silences) <= 801
    again = example.join(told, example.SPEAKERS[:2], range(5), count=3, seed=1)
    assert [one.text for one in again] == [one.text for one in strings[:3]]


def test_a_speaker_held_out_is_in_the_test_alone(example, monkeypatch):
    fake = {
        (speaker, digit, number): np.ones(9, np.float32)
        for speaker in example.SPEAKERS
        for digit in range(10)
        for number in range(50)
    }
    monkeypatch.setattr(example, "read_digits", lambda folder: fake)
    parts = example.make_strings(None, "theo", train=80, test=40)
    who = {part: {one.name.split("-")[0] for one in strings} for part, strings in parts.items()}
    assert who["test"] == {"theo"}
    assert who["train"] == set(example.SPEAKERS) - {"theo"}
    assert "theo" not in who["valid"]


def test_written_strings_are_read_again(example, tmp_path):
    sound = Sound(np.array([0.25, -0.5, 0.125], np.float32), 8000)
    example.write({"train": [Recording(sound, "one two", "theo-00000")]}, tmp_path)
    (found,) = read_recordings(tmp_path / "train.tsv")
    assert found.text == "one two"
    assert found.sound.samples.tolist() == sound.samples.tolist()


def test_a_small_network_learns_one_speaker(example, digits):
    """A seventh of the words wrong; one that is broken, or hears noise, has most of them wrong."""
    parts = {
        part: example.join(digits, (SPEAKER,), example.PARTS[part], count=count, seed=seed)
        for seed, (part, count) in enumerate({"train": 240, "valid": 40, "test": 60}.items(), 1)
    }
    model = Transcriber(tokenizer="word", layers=1, hidden=48, normalise="recording")
    model.fit(
        parts["train"],
        valid=parts["valid"],
        progress=False,
        epochs=12,
        batch=8,
        lr=0.015,
        threads=1,
    )
    found = model.evaluate(parts["test"])
    assert found.word_error_rate < 0.3, found
    noise = [
        Recording(Sound(one.sound.samples[::-1].copy(), 8000), one.text) for one in parts["test"]
    ]
    assert model.evaluate(noise).word_error_rate > 0.6


@pytest.mark.quality
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("arguments", "most"), [([], 0.03), (["--held-out", "theo"], 0.15)], ids=["official", "speaker"]
)
def test_the_figures_of_the_page(example, data_dir, arguments, most):
    found = example.main([str(data_dir / "fsdd"), *arguments])
    assert found["word_error_rate"] <= most
