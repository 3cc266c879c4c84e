"""Whole film reviews, positive or negative (Pang & Lee 2004): 746 words on average, up to 2,678.

    python examples/classify/film_reviews.py movie_reviews.zip

The archive holds a file a review, under pos/ and neg/; the digit after `cv` in its name is its
fold. Folds 0 to 7 train, fold 8 chooses the model, fold 9 is the test.
"""

import argparse
import re
import zipfile

from recurra import SequenceClassifier
from recurra.baselines.classifier.bag_of_words import BagOfWords


def read(path):
    """Texts and labels by fold."""
    folds = {fold: ([], []) for fold in range(10)}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            found = re.search(r"(pos|neg)/cv(\d)\d+_\d+\.txt$", name)
            if found:
                texts, labels = folds[int(found[2])]
                texts.append(archive.read(name).decode())
                labels.append(found[1])
    return folds


def main(argv=None):
    """Train, print what the last fold comes to for ours and a TF-IDF, return both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    folds = read(arguments.file)
    train = tuple([one for k in range(8) for one in folds[k][part]] for part in (0, 1))
    model = SequenceClassifier(cell="gru", hidden=64, pooling="attention", min_count=2)
    model.fit(train, valid=folds[8], batch=16, epochs=arguments.epochs, seed=arguments.seed)
    found = model.evaluate(folds[9])
    print(found)
    rival = BagOfWords(weighting="tfidf")
    rival.fit(train, valid=folds[8])
    other = rival.evaluate(folds[9])
    print(f"tfidf\n{other}")
    return found, other


if __name__ == "__main__":
    main()
