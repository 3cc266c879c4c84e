"""Every script that takes minutes runs, on data of the same form that were made here.

What they reach on the real ones is held in tests/quality.
"""

import gzip
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT, example
from tasks.tagged import columns, grammar, places


def labelled(folder: Path) -> None:
    """train, valid and test: `label TAB text`."""
    draw = random.Random(0)
    for part, count in (("train", 60), ("valid", 20), ("test", 20)):
        rows = []
        for n in range(count):
            words = draw.choices(["a", "film", "of", "the", "kind"], k=6)
            words[2] = ("good", "bad")[n % 2]
            rows.append(f"{('pos', 'neg')[n % 2]}\t{' '.join(words)}\n")
        (folder / f"{part}.tsv").write_text("".join(rows))


def sentence_polarity(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(folder)
    monkeypatch.setitem(script.SETTINGS, "epochs", 1)
    found = script.main([str(folder), "--plot", str(folder / "plot.png")])
    assert {result.model for result in found.results} == set(script.MODELS.split(","))
    assert found["bag-of-words"].figures["accuracy"] == 1
    assert (folder / "plot.png").stat().st_size > 1000


def messages(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(folder)
    monkeypatch.setitem(script.SETTINGS, "epochs", 1)
    found = script.main([str(folder), "--models", "gru,tfidf"])
    assert found["gru"].figures["macro_f1"] > 0


def film_reviews(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(folder / "reviews.zip", "w") as archive:
        for n in range(60):
            kind = ("pos", "neg")[n % 2]
            text = f"a {('good', 'bad')[n % 2]} film . " * 5
            archive.writestr(f"reviews/{kind}/cv{n // 6}{n:02}_{n}.txt", text)
    own, rival = script.main([str(folder / "reviews.zip"), "--epochs", "1"])
    assert own.confusion.sum() == 6
    assert rival.accuracy == 1


def digits_of_images(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).integers(0, 17, (420, 65))
    rows[:, -1] = np.arange(420) % 10
    with gzip.open(folder / "digits.csv.gz", "wt") as file:
        np.savetxt(file, rows, fmt="%d", delimiter=",")
    monkeypatch.setattr(script, "TEST", 60)
    found = script.main([str(folder / "digits.csv.gz")])
    assert 0 < found.accuracy < 0.4  # of ten, by guessing


def treebank(folder: Path) -> None:
    """train, dev and test of CoNLL-U."""
    for part, count, seed in (("train", 40, 0), ("dev", 10, 1), ("test", 10, 2)):
        text = ""
        for words, tags in grammar(count, seed=seed):
            pairs = zip(words, tags, strict=True)
            rows = [f"{n}\t{w}\t_\t{t}" + "\t_" * 6 for n, (w, t) in enumerate(pairs, 1)]
            text += "\n".join(rows) + "\n\n"
        with gzip.open(folder / f"en_ewt-ud-{part}.conllu.gz", "wt") as file:
            file.write(text)


def parts_of_speech(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank(folder)
    own, hmm = script.main([str(folder), "--epochs", "1", "--out", str(folder / "run")])
    assert own.words == hmm.words
    assert hmm.accuracy > 0.5


def few_tags(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank(folder)
    monkeypatch.setitem(script.LANGUAGE, "vocab_size", None)
    words = [str(folder), "--sentences", "20", "--reading", "1", "--epochs", "1"]
    ((count, accuracy),) = script.main(words).items()
    assert count == 20
    assert len(accuracy) == 3
    assert all(0 < value <= 1 for value in accuracy.values())


def entities(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    for seed, (name, count) in enumerate(zip(names, (40, 10, 10), strict=True)):
        (folder / name).write_text(columns(places(count, seed=seed)))
    monkeypatch.setitem(script.SETTINGS, "epochs", 1)
    found = script.main([str(folder)])
    assert {result.model for result in found.results} == set(script.MODELS.split(","))
    assert found["crf"].figures["f1"] > 0.5


def m4_hourly(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hours, random = np.arange(600), np.random.default_rng(0)
    for part, first, last in (("train", 0, 552), ("test", 552, 600)):
        rows = [",".join(f"V{n}" for n in range(last - first + 1))]
        for name in ("H1", "H2", "H3"):
            values = 50 + 9 * np.sin(hours / 24 * 2 * np.pi) + random.normal(size=600)
            rows.append(",".join([name, *(f"{value:.3f}" for value in values[first:last])]))
        (folder / f"Hourly-{part}.csv").write_text("\n".join(rows) + "\n")
    found = script.main([str(folder), "--out", str(folder / "run"), "--steps", "2"])
    assert found.forecasts == 3
    assert found.season == 24
    assert (folder / "run" / "H1.png").stat().st_size > 1000


def etth1(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "TRAIN", 900)
    monkeypatch.setattr(script, "VALID", 200)
    monkeypatch.setattr(script, "TEST", 200)
    times = np.datetime64("2016-07-01T00", "s") + np.arange(1400) * np.timedelta64(3600, "s")
    values = np.random.default_rng(0).normal(size=(1400, 7)).cumsum(axis=0)
    rows = [
        f"{str(time).replace('T', ' ')},{','.join(f'{value:.3f}' for value in row)}\n"
        for time, row in zip(times, values, strict=True)
    ]
    (folder / "ETTh1.csv").write_text("date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n" + "".join(rows))
    words = [str(folder / "ETTh1.csv"), "--out", str(folder / "run"), "--epochs", "1"]
    found = script.main(words)
    assert found.forecasts == 200 - 96 + 1
    assert len(found.by_step) == 96


def written(folder: Path, pairs: list[tuple[str, str]], name: str) -> None:
    """train, valid and test of pairs."""
    for part, some in (("train", pairs[20:]), ("valid", pairs[:10]), ("test", pairs[10:20])):
        with gzip.open(folder / name.format(part), "wt") as file:
            file.writelines(f"{source}\t{target}\n" for source, target in some)


def cmudict(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    words = sorted({"".join(draw.choices("abcde", k=4)) for _ in range(120)})
    draw.shuffle(words)
    pairs = [(word, " ".join(f"{letter.upper()}H1" for letter in word)) for word in words]
    written(folder, pairs, "g2p.{}.tsv.gz")
    (folder / "cmudict.dict").write_text("".join(f"{word} {sounds}\n" for word, sounds in pairs))
    found = script.main([str(folder), "--epochs", "1", "--hidden", "16", "--words", "50"])
    assert found["sources"] == 10
    assert found["error_rate"] > 0


def tatoeba(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    words = {"the cat": "le chat", "a dog": "un chien", "sees": "voit", "and": "et", ".": "."}
    chosen = [draw.choices(list(words), k=5) for _ in range(200)]
    pairs = [(" ".join(some), " ".join(map(words.get, some))) for some in chosen]
    written(folder, pairs, "{}.tsv.gz")
    monkeypatch.setitem(script.MODEL, "vocab_size", 280)
    words_given = [str(folder), "--minutes", "0.03", "--hidden", "16"]
    found = script.main([*words_given, "--plot", str(folder / "plot.png")])
    assert {result.model for result in found.results} == {"lstm", "transformer"}
    assert found["lstm"].figures["bleu"] >= 0
    assert (folder / "plot.png").stat().st_size > 1000


def strings_of_digits(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    spoken = {
        (speaker, digit, number): draw.normal(0, 0.1, 400).astype(np.float32)
        for speaker in script.SPEAKERS
        for digit in range(10)
        for number in range(50)
    }
    monkeypatch.setattr(script, "read_digits", lambda folder: spoken)
    found = script.main([str(folder), "--strings", "8", "--epochs", "1", "--held-out", "theo"])
    assert 0 < found["word_error_rate"] <= 2
    assert script.main([str(folder), "--strings", "8", "--write", str(folder / "made")]) == {}
    assert len((folder / "made" / "train.tsv").read_text().splitlines()) == 8


def single_digits(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    part = [draw.normal(size=(9, 120)).astype(np.float32) for _ in range(40)], list("0123") * 10
    monkeypatch.setattr(script, "read", lambda folder: dict.fromkeys(script.PARTS, part))
    assert 0 <= script.main([str(folder), "--epochs", "1"])["accuracy"] <= 1


def texts(folder: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kjv").mkdir()
    with gzip.open(folder / "kjv" / "kjv.txt.gz", "wt") as file:
        file.write("Gen1:1 In the beginning.\nJob1:1 There was a man.\nNeh1:1 The words;\n")
    paths = script.main(["king-james", str(folder), str(folder / "made")])
    assert [path.name for path in paths] == ["train.txt", "valid.txt", "test.txt"]
    expected = ["in the beginning .\n", "the words ;\n", "there was a man .\n"]
    assert [path.read_text() for path in paths] == expected


SCRIPTS: dict[str, Callable[[Path, Any, pytest.MonkeyPatch], None]] = {
    "classify/sentence_polarity": sentence_polarity,
    "classify/messages": messages,
    "classify/film_reviews": film_reviews,
    "classify/digits": digits_of_images,
    "tag/parts_of_speech": parts_of_speech,
    "tag/entities": entities,
    "tag/few_tags": few_tags,
    "forecast/m4_hourly": m4_hourly,
    "forecast/etth1": etth1,
    "translate/cmudict": cmudict,
    "translate/tatoeba": tatoeba,
    "transcribe/digits": strings_of_digits,
    "transcribe/single_digits": single_digits,
    "lm/texts": texts,
}
#: Run as a process of its own in test_beat_ngrams.py.
ELSEWHERE = {"chat/dialogue", "lm/beat_ngrams"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name, tmp_path, monkeypatch):
    SCRIPTS[name](tmp_path, example(name), monkeypatch)


def test_all_of_them_are_here_told_of_and_held_to_their_figures():
    folders = [path for path in (ROOT / "examples").iterdir() if path.is_dir()]
    found = {
        f"{folder.name}/{path.stem}"
        for folder in folders
        if folder.name != "keras"
        for path in folder.glob("*.py")
    }
    assert found == set(SCRIPTS) | ELSEWHERE
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "quality").glob("*.py"))
    listed = (ROOT / "examples" / "README.md").read_text()
    for name in found - {"lm/texts"}:
        folder, stem = name.split("/")
        assert f"{name}.py" in pages, name
        assert f"({folder})" in listed or f"({name}.py)" in listed, name
        if name != "chat/dialogue":  # which promises no figure
            assert name in tests or f'"{stem}.py"' in tests, name
