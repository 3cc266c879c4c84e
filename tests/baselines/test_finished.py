"""Comparisons that are stopped: what is finished is kept, and the same call goes on."""

import json
import os
import signal
import time

import numpy as np
import pytest

from cli.conftest import start
from recurra.baselines import compare
from recurra.baselines.finished import NAME, digest
from recurra.cli import main
from recurra.errors import FormatError, InputError
from recurra.train.interrupt import Interrupted
from tasks.classified import SMALL, reviews

HOW = {**SMALL, "epochs": 1, "batch": 16, "threads": 1}
TRAIN, TEST = reviews(60), reviews(30, seed=1)
MODELS = ["gru", "bag-of-words", "tfidf"]


def run(out, models=MODELS, **settings):
    begun, tables = [], []
    found = compare(
        "classify",
        TRAIN,
        test=settings.pop("test", TEST),
        models=models,
        out=out,
        told=begun.append,
        grown=lambda table: tables.append(len(table.results)),
        **{**HOW, **settings},
    )
    return found, begun, tables


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A comparison that ended when its second model had been trained."""
    from recurra.baselines.classifier.bag_of_words import BagOfWords

    def stop(self, data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BagOfWords, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    return tmp_path


def test_it_goes_on_with_what_is_missing(stopped):
    first, begun, tables = run(stopped)
    assert begun == ["bag-of-words", "tfidf"]
    assert tables == [1, 2, 3]
    again, begun, _ = run(stopped)
    assert begun == []
    assert again == first  # to the last digit of the times
    more, begun, _ = run(stopped, models=["gru", "tfidf", "rnn"])
    assert begun == ["rnn"]
    assert more["tfidf"] == first["tfidf"]
    _, begun, _ = run(stopped, threads=2)
    assert begun == []
    _, begun, _ = run(stopped, fresh=True)
    assert begun == MODELS


#: What makes it another comparison, and what is said of it.
DIFFERENT = [
    ({"test": reviews(31, seed=1)}, "test"),
    ({"hidden": 8}, "hidden 16 there, 8 now"),
    ({"seed": 3}, "seed 0 there, 3 now"),
    ({"minutes": 2.0}, "minutes nothing there, 2.0 now"),
    ({"dropout": 0.5}, "dropout nothing there, 0.5 now"),
]


@pytest.mark.parametrize(("settings", "text"), DIFFERENT, ids=lambda v: str(v)[:20])
def test_another_comparison_is_refused_in_a_line(stopped, settings, text):
    before = (stopped / NAME).read_bytes()
    with pytest.raises(InputError, match="holds a comparison that differs") as caught:
        run(stopped, **settings)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert (stopped / NAME).read_bytes() == before


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"format": "recurra-comparison", "version": 9}']
)
def test_a_damaged_file_is_refused_in_a_line(stopped, text):
    (stopped / NAME).write_bytes(text)
    with pytest.raises(FormatError):
        run(stopped)


def test_a_damaged_row_is_refused_in_a_line(stopped):
    held = json.loads((stopped / NAME).read_bytes())
    del held["models"]["gru"]["result"]["figures"]["seconds"]
    (stopped / NAME).write_text(json.dumps(held))
    with pytest.raises(FormatError, match="the row of gru is damaged"):
        run(stopped)


def test_a_signal_says_what_is_kept(tmp_path):
    class Sender:
        def on_start(self, event):
            os.kill(os.getpid(), signal.SIGTERM)

        def on_step(self, event):
            pass

        on_validation = on_end = on_step

    models = ["gru", "rnn"]
    run(tmp_path, models=["gru"])
    with pytest.raises(Interrupted) as caught:
        run(tmp_path, models=models, watch=lambda: (Sender(),))
    assert str(caught.value) == (
        "compare: stopped by a signal while rnn was trained; gru finished, kept in "
        f"{tmp_path}: run the same again to go on"
    )
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_command_goes_on_after_a_kill(tmp_path, number, capsys):
    for name, (texts, labels) in (("train", TRAIN), ("test", TEST)):
        lines = [f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)]
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
    out = tmp_path / "out"
    words = ["compare", "classify", tmp_path / "train.tsv", "--columns", "label,text"]
    words += ["--test", tmp_path / "test.tsv", "--out", out, "--hidden", 8, "--embedding", 8]
    words += ["--minutes", 0.02, "--threads", 1, "--models"]
    with start(*words, "rnn,gru,lstm") as process:
        until = time.monotonic() + 100
        while not (out / NAME).exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), err
    assert "Traceback" not in err
    done = list(json.loads((out / NAME).read_bytes())["models"])
    assert done[0] == "rnn"
    assert main([str(word) for word in words] + ["rnn,gru,lstm"]) == 0
    shown = capsys.readouterr()
    assert "training rnn" not in shown.err
    assert "minutes left" in shown.err
    assert len(shown.out.splitlines()) == 4
    assert {p.name for p in out.iterdir()} == {NAME, "compare.json", "compare.png"}


def test_data_are_known_by_what_they_hold(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.txt").write_text("one")
    forms = [
        tmp_path / "a.txt", "one", ["one"], ("one", "two"), np.arange(3), np.arange(3.0),
        np.arange(3).reshape(3, 1), {"a": 1}, {"a": 2}, None, [np.arange(2), "x"],
    ]  # fmt: skip
    digests = [digest(form, "data") for form in forms]
    assert len(set(digests)) == len(forms)
    assert digest(tmp_path / "b", "data") == digest(str(tmp_path / "a.txt"), "data")
    (tmp_path / "a.txt").write_text("two")
    assert digest(tmp_path / "a.txt", "data") != digests[0]
    with pytest.raises(InputError, match="received object"):
        digest(object(), "data")
