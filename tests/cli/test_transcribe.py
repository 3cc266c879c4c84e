"""Transcribers at the command line: trained on a manifest, measured, asked."""

import json

import pytest

from recurra import Transcriber
from recurra.cli import main
from recurra.tasks.transcriber import write_wav
from tasks.tones import recordings

NETWORK = ["--tokenizer", "word", "--layers", 1, "--hidden", 12, "--mels", 16, "--stack", 4]
TRAINING = ["--stride", 4, "--batch", 8, "--lr", 0.03, "--epochs", 10, "--threads", 1]


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Wav files, and a manifest for each part."""
    folder = tmp_path_factory.mktemp("tones")
    for seed, (part, count) in enumerate({"train": 90, "valid": 20, "test": 20}.items(), 1):
        rows = []
        for n, one in enumerate(recordings(count, seed)):
            write_wav(folder / f"{part}{n}.wav", one.sound)
            rows.append(f"{part}{n}.wav\t{one.text}\n")
        (folder / f"{part}.tsv").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def run(tones):
    """A trained run."""
    words = ["train", "transcribe", tones / "train.tsv", "--valid", tones / "valid.tsv"]
    words += ["--out", tones / "run", "--json", *NETWORK, *TRAINING]
    assert main([str(word) for word in words]) == 0
    return tones / "run"


def test_train_evaluate_predict(recurra, tones, run):
    done = recurra("evaluate", run, tones / "test.tsv")
    assert done.out.startswith("word error rate ")
    assert "of 20 recordings" in done.out
    figures = json.loads(recurra("evaluate", run, tones / "test.tsv", "--json").out)
    assert figures["word_error_rate"] < 0.2
    assert figures["words"] > 20
    beamed = recurra("evaluate", run, tones / "test.tsv", "--beams", 2, "--bonus", -9, "--json")
    expected = Transcriber.load(run).evaluate(tones / "test.tsv", beams=2, bonus=-9)
    assert json.loads(beamed.out) == expected.to_dict()
    assert expected.word_error_rate > figures["word_error_rate"]
    done = recurra("predict", run, tones / "test.tsv")
    said = [line.split("\t")[1] for line in (tones / "test.tsv").read_text().splitlines()]
    heard = done.out.splitlines()
    assert len(heard) == 20
    assert sum(a == b for a, b in zip(said, heard, strict=True)) > 10
    done = recurra("predict", run, tones / "test0.wav", "--json", "--beams", 4, "--n-best", 2)
    row = json.loads(done.out)
    assert row["name"].endswith("test0.wav")
    assert len(row["alternatives"]) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["predict", "{run}", "none.wav"], "none.wav: no such file or folder"),
        (
            ["predict", "{run}", "{tones}/test0.wav", "--n-best", "2"],
            "n_best must be at most beams",
        ),
        (
            ["predict", "{run}", "{tones}/test0.wav", "--language-model", "{run}"],
            "the best path asks none",
        ),
        (
            ["predict", "{run}", "{tones}/test0.wav", "--language-model", "{run}", "--beams", "2"],
            "expected a language model",
        ),
        (["evaluate", "{run}", "{tones}/test0.wav"], "there is no text"),
        (["train", "transcribe", "{tones}/none.tsv"], "no such file or folder"),
        (["train", "transcribe", "{tones}/train.tsv", "--mels", "0"], "mels must be"),
        (["generate", "{run}", "x"], "writes no text: use predict"),
    ],
    ids=str,
)
def test_mistakes_are_told_in_a_line(recurra, tones, run, here, words, told):
    done = recurra(*(word.format(run=run, tones=tones) for word in words))
    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1
