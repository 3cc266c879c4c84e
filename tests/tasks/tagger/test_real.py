"""A slice of real sentences: enough to tell a tagger from a broken one."""

from recurra import SequenceTagger
from recurra.baselines.tagger.hmm import HMMTagger
from recurra.tasks.tagger.conll import read_tagged

SMALL = {"embedding": 50, "characters": 16, "character_hidden": 24, "hidden": 48, "layers": 1}


def test_parts_of_speech_of_a_few_sentences(data_dir):
    """A tagger whose layers hardly see the words comes to 32 %, one that reads words but not how
    they are spelled to 82 %."""
    path = data_dir / "ud-en-ewt" / "en_ewt-ud-dev.conllu.gz"
    pairs = [(s.words, s.tags) for s in read_tagged(path).sentences]
    train, valid, test = pairs[:1000], pairs[1000:1200], pairs[1200:]
    model = SequenceTagger(**SMALL, dropout=0.3)
    model.fit(train, valid=valid, epochs=5, lr=0.006, batch=16, threads=1, progress=False)
    found = model.evaluate(test)
    assert found.accuracy > 0.84
    assert found.unknown_accuracy > 0.57
    rival = HMMTagger()
    rival.fit(train, valid=valid)
    assert 0.85 < rival.evaluate(test).accuracy < 0.88
