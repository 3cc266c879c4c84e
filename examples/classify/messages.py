"""Short messages, wanted or not (SMS Spam Collection), where one label in eight is spam.

    python examples/classify/messages.py FOLDER

FOLDER holds train.tsv, valid.tsv and test.tsv, lines of `label TAB text`; quotes in them are part
of the text. The best model is chosen by macro-F1, in which the rare label counts as much as the
other.
"""

import argparse
from pathlib import Path

from recurra.baselines import compare

SETTINGS = {"class_weights": "balanced", "goal": "macro_f1", "epochs": 6}
MODELS = "gru,bag-of-words,tfidf,transformer"


def main(argv=None):
    """Train all models, print the table, return the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with train.tsv, valid.tsv, test.tsv")
    parser.add_argument("--models", default=MODELS, help=f"default: {MODELS}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    train, valid, test = (arguments.folder / f"{part}.tsv" for part in ("train", "valid", "test"))
    found = compare(
        "classify",
        train,
        valid=valid,
        test=test,
        models=arguments.models.split(","),
        seed=arguments.seed,
        columns="label,text",
        **SETTINGS,
    )
    print(found)
    return found


if __name__ == "__main__":
    main()
