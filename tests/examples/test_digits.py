"""The strings of digits: how they are joined, and that a small network learns the real ones."""

import numpy as np
import pytest

from conftest import example
from recurra import Transcriber
from recurra.tasks.transcriber.recordings import Recording, read_recordings
from recurra.tasks.transcriber.wav import Sound

SPEAKER = "nicolas"  # whose archive is the smallest


@pytest.fixture(scope="module")
def script():
    return example("transcribe/digits")


@pytest.fixture(scope="module")
def digits(script, data_dir):
    """The recordings of one speaker."""
    folder = data_dir / "fsdd"
    found = {}
    for one in read_recordings(folder / f"{SPEAKER}.tar.gz", texts=False):
        digit, name, number = one.name.rpartition("/")[2].removesuffix(".wav").split("_")
        found[name, int(digit), int(number)] = one.sound.samples
    return found


def test_parts_share_no_recording_and_the_test_is_the_official_one(script):
    train, valid, test = (set(script.PARTS[part]) for part in ("train", "valid", "test"))
    assert test == set(range(5))
    assert train | valid == set(range(5, 50))
    assert not train & valid


def test_a_string_is_what_its_text_says(script):
    """Each recording is one sample that tells speaker, digit and number."""
    told = {
        (speaker, digit, number): np.array([10_000 * s + 100 * digit + number + 1], np.float32)
        for s, speaker in enumerate(script.SPEAKERS)
        for digit in range(10)
        for number in range(50)
    }
    strings = script.join(told, script.SPEAKERS[:2], range(5), count=200, seed=1)
    silences = []
    for one in strings:
        places = np.flatnonzero(one.sound.samples)
        values = one.sound.samples[places].astype(int) - 1
        assert one.text.split() == [script.WORDS[digit] for digit in values // 100 % 100]
        assert set(values % 100) <= set(range(5))
        (speaker,) = set(values // 10_000)
        assert one.name.startswith(script.SPEAKERS[speaker])
        assert one.sound.rate == 8000
        silences += np.diff(places, append=len(one.sound.samples)).tolist()
    assert {len(one.text.split()) for one in strings} == {3, 4, 5, 6, 7}
    assert {one.name.split("-")[0] for one in strings} == set(script.SPEAKERS[:2])
    assert 1 <= min(silences) < 20
    assert 780 < max(silences) <= 801
    again = script.join(told, script.SPEAKERS[:2], range(5), count=3, seed=1)
    assert [one.text for one in again] == [one.text for one in strings[:3]]


def test_a_speaker_held_out_is_in_the_test_alone(script, monkeypatch):
    fake = {
        (speaker, digit, number): np.ones(9, np.float32)
        for speaker in script.SPEAKERS
        for digit in range(10)
        for number in range(50)
    }
    monkeypatch.setattr(script, "read_digits", lambda folder: fake)
    parts = script.make_strings(None, "theo", train=80, test=40)
    who = {part: {one.name.split("-")[0] for one in strings} for part, strings in parts.items()}
    assert who["test"] == {"theo"}
    assert who["train"] == set(script.SPEAKERS) - {"theo"}
    assert "theo" not in who["valid"]


def test_written_strings_are_read_again(script, tmp_path):
    sound = Sound(np.array([0.25, -0.5, 0.125], np.float32), 8000)
    script.write({"train": [Recording(sound, "one two", "theo-00000")]}, tmp_path)
    (found,) = read_recordings(tmp_path / "train.tsv")
    assert found.text == "one two"
    assert found.sound.samples.tolist() == sound.samples.tolist()


def test_a_small_network_learns_one_speaker(script, digits):
    """A seventh of the words wrong; one that is broken, or hears noise, has most of them wrong."""
    parts = {
        part: script.join(digits, (SPEAKER,), script.PARTS[part], count=count, seed=seed)
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
