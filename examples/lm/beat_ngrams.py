"""A recurrent language model of words against Kneser–Ney 5-grams, and both together.

    python examples/lm/beat_ngrams.py king-james shared/data --minutes 18

Both read the same 10,000 words; the n-gram model counts in a second what the LSTM learns in
minutes. Then the two are mixed, with the weights that predict the validation part best, and all
three are measured on the test part, which nothing was chosen by.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

# What a script may import: the folder it stands in.
from texts import TEXTS, write

from recurra import LanguageModel, native
from recurra.baselines.language_model.mixture import MixtureModel
from recurra.baselines.language_model.ngram import NGramModel
from recurra.cells import find
from recurra.tasks.language_model import DynamicConfig

#: Half of what a layer says is dropped: these texts are short, and are read many times.
SETTINGS = {
    "tokenizer": "word",
    "vocab_size": 10_000,
    "hidden": 512,
    "dropout": 0.5,
    "embedding_dropout": 0.2,
}
HOW = {"batch": 32, "bptt": 35, "lr": 3e-3}


def main(argv=None):
    """Train, mix, measure; print a table, and return it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", choices=sorted(TEXTS))
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("--minutes", type=float, default=18, help="of training")
    parser.add_argument("--epochs", type=float, help="of training, instead of minutes")
    parser.add_argument("--hidden", type=int, default=SETTINGS["hidden"])
    parser.add_argument("--share", type=float, default=1.0, help="of each part that is read")
    parser.add_argument("--dynamic", action="store_true", help="measure dynamic evaluation too")
    parser.add_argument("--out", type=Path, help="directory of the run; the same again resumes it")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)

    with tempfile.TemporaryDirectory() as name:
        train, valid, test = write(options.text, options.data, Path(name), options.share)

        half = not native.without_half(find("lstm").program())
        lstm = LanguageModel(
            **{**SETTINGS, "hidden": options.hidden}, precision="bf16" if half else "float32"
        )
        length = {"epochs": options.epochs} if options.epochs else {"minutes": options.minutes}
        lstm.fit(
            train,
            valid=valid,
            out=options.out,
            threads=options.threads,
            progress=not options.json,
            **length,
            **HOW,
        )
        ngrams = NGramModel(order=5, tokenizer="word")
        ngrams.fit(train, valid=valid, tokenizer=lstm.tokenizer)
        both = MixtureModel([lstm, ngrams])
        both.fit(valid)
        found = {
            "Kneser-Ney 5-gram": ngrams.perplexity(test),
            "LSTM": lstm.perplexity(test),
            "both": both.perplexity(test),
        }
        if options.dynamic:
            found["LSTM, dynamic"] = lstm.evaluate(test, dynamic=DynamicConfig()).perplexity
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for model, perplexity in found.items():
            print(f"{model:18} {perplexity:8.1f}")
        print(f"weight of the LSTM {both.weights[0]:8.2f}")
    return found


if __name__ == "__main__":
    main()
