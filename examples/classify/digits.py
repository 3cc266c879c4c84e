"""Handwritten digits read row by row: an image of 8 × 8 is a sequence of 8 steps of 8 features.

    python examples/classify/digits.py digits.csv.gz

The file has an image a line: 64 numbers from 0 to 16, top row first, and the digit. It has no
split; here 360 images drawn with `numpy.random.default_rng(0).permutation` are the test data, and a
tenth of each digit's other images is held out to choose the model by.
"""

import argparse
import gzip

import numpy as np

from recurra import SequenceClassifier

TEST = 360


def read(path):
    """Images (8, 8), and their digits."""
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)


def main(argv=None):
    """Train, print what the test images come to, return it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--seed", type=int, default=0, help="of the weights; the split stays")
    arguments = parser.parse_args(argv)
    images, digits = read(arguments.file)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[TEST:], order[:TEST]
    model = SequenceClassifier(inputs="numbers", cell=arguments.cell)
    model.fit((images[train], digits[train]), epochs=30, seed=arguments.seed)
    found = model.evaluate((images[test], digits[test]))
    print(found)
    return found


if __name__ == "__main__":
    main()
