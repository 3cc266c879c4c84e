"""Commands in pipes: each line is answered when it comes, several files in turn, nothing else."""

import subprocess
import sys
import time

import numpy as np
import pytest

import recurra as package
from cli.conftest import COMMAND
from recurra.tasks.transcriber.wav import write_wav
from tasks import classified, tones

SMALL = {"hidden": 4, "steps": 2, "batch": 8, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    texts = package.SequenceClassifier(embedding=4, **SMALL).fit(*classified.reviews(40))
    X = np.random.default_rng(0).normal(size=(40, 2))
    numbers = package.SequenceClassifier(inputs="numbers", **SMALL).fit(X, X[:, 0] > 0)
    pairs = [(f"a{k}", f"{k}b") for k in range(30)]
    kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
    translator = package.Translator(**kinds, **SMALL).fit(pairs)
    models = {"texts": texts, "numbers": numbers, "translate": translator}
    return {name: model.save(folder / name) for name, model in models.items()}


#: By run: lines, what stands in the place of an empty one, and what no line may be.
LINES = {
    "texts": (["a fine one", "dull", "", "again the"], b"\xff\n", "line 5: not UTF-8"),
    "numbers": (["1,2", "2 1", "", "0.5,0.5"], b"one two\n", "line 5: expected numbers"),
    "translate": (["a1", "a2", "", "a3"], b"\xff\n", "line 5: not UTF-8"),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("json", [[], ["--json"]], ids=["plain", "json"])
def test_a_line_is_answered_before_the_next_is_written(name, json, runs):
    lines, bad, told = LINES[name]
    command = [*COMMAND, "predict", runs[name], "-", *json]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        answers = []
        for line in lines:
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            answers.append(process.stdout.readline().decode())  # waits for ever where there is none
        assert all(answer.endswith("\n") for answer in answers)
        process.stdin.write(bad)
        process.stdin.close()
        assert process.stdout.read() == b""
        error = process.stderr.read().decode()
        assert process.wait(60) == 2
    assert told in error
    at_once = subprocess.run(
        command, input="\n".join(lines).encode(), capture_output=True, check=True
    )
    assert at_once.stdout.decode() == "".join(answers)


@pytest.mark.parametrize("name", LINES)
def test_nothing_at_all_is_an_error(name, runs):
    done = subprocess.run(
        [*COMMAND, "predict", runs[name], "-"], input=b"", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("start", ["\ufeff", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_marks_and_line_ends_of_windows(start, encoding, runs):
    lines, *_ = LINES["texts"]
    command = [*COMMAND, "predict", runs["texts"], "-"]
    wanted = subprocess.run(
        command, input="\n".join(lines).encode(), capture_output=True, check=True
    )
    content = "\r\n".join(lines).encode(encoding)
    if encoding == "utf-8":
        content = (start + "\r\n".join(lines)).encode()
    found = subprocess.run(command, input=content, capture_output=True, check=True)
    assert found.stdout == wanted.stdout


def test_a_reader_that_has_seen_enough_ends_it_quietly(runs):
    command = [*COMMAND, "predict", runs["texts"], "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdin.write(b"dull\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        end = time.monotonic() + 60
        try:
            while process.poll() is None and time.monotonic() < end:
                process.stdin.write(b"fine\n")
                process.stdin.flush()
                time.sleep(0.01)
        except BrokenPipeError:
            pass
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_several_files(recurra, runs, tmp_path):
    for name, text in (("a.txt", "fine\ndull\n"), ("b.txt", "dull\n")):
        (tmp_path / name).write_text(text)
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    alone = [recurra("predict", runs["texts"], path).out.splitlines() for path in (a, b)]
    both = recurra("predict", runs["texts"], a, b)
    assert both.out.splitlines() == [
        *(f"{a}\t{line}" for line in alone[0]), *(f"{b}\t{line}" for line in alone[1])
    ]  # fmt: skip
    told = recurra("predict", runs["texts"], a, b, "--json").out
    assert told.count(f'"file": "{a}"') == 2
    assert told.count(f'"file": "{b}"') == 1
    assert recurra("predict", runs["texts"], a, tmp_path / "none.txt").code == 2
    done = recurra("predict", runs["texts"], "-", "-")
    assert done.code == 2
    assert "standard input can be read once" in done.err


def test_several_recordings(recurra, tmp_path):
    model = package.Transcriber(**{**tones.TINY, **SMALL}).fit(tones.recordings(12))
    run = model.save(tmp_path / "run")
    paths = [tmp_path / f"{k}.wav" for k in range(2)]
    for path, one in zip(paths, tones.recordings(2, seed=3), strict=True):
        write_wav(path, one.sound)
    lines = recurra("predict", run, *paths).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(path) for path in paths]


def test_as_a_module(runs):
    command = [sys.executable, "-m", "recurra", "predict", runs["texts"], "-"]
    done = subprocess.run(command, input=b"dull\n", capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 1
