"""Strings of spoken digits, made by joining recordings, transcribed by a recurrent network.

    python examples/transcribe/digits.py FSDD                      # the official split
    python examples/transcribe/digits.py FSDD --held-out theo      # a speaker nobody trained on
    python examples/transcribe/digits.py FSDD --write strings      # as wav files and manifests

FSDD is the folder of the Free Spoken Digit Dataset (8 kHz, six speakers, fifty recordings of each
digit and speaker), packed as one `SPEAKER.tar.gz` a speaker. Of each digit and speaker the
recordings 0 to 4 are the test data, as its authors say; 5 to 9 choose the best model, and 10 to 49
train. A string is one speaker's: 3 to 7 digits drawn evenly, a recording of each drawn evenly, with
0 to 0.1 s of silence after each.
"""

import argparse
from pathlib import Path

import numpy as np

import recurra
from recurra.tasks.transcriber.recordings import Recording, read_recordings
from recurra.tasks.transcriber.wav import Sound, write_wav

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
PARTS = {"train": range(10, 50), "valid": range(5, 10), "test": range(5)}
RATE = 8000

Key = tuple[str, int, int]  # speaker, digit, number of the recording


def read_digits(folder: Path) -> dict[Key, np.ndarray]:
    """The samples of every recording, which its name tells: `7_jackson_32.wav`."""
    found = {}
    for speaker in SPEAKERS:
        for recording in read_recordings(folder / f"{speaker}.tar.gz", texts=False):
            digit, name, number = Path(recording.name).stem.split("_")
            found[name, int(digit), int(number)] = recording.sound.samples
    return found


def join(
    digits: dict[Key, np.ndarray],
    speakers: tuple[str, ...],
    numbers: range,
    *,
    count: int,
    seed: int,
) -> list[Recording]:
    """Strings of 3 to 7 digits."""
    random, strings = np.random.default_rng(seed), []
    for n in range(count):
        speaker, size = speakers[random.integers(len(speakers))], random.integers(3, 8)
        parts, said = [], random.integers(0, 10, size).tolist()
        for digit in said:
            silence = np.zeros(int(random.uniform(0, 0.1) * RATE), np.float32)
            parts += [digits[speaker, digit, int(random.choice(numbers))], silence]
        text = " ".join(WORDS[digit] for digit in said)
        strings.append(Recording(Sound(np.concatenate(parts), RATE), text, f"{speaker}-{n:05}"))
    return strings


def make_strings(
    folder: Path, held_out: str | None = None, *, train: int = 4000, test: int = 600
) -> dict[str, list[Recording]]:
    """The strings of each part; a speaker held out says all of the test, and nothing else."""
    digits = read_digits(folder)
    heard = tuple(speaker for speaker in SPEAKERS if speaker != held_out)
    tested = SPEAKERS if held_out is None else (held_out,)
    return {
        "train": join(digits, heard, PARTS["train"], count=train, seed=1),
        "valid": join(digits, heard, PARTS["valid"], count=test // 2, seed=2),
        "test": join(digits, tested, PARTS["test"], count=test, seed=3),
    }


def write(strings: dict[str, list[Recording]], folder: Path) -> None:
    """The strings as wav files, and a manifest for each part, for the command line."""
    for part, recordings in strings.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        for recording in recordings:
            write_wav(folder / part / f"{recording.name}.wav", recording.sound)
        rows = [f"{part}/{recording.name}.wav\t{recording.text}\n" for recording in recordings]
        (folder / f"{part}.tsv").write_text("".join(rows), encoding="utf-8")


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run from the command line; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fsdd", type=Path, help="folder of the data set")
    parser.add_argument("--held-out", choices=SPEAKERS, help="train without this speaker")
    parser.add_argument("--streaming", action="store_true", help="a network that can stream")
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--strings", type=int, default=4000, help="to train on")
    parser.add_argument("--out", type=Path, help="directory of the run")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the strings, do not train")
    options = parser.parse_args(arguments)
    strings = make_strings(options.fsdd, options.held_out, train=options.strings)
    if options.write is not None:
        write(strings, options.write)
        return {}
    model = recurra.Transcriber(
        tokenizer="word",
        dropout=0.2,
        bidirectional=not options.streaming,
        normalise="corpus" if options.streaming else "recording",
    )
    model.fit(
        strings["train"],
        valid=strings["valid"],
        out=options.out,
        epochs=options.epochs,
        lr=4e-3,
        weight_decay=0.02,
        speed=0.1,
        noise=0.3,
        frequency_masks=2,
        time_masks=2,
    )
    found = model.evaluate(strings["test"])
    print(found)
    return {"word_error_rate": found.word_error_rate}


if __name__ == "__main__":
    main()
