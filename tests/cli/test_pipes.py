"""Commands in pipes: each line is answered when it comes, several files in turn, nothing else."""

import os
import pty
import subprocess
import sys
import time

import numpy as np
import pytest

import recurra as package
from cli.conftest import COMMAND
from recurra.tasks.transcriber.wav import write_wav
from tasks import classified, tagged, tones

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
    tagger = package.SequenceTagger(embedding=4, character_hidden=4, **SMALL)
    tagger.fit(tagged.places(30, seed=0))
    forecaster = package.Forecaster(horizon=3, lookback=6, **SMALL).fit(np.arange(60.0) % 7)
    hearing = package.Transcriber(**{**tones.TINY, **SMALL}).fit(tones.recordings(12))
    models = {"texts": texts, "numbers": numbers, "translate": translator, "tag": tagger}
    models |= {"forecast": forecaster, "transcribe": hearing}
    return {name: model.save(folder / name) for name, model in models.items()}


SENTENCE = '{"words": ["in", "Rome"]}'
#: Of each task: options, lines, what no line may be, and what is said of it.
LINES = {
    "texts": ([], ["a fine one", "dull", "", "again the"], b"\xff\n", "line 5: not UTF-8"),
    "every label": (
        ["--probabilities"],
        ["a fine one", "dull", "", "x"],
        b"\xff\n",
        "5: not UTF-8",
    ),
    "numbers": ([], ["1,2", "2 1", "", "0.5,0.5"], b"one two\n", "line 5: expected numbers"),
    "translate": ([], ["a1", "a2", "", "a3"], b"\xff\n", "line 5: not UTF-8"),
    "n-best": (["--n-best", "2"], ["a1", "a2", "", "a3"], b"\xff\n", "line 5: not UTF-8"),
    "tag": (["--format", "lines"], ["we were in Rome", "", "in Paris"], b"\xff\n", ":4: not UTF-8"),
    "taggings": (
        ["--format", "lines", "--n-best", "2", "--probabilities"],
        ["we were in Rome", "with Ada", "", "in Paris"],
        b"\xff\n",
        ":5: not UTF-8",
    ),
    "objects": (
        ["--format", "jsonl"],
        [SENTENCE, SENTENCE],
        b'{"words": []}\n',
        ':3: "words": expected a list',
    ),
}
#: The run of a row that has another name.
RUNS = {"every label": "texts", "n-best": "translate", "taggings": "tag", "objects": "tag"}


def run_of(name, runs):
    return runs[RUNS.get(name, name)]


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("json", [[], ["--json"]], ids=["plain", "json"])
def test_a_line_is_answered_before_the_next_is_written(name, json, runs):
    options, lines, bad, told = LINES[name]
    command = [*COMMAND, "predict", run_of(name, runs), "-", *options, *json]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    silent = "lines" in options and json  # there an empty line has no sentence
    with subprocess.Popen(command, **pipes) as process:
        answers = []
        for line in lines:
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            if line or not silent:
                answers.append(process.stdout.readline().decode())  # waits where there is none
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


@pytest.mark.parametrize("format", ["columns", "conllu"])
@pytest.mark.parametrize("options", [[], ["--probabilities"], ["--json"]], ids=str)
def test_a_sentence_is_tagged_when_it_is_whole(format, options, runs, recurra, tmp_path):
    sentences = [["we", "were", "in", "Rome"], ["with", "Ada"]]
    texts = [["# text = one", *sentences[0]], ["# text = two", *sentences[1]]]
    rows = [[line if line[0] == "#" else f"{k}\t{line}" + "\t_" * 8 for k, line in enumerate(text)]
            for text in texts]  # fmt: skip
    lines = texts if format == "columns" else rows
    chosen = ["--format", format, *options]
    command = [*COMMAND, "predict", runs["tag"], "-", *chosen]
    whole = "".join("\n".join(text) + "\n\n" for text in lines)
    file = tmp_path / "words.txt"
    file.write_text(whole)
    wanted = recurra("predict", runs["tag"], file, *chosen).out
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    written = []
    with subprocess.Popen(command, **pipes) as process:
        for text in lines:
            process.stdin.write(("\n".join(text) + "\n\n").encode())
            process.stdin.flush()
            answer = process.stdout.readline().decode()
            while not (answer.endswith("\n\n") or "--json" in options):
                answer += process.stdout.readline().decode()
            written.append(answer)
        process.stdin.write(b"# the last\n")
        process.stdin.close()
        rest = process.stdout.read().decode()
        assert process.wait(60) == 0
    assert "".join(written) == wanted
    assert rest == ("" if options == ["--json"] else "# the last\n")


def test_sentences_that_are_wrong_stay_as_they_are(runs):
    command = [*COMMAND, "predict", runs["tag"], "-", "--format", "conllu", "--skip-bad"]
    lines = "1\tin\n\n" + "1\tin" + "\t_" * 8 + "\n\n"
    done = subprocess.run(command, input=lines.encode(), capture_output=True, check=True)
    first, second, third, fourth = done.stdout.decode().splitlines()
    assert [first, second, fourth] == ["1\tin", "", ""]
    assert third.startswith("1\tin\t_\t")
    assert b"left out 1 of 2 sentences" in done.stderr


@pytest.mark.parametrize("name", LINES)
def test_nothing_at_all_is_an_error(name, runs):
    done = subprocess.run(
        [*COMMAND, "predict", run_of(name, runs), "-", *LINES[name][0]],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_line_that_is_typed_is_answered_in_a_terminal(runs):
    """Without a pipe: a terminal gives one line at a time, and Ctrl-D ends them."""
    command = [*COMMAND, "predict", runs["texts"], "-"]
    wanted = subprocess.run(command, input=b"dull\n", capture_output=True, check=True).stdout
    leader, follower = pty.openpty()
    with subprocess.Popen(command, stdin=follower, stdout=subprocess.PIPE) as process:
        os.close(follower)
        for _ in range(2):
            os.write(leader, b"dull\n")
            assert process.stdout.readline() == wanted
        os.write(leader, b"\x04")
        assert process.wait(60) == 0
    os.close(leader)


SERIES = "".join(f"s{k},{t},{t}\n" for k in range(900) for t in range(9))
#: Of each task a file, and of what.
MANY = {
    "texts": ("a.txt", "dull\n" * 20_000),
    "translate": ("a.txt", "a1\n" * 3000),
    "tag": ("a.txt", "in\nRome\n\n" * 20_000),
    "forecast": ("a.csv", f"unique_id,ds,y\n{SERIES}"),
}


@pytest.mark.parametrize("name", MANY)
def test_a_reader_of_the_first_line_alone_ends_it_quietly(name, runs, tmp_path):
    file, text = MANY[name]
    path = tmp_path / file
    path.write_text(text)
    words = ["recurra.cli", "predict", str(runs[name]), str(path)]
    script = f"import sys, {words[0]}; sys.exit(recurra.cli.main({words[1:]!r}))"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$0" | head -n 1; echo ${{PIPESTATUS[0]}}', script],
        capture_output=True, check=True,
    )  # fmt: skip
    first, status = done.stdout.decode().splitlines()
    assert first
    assert status in ("141", "0")
    assert done.stderr == b""


@pytest.mark.parametrize("start", ["\ufeff", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_marks_and_line_ends_of_windows(start, encoding, runs):
    _, lines, *_ = LINES["texts"]
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


def test_several_recordings(recurra, runs, tmp_path):
    run = runs["transcribe"]
    paths = [tmp_path / f"{k}.wav" for k in range(2)]
    for path, one in zip(paths, tones.recordings(2, seed=3), strict=True):
        write_wav(path, one.sound)
    lines = recurra("predict", run, *paths).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(path) for path in paths]


def test_as_a_module(runs):
    command = [sys.executable, "-m", "recurra", "predict", runs["texts"], "-"]
    done = subprocess.run(command, input=b"dull\n", capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 1
