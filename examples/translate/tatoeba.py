"""English to French: sentences of Tatoeba, and a Transformer of as many parameters beside it.

    python examples/translate/tatoeba.py DATA --minutes 20 --plot comparison.png

DATA is a folder with train.tsv.gz, valid.tsv.gz and test.tsv.gz (`English TAB French` a line). An
English sentence stands there with each of its French ones: it is translated once and held to all of
them. Each model trains for as long as the other.
"""

import argparse
from pathlib import Path

from recurra import native
from recurra.baselines import Comparison, compare
from recurra.tasks.translator.pairs import Pairs, read_pairs

MODEL = {
    "source_tokenizer": "bpe",
    "target_tokenizer": "bpe",
    "shared": True,
    "vocab_size": 6000,
    "layers": 2,
    "hidden": 256,
    "dropout": 0.2,
    "precision": "bf16" if native.half_products() else "float32",
}
TRAINING = {
    "batch": 96,
    "lr": 0.003,
    "weight_decay": 0.01,
    "betas": (0.9, 0.98),
    "max_length": 60,
    "metric": "bleu",
}


def some(path: Path, count: int | None) -> Pairs:
    """The pairs of a file, or so many of them, spread over it."""
    pairs = read_pairs(path)
    step = 1 if count is None else max(1, len(pairs) // count)
    return Pairs.of(list(zip(pairs.sources, pairs.targets, strict=True))[::step])


def main(arguments: list[str] | None = None) -> Comparison:
    """Train both, measure both on the test sentences; returns the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, for each")
    parser.add_argument("--hidden", type=int, default=MODEL["hidden"])
    parser.add_argument("--sentences", type=int, help="read so many of each part only")
    parser.add_argument("--models", nargs="+", default=["lstm", "transformer"])
    parser.add_argument("--plot", type=Path, help="write the table as a picture")
    given = parser.parse_args(arguments)
    train, valid, test = (
        some(given.data / f"{part}.tsv.gz", given.sentences) for part in ("train", "valid", "test")
    )
    found = compare(
        "translate",
        train,
        valid=valid,
        test=test,
        models=given.models,
        minutes=given.minutes,
        **MODEL | {"hidden": given.hidden} | TRAINING,
    )
    print(found)
    if given.plot:
        found.plot(given.plot)
    return found


if __name__ == "__main__":
    main()
