"""What is left out is counted, and the first of it shown, by every verb of every task."""

import json

import numpy as np
import pytest

from recurra.tasks.transcriber.wav import Sound, write_wav
from tasks.tones import RATE, say

QUICK = ["--steps", 2]
SIZES = ["--hidden", 8, "--layers", 1]


def reviews(folder):
    rows = ["a fine film,good", "a dull film,bad"] * 15
    path = folder / "r.csv"
    path.write_text("\n".join(["text,label", *rows, *["broken, with comma,good"] * 20]) + "\n")
    new = folder / "new.csv"
    new.write_text("text,label\na fine film,good\nbroken, with comma,good\na dull film,bad\n")
    return path, new, "line 32: expected 2 fields, received 3", "line 3: expected 2 fields"


def sentences(folder):
    right, wrong = "Ada\tB-PER\nwas\tO\n\nEve\tB-PER\n\n", "no tag\n\n"
    path = folder / "t.conll"
    path.write_text(right * 15 + wrong * 20)
    new = folder / "new.conll"
    new.write_text("Ada\tB-PER\n\nno tag\n\nhere\tO\n")
    return path, new, ":76: expected 2 columns", ":3: expected 2 columns"


def pairs(folder):
    right = "".join(f"{a}{b}\t{b}{a}\n" for a in "abcde" for b in "abcdef")
    path = folder / "p.tsv"
    path.write_text(right + "no tab\n" * 20)
    new = folder / "new.tsv"
    new.write_text("ab\tba\nno tab\nba\tab\n")
    return path, new, "line 31: expected source TAB target", "line 2: expected source TAB target"


def series(folder):
    rows = [f"2024-{1 + k // 28:02}-{1 + k % 28:02},{np.sin(k / 3):.4f}" for k in range(28)]
    path = folder / "s.csv"
    path.write_text("\n".join(["ds,y", *rows, *["2024-02-01,many"] * 20]) + "\n")
    new = folder / "new.csv"
    new.write_text("\n".join(["ds,y", *rows, "2024-02-01,many"]) + "\n")
    return path, new, "line 30: y: expected a finite number", "line 30: y: expected a finite number"


def speech(folder):
    random = np.random.default_rng(0)
    lines = []
    for k, word in enumerate(["do", "mi", "so"] * 10):
        write_wav(folder / f"{k}.wav", Sound(say([word], random), RATE))
        lines.append(f"{k}.wav\t{word}\n")
    path = folder / "m.tsv"
    path.write_text("".join(lines) + "none.wav\tdo\n" * 20)
    new = folder / "new.tsv"
    new.write_text(lines[0] + "none.wav\tmi\n" + lines[1])
    return path, new, "m.tsv, line 31", "new.tsv, line 2"


TASKS = {
    "classify": (reviews, ["--embedding", 8]),
    "tag": (sentences, ["--embedding", 8, "--characters", 0]),
    "translate": (pairs, ["--source-tokenizer", "char", "--target-tokenizer", "char"]),
    "forecast": (series, ["--horizon", 2, "--lookback", 4, "--embedding", 8]),
    "transcribe": (speech, ["--mels", 8, "--tokenizer", "word"]),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_verb_tells(recurra, tmp_path, task):
    make, sizes = TASKS[task]
    data, new, first, first_new = make(tmp_path)
    words = ["train", task, data, "--skip-bad", *SIZES, *sizes, *QUICK]
    done = recurra(*words, "--out", tmp_path / "one")
    assert done.code == 0, done.err
    assert "left out 20 " in done.err
    assert first in done.err
    done = recurra(*words, "--out", tmp_path / "two", "--json")
    told = json.loads(done.out)["left_out"]
    assert (told["count"], first in told["first"]) == (20, True)
    assert done.err.startswith("recurra: note: left out 20 ")
    card = (tmp_path / "two" / "best" / "README.md").read_text()
    assert "Left out 20 " in card
    assert first in card
    recorded = json.loads((tmp_path / "two" / "best" / "config.json").read_text())
    assert recorded["training"]["left_out"]["count"] == 20

    done = recurra("evaluate", tmp_path / "one", new, "--skip-bad", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)["left_out"]
    assert (told["count"], first_new in told["first"]) == (1, True)
    assert first_new in done.err

    done = recurra("predict", tmp_path / "one", new, "--skip-bad", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    missed = [k for k, row in enumerate(rows) if set(row) == {"left_out"}]
    if task == "translate":  # of a source nothing is missing where there is no tab
        assert (missed, len(rows)) == ([], 3)
    else:
        assert missed == [1], rows
        assert first_new in done.err
        assert len(done.err.splitlines()) == 1
    if task in ("classify", "transcribe"):
        plain = recurra("predict", tmp_path / "one", new, "--skip-bad").out.split("\n")
        assert [bool(line) for line in plain][1::2] == [False, False]
        assert len(plain) == 4

    done = recurra("compare", task, data, "--test", new, "--skip-bad", "--json", *SIZES, *sizes,
                   *QUICK, "--models", "gru")  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["left_out"]["count"] == 21
    assert "left out 21 " in done.err


def test_nothing_is_said_where_nothing_is_left_out(recurra, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("text,label\n" + "a fine film,good\na dull film,bad\n" * 10)
    words = ["train", "classify", path, *SIZES, "--embedding", 8, *QUICK, "--json"]
    done = recurra(*words, "--out", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    assert "left_out" not in (tmp_path / "run" / "best" / "config.json").read_text()
    done = recurra("predict", tmp_path / "run", path)
    assert (done.code, done.err) == (0, "")


def test_python_counts_too_and_names_long_pairs():
    from recurra.tasks.translator import Translator

    texts = [(a + b, b + a) for a in "abcd" for b in "abcd"]
    kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
    model = Translator(hidden=4, layers=1, **kinds)
    held_out = [("ab", "ba")]
    how = {"valid": held_out, "steps": 1, "progress": False, "max_length": 3}
    found = model.fit([*texts, ("abcdef", "fedcba")], **how).fit_result_
    assert str(found.left_out) == ("left out 1 of 18 pairs: pair 16: more than 3 tokens on a side")


STRAY = ["0", "o", "B_PER", "B"]


@pytest.mark.parametrize("tag", STRAY)
def test_a_tag_that_spoils_a_scheme_is_named(recurra, tmp_path, tag):
    path = tmp_path / "t.conll"
    right = "Ada\tB-PER\nLovelace\tI-PER\nwas\tO\n\n"
    path.write_text(right * 40 + f"was\t{tag}\n\n" + right * 40)
    words = ["train", "tag", path, *SIZES, "--embedding", 8, "--characters", 0, *QUICK]
    done = recurra(*words, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    (note,) = json.loads(done.out)["notes"]
    assert note.startswith(f"{path}:161: the tag {tag!r} (of 1 words in all) marks no entity")
    assert "F1 of entities" in note
    assert note in done.err
    assert note[1:] in (tmp_path / "run" / "best" / "README.md").read_text()
    done = recurra("evaluate", tmp_path / "run", path)
    assert f"{path}:161: the tag {tag!r}" in done.err
    refused = recurra(*words, "--out", tmp_path / "other", "--goal", "f1")
    assert refused.code == 2
    assert f"{path}:161: the tag {tag!r}" in refused.err


def test_a_breach_of_the_scheme_is_named(recurra, tmp_path):
    path = tmp_path / "t.conll"
    right = "Ada\tB-PER\nLovelace\tI-PER\nwas\tO\n\n"
    path.write_text(right * 20 + "was\tO\nAda\tI-PER\n\n" + right * 20)
    words = ["train", "tag", path, "--valid", path, *SIZES, "--embedding", 8, "--characters", 0]
    done = recurra(*words, *QUICK, "--out", tmp_path / "run", "--json")
    (note,) = json.loads(done.out)["notes"]
    told = f"{path}:82: the tag 'I-PER' after 'O' does not keep to BIO (1 sentence in all)"
    assert note.startswith(told)
    assert "f1" in json.loads(done.out)["best"]
    done = recurra(*words, *QUICK, "--no-constrain", "--out", tmp_path / "free", "--json")
    assert json.loads(done.out)["notes"] == []


def test_every_option_of_predict_is_in_plain_output(recurra, tmp_path):
    data, new, *_ = sentences(tmp_path)
    words = ["train", "tag", data, "--skip-bad", *SIZES, "--embedding", 8, "--characters", 0]
    assert recurra(*words, *QUICK, "--out", tmp_path / "run", "--json").code == 0
    new.write_text("Ada\nwas\n")
    asked = ["predict", tmp_path / "run", new, "--n-best", 2, "--probabilities"]
    row = json.loads(recurra(*asked, "--json").out)
    lines = [line.split("\t") for line in recurra(*asked).out.splitlines()]
    assert [line[1] for line in lines] == row["tags"]
    assert [line[2] for line in lines] == [f"{p:.4f}" for p in row["probabilities"]]
    assert [line[3] for line in lines] == row["n_best"][1]["tags"]
    for name, text in (
        ("new.jsonl", '{"words": ["Ada", "was"]}\n'),
        ("new.conllu", "# text = Ada was\n" + "".join(
            f"{k}\t{word}" + "\t_" * 8 + "\n" for k, word in ((1, "Ada"), (2, "was")))),
    ):  # fmt: skip
        other = tmp_path / name
        other.write_text(text)
        found = recurra("predict", tmp_path / "run", other, *asked[3:]).out
        for value in row["probabilities"]:
            assert f"{value:.4f}" in found or str(value) in found
        assert all(tag in found for tag in row["n_best"][1]["tags"])

    data, new, *_ = series(tmp_path)
    words = ["train", "forecast", new, "--skip-bad", *SIZES, *TASKS["forecast"][1], *QUICK]
    assert recurra(*words, "--out", tmp_path / "wave", "--json").code == 0
    asked = ["predict", tmp_path / "wave", new, "--samples", 3, "--levels", "0.5"]
    told = json.loads(recurra(*asked, "--json").out.splitlines()[0])["y"]["samples"]
    header, *lines = [line.split("\t") for line in recurra(*asked).out.splitlines()]
    names = ["series", "time", "column", "median", "0.5", "sample 0", "sample 1", "sample 2"]
    assert header == names
    assert [line[5:] for line in lines] == [[f"{v:g}" for v in row] for row in np.transpose(told)]


def test_standard_input_for_every_predict(recurra, tmp_path, monkeypatch):
    import io
    import sys

    def given(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    for task in ("forecast", "transcribe"):
        make, sizes = TASKS[task]
        data, new, *_ = make(tmp_path)
        words = ["train", task, data, "--skip-bad", *SIZES, *sizes, *QUICK]
        assert recurra(*words, "--out", tmp_path / task, "--json").code == 0
        file = new if task == "forecast" else tmp_path / "0.wav"
        expected = recurra("predict", tmp_path / task, file)
        given(file.read_bytes())
        found = recurra("predict", tmp_path / task, "-")
        assert (found.code, found.out) == (0, expected.out)

    rows = tmp_path / "n.csv"
    rows.write_text("a,b,y\n" + "1,2,up\n2,1,down\n" * 10)
    words = ["train", "classify", rows, "--inputs", "numbers", *SIZES, *QUICK]
    assert recurra(*words, "--out", tmp_path / "numbers", "--json").code == 0
    rows.write_text("a,b\n1,2\n2,1\n")
    expected = recurra("predict", tmp_path / "numbers", rows).out.splitlines()
    given(b"1,2\n\n2 1\n")
    found = recurra("predict", tmp_path / "numbers", "-")
    assert found.out.splitlines() == [expected[0], "", expected[1]]
    assert "left out 1 of 3 rows: standard input, line 2" in found.err
