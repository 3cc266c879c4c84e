"""From spelling to sound: the CMU Pronouncing Dictionary, letters to phonemes.

    python examples/translate/cmudict.py DATA --out runs/cmudict

DATA is a folder with g2p.train.tsv.gz, g2p.valid.tsv.gz and g2p.test.tsv.gz (`word TAB phonemes`
a line) and cmudict.dict, which has all pronunciations of the words. Stress marks are left out, as
in the figures that are published (Yao & Zweig 2015). A pronunciation is right where it is any of
those the dictionary has. What there is to choose was chosen on the validation words.
"""

import argparse
import re
from collections import defaultdict
from pathlib import Path

from recurra import Translator, native
from recurra.tasks.translator.pairs import read_pairs

MODEL = {
    "source_tokenizer": "char",
    "target_tokenizer": "word",
    "tied": False,
    "layers": 2,
    "hidden": 192,
    "embedding": 128,
    "dropout": 0.2,
    "precision": "bf16" if native.half_products() else "float32",
}
TRAINING = {
    "batch": 64,
    "weight_decay": 0.01,
    "betas": (0.9, 0.98),
    "label_smoothing": 0.05,
}
#: Learning rates from which training anneals, one after the other, each for a share of the epochs:
#: a warm restart (Loshchilov & Hutter 2017).
RATES = ((0.003, 8 / 11), (0.0015, 3 / 11))


def phonemes(pronunciation: str) -> str:
    """A pronunciation without its stress marks."""
    return re.sub(r"[0-9]", "", pronunciation)


def read(path: Path) -> list[tuple[str, str]]:
    """The words of one part of the data, with one pronunciation each."""
    pairs = read_pairs(path)
    return [(w, phonemes(p)) for w, p in zip(pairs.sources, pairs.targets, strict=True)]


def with_alternatives(pairs: list[tuple[str, str]], dictionary: Path) -> list[tuple[str, str]]:
    """The same words with all of their pronunciations: `word(2) P R AH0 ... # a remark` a line."""
    known: dict[str, set[str]] = defaultdict(set)
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        known[re.sub(r"\([0-9]+\)$", "", word)].add(phonemes(rest.partition("#")[0].strip()))
    return [(word, p) for word, given in pairs for p in sorted(known[word] | {given})]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, measure on the test words; returns the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, help="directory of the run")
    parser.add_argument("--epochs", type=float, default=11.0)
    parser.add_argument("--hidden", type=int, default=MODEL["hidden"])
    parser.add_argument("--words", type=int, help="train on so many words only")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--length-penalty", type=float, default=0.5)
    given = parser.parse_args(arguments)
    train, valid = read(given.data / "g2p.train.tsv.gz"), read(given.data / "g2p.valid.tsv.gz")
    if given.words:
        train = train[:: max(1, len(train) // given.words)]
    test = with_alternatives(read(given.data / "g2p.test.tsv.gz"), given.data / "cmudict.dict")
    model = Translator(**MODEL | {"hidden": given.hidden})
    for number, (lr, share) in enumerate(RATES, 1):
        out = given.out and given.out / f"round-{number}"
        model.fit(train, valid=valid, out=out, epochs=given.epochs * share, lr=lr, **TRAINING)
    found = model.evaluate(test, beams=given.beams, length_penalty=given.length_penalty)
    print(f"phoneme error rate {100 * found.error_rate:.2f} %")
    print(f"word error rate {100 * found.wrong:.2f} %")
    return found.to_dict()


if __name__ == "__main__":
    main()
