"""New and rare entities in noisy text (WNUT 2017), beside the rivals.

    python examples/tag/entities.py FOLDER

FOLDER holds wnut17train.conll, emerging.dev.conll and emerging.test.annotated. Nine in ten of the
entities of the test are not in the training data, so what is learnt of names there helps little:
the best entries of the shared task had vectors learnt from billions of words, and came to F1 of 40.
Ours sees the features that the CRF sees, beside what it reads itself. Its settings were chosen by
the dev file, of video comments; the test is of three other sites.
"""

import argparse
from pathlib import Path

from recurra.baselines import compare

SETTINGS = {
    "layers": 1,
    "hidden": 64,
    "embedding": 50,
    "subwords": 50,
    "character_hidden": 32,
    "word_dropout": 2.0,
    "features": True,
    "feature_window": 1,
    "recall_cost": 3.0,
    "members": 5,
    "batch": 16,
    "epochs": 6,
}
MODELS = "gru,crf,hmm"


def main(argv=None):
    """Train all models, print the table, return the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default=MODELS, help=f"default: {MODELS}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", help="write the table as a picture there")
    arguments = parser.parse_args(argv)
    found = compare(
        "tag",
        arguments.folder / "wnut17train.conll",
        valid=arguments.folder / "emerging.dev.conll",
        test=arguments.folder / "emerging.test.annotated",
        models=arguments.models.split(","),
        seed=arguments.seed,
        told=lambda model: print(f"training {model} …"),
        **SETTINGS,
    )
    print(found)
    if arguments.plot:
        found.plot(arguments.plot)
    return found


if __name__ == "__main__":
    main()
