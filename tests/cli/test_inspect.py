"""`recurra inspect`: a page and numbers, and what is said where it cannot be done."""

import json

import pytest

from golden.outputs import HERE, INPUTS, TEXT

LM = str(HERE / "lm-char-gru" / "model")


def test_a_text_becomes_a_page(recurra, tmp_path):
    page = tmp_path / "report.html"
    done = recurra("inspect", LM, TEXT, "--out", page)
    assert done.code == 0, done.err
    assert done.out.strip() == str(page)
    first = page.read_bytes()
    assert first.startswith(b"<!doctype html>")
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    assert recurra("inspect", LM, file, "--out", page).code == 0
    assert page.read_bytes() == first


def test_numbers_are_one_json_object(recurra, tmp_path):
    done = recurra("inspect", LM, TEXT * 9, "--json", "--tokens", "64")
    found = json.loads(done.out)
    assert found["facts"]["Read"] == "64 steps"
    assert found["notes"] == ["Of 549 tokens the first 64 were read."] or found["notes"]
    assert "were read" in done.err


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("classifier-words", "a lovely film"),
        ("tagger-crf", "the walk to Abcdef ."),
        ("translator-char", "abcdef"),
        ("forecaster-paths", INPUTS / "series.csv"),
        ("transcriber-char", INPUTS / "sound0.wav"),
    ],
)
def test_every_task(recurra, tmp_path, name, data):
    page = tmp_path / "report.html"
    done = recurra("inspect", HERE / name / "model", data, "--out", page)
    assert done.code == 0, done.err
    assert "How long units keep what they hold" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((LM, TEXT), "expected --out FILE, where to write the page, or --json"),
        ((LM, TEXT, "--out", "no/such/folder/a.html"), "choose another path"),
        ((LM, TEXT, "--json", "--tokens", "3"), "tokens: expected a number from 8 on"),
        ((LM, TEXT, "--json", "--seed", "-1"), "--seed: expected 0 or more"),
        ((LM, "", "--json"), "expected at least 2 tokens"),
        ((str(HERE / "forecaster-paths" / "model"), "none.csv", "--json"), "expected a file for a"),
        ((str(HERE / "lm-ngram-char" / "model"), "ab" * 9, "--json"), "expected recurrent layers"),
    ],
)
def test_mistakes_are_told_in_a_line(recurra, words, said):
    done = recurra("inspect", *words)
    assert done.code == 1 or done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
