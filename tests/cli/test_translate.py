"""`recurra train translate`, `evaluate` and `predict` on it."""

import json

import pytest

import recurra as package

SIZES = ["--hidden", 8, "--layers", 1, "--steps", 6, "--batch", 4]
KINDS = ["--source-tokenizer", "char", "--target-tokenizer", "char"]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    words = [a + b + c for a in "abc" for b in "abc" for c in "abc"]
    path.write_text("".join(f"{w}\t{w[::-1]}\n" for w in words), encoding="utf-8")
    return path


@pytest.mark.matrix
def test_train_evaluate_predict(recurra, pairs, tmp_path):
    out = tmp_path / "run"
    done = recurra("train", "translate", pairs, "--out", out, "--json", *SIZES, *KINDS)
    assert (done.code, done.err) == (0, "")
    best = json.loads(done.out)["best"]
    assert set(best) >= {"loss", "bleu", "chrf", "error_rate", "wrong"}
    model = package.load(out)
    done = recurra("evaluate", out, pairs, "--json")
    assert json.loads(done.out) == model.evaluate(pairs).to_dict()
    assert recurra("evaluate", out, pairs).out.startswith("BLEU ")
    with open(pairs, "a", encoding="utf-8") as file:
        file.write("no tab\n")
    words = ("--beams", 1, "--max-tokens", 2, "--skip-bad", "--json")
    done = recurra("evaluate", out, pairs, *words)
    assert done.code == 0, done.err
    expected = model.evaluate(pairs, beams=1, max_tokens=2, skip_bad=True)
    assert json.loads(done.out) == expected.to_dict()
    pairs.write_text(pairs.read_text().replace("no tab\n", ""))
    done = recurra("predict", out, pairs, "--json", "--beams", 3, "--n-best", 2)
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert rows[4] == model.predict("abb", beams=3, n_best=2).to_dict()
    assert [row["source"] for row in rows][:3] == ["aaa", "aab", "aac"]
    sources = tmp_path / "sources.txt"
    sources.write_text("cab\n\nabc\n", encoding="utf-8")
    best, other = [model.predict(source).text for source in ("cab", "abc")]
    done = recurra("predict", out, sources)
    assert done.out.splitlines() == [best, "", other]  # a line for each line
    assert "left out 1 of 3 lines: " in done.err
    assert f"{sources}, line 2: it is empty" in done.err
    lines = recurra("predict", out, sources, "--beams", 4, "--n-best", 3).out.splitlines()
    several = model.predict(["cab", "abc"], beams=4, n_best=3)
    shown = ["\t".join([one.text, *(o.text for o in one.others)]) for one in several]
    assert lines == [shown[0], "", shown[1]]


def test_two_files_side_by_side(recurra, tmp_path):
    for name in ("a.en", "a.fr"):
        (tmp_path / name).write_text("ab\nba\nbb\naa\n" * 5, encoding="utf-8")
    files = (tmp_path / "a.en", tmp_path / "a.fr")
    done = recurra("train", "translate", *files, "--out", tmp_path / "run", *SIZES, *KINDS)
    assert done.code == 0, done.err


def test_mistakes_are_one_line(recurra, pairs, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text("a\tb\nno tab\n" + pairs.read_text(), encoding="utf-8")
    for words, told in [
        (["train", "translate", bad], "line 2: expected source TAB target"),
        (["train", "translate", tmp_path / "none.tsv"], "no such file"),
        (["train", "translate", pairs, "--attention", "dot"], "attention dot: needs"),
    ]:
        done = recurra(*words, "--out", tmp_path / "run")
        assert done.code != 0
        assert told in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not (tmp_path / "run").exists()
    out = tmp_path / "run"
    done = recurra("train", "translate", bad, "--skip-bad", "--out", out, *SIZES, *KINDS)
    assert done.code == 0, done.err
    done = recurra("predict", out, pairs, "--beams", 2, "--n-best", 3)
    assert "n_best must be at most beams (2)" in done.err
