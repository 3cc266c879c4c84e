"""Universal parts of speech of English (UD English-EWT), from its own sentences alone.

    python examples/tag/parts_of_speech.py FOLDER

FOLDER holds en_ewt-ud-train.conllu.gz, -dev and -test. UDPipe 1, which reads hand-made features,
comes to about 93.5 % on gold words.
"""

import argparse
from pathlib import Path

from recurra import SequenceTagger
from recurra.baselines.tagger.hmm import HMMTagger

MODEL = {"hidden": 160, "character_hidden": 80}


def main(argv=None):
    """Train ours and a hidden Markov model, print what the test comes to, return both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cell", default="gru")
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="directory of the run; the same again goes on in it")
    arguments = parser.parse_args(argv)
    train, dev, test = (
        arguments.folder / f"en_ewt-ud-{part}.conllu.gz" for part in ("train", "dev", "test")
    )
    model = SequenceTagger(cell=arguments.cell, **MODEL)
    model.fit(train, valid=dev, epochs=arguments.epochs, seed=arguments.seed, out=arguments.out)
    found = model.evaluate(test)
    print(f"{arguments.cell}\n{found}")
    rival = HMMTagger()
    rival.fit(train, valid=dev)
    other = rival.evaluate(test)
    print(f"hmm\n{other}")
    return found, other


if __name__ == "__main__":
    main()
