"""Parts of speech from few tagged sentences and much text without tags, beside no such text.

    python examples/tag/few_tags.py FOLDER

FOLDER holds en_ewt-ud-train.conllu.gz, -dev and -test. A language model reads the words of all
12,544 training sentences. Then a tagger takes over its words and layers and learns from the tags of
a few hundred of them, from the last layer to the first (ULMFiT; Howard & Ruder 2018). The same
network drawn at random sees the same tags, as often; so does the tagger as it is by default, which
also reads letters, and sentences from both ends. All weigh features of words. Of the tagged
sentences a tenth is what each model is chosen by.
"""

import argparse
import tempfile
from pathlib import Path

from recurra import LanguageModel, SequenceTagger
from recurra.tasks.tagger.conll import read_tagged

LANGUAGE = {
    "tokenizer": "word",
    "cell": "gru",
    "hidden": 128,
    "vocab_size": 6000,
    "dropout": 0.3,
    "embedding_dropout": 0.1,
}
READING = {"batch": 16, "bptt": 35, "lr": 4e-3}
#: What the language model says of a word is joined by how the word is written.
TAGGER = {"features": True, "feature_count": 1}
#: The network of a tagger that takes the language model over, for one that does not.
SHAPE = {"cell": "gru", "layers": 1, "hidden": 128, "embedding": 128, "characters": 0}
TUNING = {"batch": 8, "lr": 0.005}
GENTLY = {"unfreeze": 0.1, "lr_decay": 0.4}


def main(argv=None):
    """Train all taggers, print what the test comes to, return the accuracies by sentences and
    model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", default="100", help="default: %(default)s")
    parser.add_argument("--reading", type=float, default=8, help="epochs of the language model")
    parser.add_argument("--epochs", type=float, default=30, help="of the taggers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="directory of the language model's run")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args(argv)
    train, dev, test = (
        [(s.words, s.tags) for s in read_tagged(path).sentences]
        for path in (
            arguments.folder / f"en_ewt-ud-{part}.conllu.gz" for part in ("train", "dev", "test")
        )
    )
    how = {"seed": arguments.seed, "threads": arguments.threads, "progress": False}
    found = {}
    with tempfile.TemporaryDirectory() as name:
        texts = [Path(name) / f"{part}.txt" for part in ("train", "dev")]
        for path, sentences in zip(texts, (train, dev), strict=True):
            lines = (" ".join(words).lower() + "\n" for words, _ in sentences)
            path.write_text("".join(lines), encoding="utf-8")
        language = LanguageModel(**LANGUAGE)
        language.fit(
            texts[0], valid=texts[1], epochs=arguments.reading, out=arguments.out, **READING, **how
        )
        begin = str(language.save(Path(name) / "language"))
        taggers = {
            "from the language model": (TAGGER, {"pretrained": begin, **TUNING, **GENTLY}),
            "the same from scratch": ({**TAGGER, **SHAPE, "bidirectional": False}, TUNING),
            "both ways, with letters": (TAGGER, TUNING),
        }
        for count in map(int, arguments.sentences.split(",")):
            few = train[:: len(train) // count][:count]
            found[count] = {}
            for tagger, (settings, more) in taggers.items():
                model = SequenceTagger(**settings)
                model.fit(few, epochs=arguments.epochs, **more, **how)
                accuracy = found[count][tagger] = model.evaluate(test).accuracy
                print(f"{count:6,} sentences  {tagger:24} {accuracy:.4f}", flush=True)
    return found


if __name__ == "__main__":
    main()
