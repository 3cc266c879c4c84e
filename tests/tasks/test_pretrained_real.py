"""A slice of real text: what a language model learnt of words serves a tagger with few tags."""

from recurra import LanguageModel, SequenceTagger
from recurra.tasks.tagger.conll import read_tagged

LANGUAGE = {
    "tokenizer": "word",
    "cell": "gru",
    "vocab_size": 1500,
    "hidden": 48,
    "dropout": 0.1,
}
TAGGER = {"cell": "gru", "layers": 1, "hidden": 48, "embedding": 48, "characters": 0}
HOW = {"batch": 4, "epochs": 12, "lr": 0.01, "threads": 1, "progress": False}


def test_a_tagger_knows_words_whose_tags_it_never_saw(data_dir, tmp_path):
    """50 tagged sentences, after 4,000 without tags: 66 %. A tagger to which nothing is carried
    over is the second one, which draws its weights: 58 %."""
    path = data_dir / "ud-en-ewt" / "en_ewt-ud-train.conllu.gz"
    pairs = [([word.lower() for word in s.words], s.tags) for s in read_tagged(path).sentences]
    text = tmp_path / "text.txt"
    text.write_text("".join(" ".join(words) + "\n" for words, _ in pairs[:4000]), encoding="utf-8")
    language = LanguageModel(**LANGUAGE)
    language.fit(text, epochs=3, batch=8, bptt=20, lr=0.006, threads=1, progress=False)
    language.save(tmp_path / "language")
    few, valid, test = pairs[4000:4050], pairs[4050:4070], pairs[5000:5400]
    accuracy = {}
    for begin in (str(tmp_path / "language"), None):
        model = SequenceTagger(**TAGGER, bidirectional=False)
        gently = {"unfreeze": 0.1, "lr_decay": 0.5} if begin else {}
        model.fit(few, valid=valid, pretrained=begin, **gently, **HOW)
        accuracy[begin is not None] = model.evaluate(test).accuracy
    assert accuracy[True] > accuracy[False] + 0.04
    assert accuracy[True] > 0.62
