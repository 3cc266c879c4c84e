"""Sentences of film reviews, positive or negative (Pang & Lee 2005), beside the rivals.

    python examples/classify/sentence_polarity.py FOLDER

FOLDER holds train.tsv, valid.tsv and test.tsv, lines of `label TAB text`. Three bidirectional GRUs
read words together with their character n-grams, and vote; nothing but the 8,530 training sentences
is known to them. Kim (2014) reports 76.1 % for a convolutional network without outside vectors, on
ten folds.
"""

import argparse
from pathlib import Path

from recurra.baselines import compare

SETTINGS = {"subwords": 2, "label_smoothing": 0.1, "epochs": 5, "members": 3}
MODELS = "gru,bag-of-words,tfidf,transformer"


def main(argv=None):
    """Train all models, print the table, return the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with train.tsv, valid.tsv, test.tsv")
    parser.add_argument("--models", default=MODELS, help=f"default: {MODELS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", help="write the table as a picture there")
    arguments = parser.parse_args(argv)
    train, valid, test = (arguments.folder / f"{part}.tsv" for part in ("train", "valid", "test"))
    found = compare(
        "classify",
        train,
        valid=valid,
        test=test,
        models=arguments.models.split(","),
        seed=arguments.seed,
        told=lambda model: print(f"training {model} …"),
        columns="label,text",
        **SETTINGS,
    )
    print(found)
    if arguments.plot:
        found.plot(arguments.plot)
    return found


if __name__ == "__main__":
    main()
