"""Single spoken digits told apart: the features of a transcriber, and a sequence classifier.

    python examples/transcribe/single_digits.py FSDD

FSDD is the folder of the Free Spoken Digit Dataset, packed as one `SPEAKER.tar.gz` a speaker. Of
each digit and speaker the recordings 0 to 4 are the test data, as its authors say; 5 to 9 choose
the best model, and 10 to 49 train.
"""

import argparse
from pathlib import Path

import numpy as np

import recurra
from recurra.tasks.transcriber import LogMel, read_recordings

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
PARTS = {"train": range(10, 50), "valid": range(5, 10), "test": range(5)}

Part = tuple[list[np.ndarray], list[str]]


def read(folder: Path, speakers: tuple[str, ...] = SPEAKERS) -> dict[str, Part]:
    """Vectors (T, 120) of each recording, every 30 ms, and the digit, by part."""
    features = LogMel(rate=8000)
    found: dict[str, Part] = {part: ([], []) for part in PARTS}
    for speaker in speakers:
        for recording in read_recordings(folder / f"{speaker}.tar.gz", texts=False):
            digit, _, number = Path(recording.name).stem.split("_")
            part = next(name for name, numbers in PARTS.items() if int(number) in numbers)
            found[part][0].append(features.vectors(recording.sound.samples))
            found[part][1].append(digit)
    return found


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run from the command line; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fsdd", type=Path, help="folder of the data set")
    parser.add_argument("--epochs", type=float, default=12)
    options = parser.parse_args(arguments)
    parts = read(options.fsdd)
    model = recurra.SequenceClassifier(inputs="numbers", cell="gru", hidden=64, pooling="attention")
    model.fit(parts["train"], valid=parts["valid"], epochs=options.epochs)
    found = model.evaluate(parts["test"])
    print(found)
    return {"accuracy": found.accuracy}


if __name__ == "__main__":
    main()
