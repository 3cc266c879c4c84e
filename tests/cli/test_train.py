"""`recurra train lm`: what it writes, says, and goes on from."""

import json
import math

import pytest

from cli.conftest import SMALL
from recurra.cli import main

STEPS = ["--steps", "6"]


def test_the_run_is_named_after_its_text(recurra, here, text):
    (here / "corpus.txt").write_text(text.read_text())
    done = recurra("train", "lm", "corpus.txt", *SMALL, *STEPS)
    assert done.code == 0
    names = {path.name for path in (here / "runs" / "corpus").iterdir()}
    assert names >= {"best", "checkpoints", "config.json", "metrics.jsonl", "report.html"}
    assert "best validation:" in done.out
    assert "runs/corpus/best" in done.out
    assert 'recurra generate runs/corpus "' in done.out


@pytest.mark.parametrize(
    ("data", "name"),
    [("a/b/corpus.txt", "corpus"), ("corpus.txt.gz", "corpus"), ("folder/", "folder"),
     ("-", "stdin"), ("notes.md", "notes"), ("odd.name.txt", "odd.name"), (".", None)],
)  # fmt: skip
def test_names(data, name, here):
    from recurra.cli.train import _name

    assert _name(data) == (name or here.name)


def test_without_a_terminal_progress_is_plain_lines_on_standard_error(recurra, here, text):
    done = recurra("train", "lm", text, *SMALL, *STEPS, "--eval-every", 3)
    lines = done.err.splitlines()
    assert lines[0].startswith("runs/prose: 6 steps (")
    assert [line.split()[1] for line in lines if line.startswith("step")] == ["3/6", "6/6"]
    assert "\x1b" not in done.err + done.out
    assert "\r" not in done.err + done.out


def test_json_is_one_object_and_nothing_else(recurra, here, text):
    done = recurra("train", "lm", text, "--out", "run", "--json", *SMALL, *STEPS)
    assert done.err == ""
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert found["run"] == "run"
    assert found["steps"] == 6
    assert found["seconds"] > 0
    assert found["tokens_per_second"] > 0
    assert found["best"]["perplexity"] == pytest.approx(math.exp(found["best"]["loss"]))
    recorded = [
        json.loads(line) for line in (here / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert recorded[-1]["valid_loss"] == found["best"]["loss"]


def test_what_it_reports_is_what_evaluate_finds(recurra, here, text):
    held_out = here / "held-out.txt"
    held_out.write_text(text.read_text()[:500])
    trained = recurra("train", "lm", text, "--valid", held_out, "--json", *SMALL, *STEPS)
    best = json.loads(trained.out)["best"]
    found = json.loads(recurra("evaluate", "runs/prose", held_out, "--json").out)
    assert found["nats_per_token"] == pytest.approx(best["loss"], rel=1e-5)
    assert found["perplexity"] == pytest.approx(best["perplexity"], rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(best["bits_per_character"], rel=1e-5)


def test_every_option_arrives(recurra, here, text):
    options = {
        "cell": "gru", "layers": 2, "hidden": 9, "embedding": 7, "dropout": 0.25,
        "zoneout": 0.1, "reset": "before", "tokenizer": "bpe", "vocab_size": 280, "batch": 3,
        "bptt": 11, "steps": 2, "optimizer": "sgd", "lr": 0.1, "momentum": 0.5, "clip": 0.3,
        "schedule": "linear", "warmup": 0.1, "seed": 5, "eval_every": 1, "patience": 3,
    }  # fmt: skip
    words = [word for name, v in options.items() for word in ("--" + name.replace("_", "-"), v)]
    switches = ["--layer-norm", "--residual", "--no-tied", "--learn-initial-state"]
    done = recurra("train", "lm", text, "--json", *words, *switches, "--betas", 0.8, 0.9)
    assert done.code == 0, done.err
    run = here / "runs" / "prose"
    train = json.loads((run / "config.json").read_text())["train"]
    config = json.loads((run / "best" / "config.json").read_text())
    told = config["model"] | config["training"]["data"] | config["training"]["train"]
    decides_nothing = {"threads", "checkpoint_every", "max_bad_steps"}
    lasting = {name: value for name, value in train.items() if name not in decides_nothing}
    assert lasting == config["training"]["train"]
    for name, value in options.items():
        assert told[name] == value, name
    assert told["betas"] == [0.8, 0.9]
    assert told["layer_norm"] is told["residual"] is told["learn_initial_state"] is True
    assert told["tied"] is False


def test_several_files_a_folder_and_gz(recurra, here, text):
    import gzip

    (here / "folder").mkdir()
    words = text.read_text()
    cut = words.index("\n", 3000) + 1
    (here / "folder" / "a.txt").write_text(words[:cut])
    (here / "folder" / "b.txt.gz").write_bytes(gzip.compress(words[cut:].encode()))
    for data in (["folder"], ["folder/a.txt", "folder/b.txt.gz"]):
        done = recurra("train", "lm", *data, "--json", "--out", f"run{len(data)}", *SMALL, *STEPS)
        assert done.code == 0, done.err
    recurra("train", "lm", text, "--json", "--out", "run0", *SMALL, *STEPS)
    weights = {(here / f"run{k}" / "best" / "model.safetensors").read_bytes() for k in range(3)}
    assert len(weights) == 1


def test_the_same_command_again_has_nothing_to_do_and_fresh_starts_over(recurra, here, text):
    command = ["train", "lm", text, *SMALL, *STEPS]
    first = recurra(*command)
    again = recurra(*command)
    assert again.code == 0
    assert "finished after 6 steps, nothing to do" in again.err
    assert again.out == first.out
    other = recurra(*command, "--seed", 1)
    assert other.code == 2
    assert "seed 0 there, 1 now" in other.err
    assert "--fresh" in other.err
    assert recurra(*command, "--seed", 1, "--fresh").code == 0


def test_another_text_or_model_is_refused_before_anything_is_written(recurra, here, text):
    command = ("train", "lm", text, *SMALL, *STEPS, "--out", "run")
    assert recurra(*command).code == 0
    before = {p: p.read_bytes() for p in (here / "run" / "data").iterdir()}
    (here / "other.txt").write_text("another text altogether\n" * 400, encoding="utf-8")
    for words in (("other.txt",), (text, "--tokenizer", "byte"), (text, "--lines")):
        refused = recurra("train", "lm", *words, *SMALL, *STEPS, "--out", "run")
        assert refused.code == 2
        assert "holds a run that differs" in refused.err
        assert {p: p.read_bytes() for p in (here / "run" / "data").iterdir()} == before


def test_standard_input(text, tmp_path):
    from cli.conftest import start

    words = ["train", "lm", "-", "--json", "--out", tmp_path / "run", *SMALL, *STEPS]
    with text.open() as file, start(*words, stdin=file) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["steps"] == 6


def test_lines(recurra, here):
    (here / "names.txt").write_text("anna\nbob\nclara\ndavid\n" * 20)
    done = recurra("train", "lm", "names.txt", "--lines", "--json", *SMALL[:4], *STEPS)
    assert done.code == 0, done.err
    written = recurra("generate", "runs/names", "", "", "--json", "--seed", 1)
    assert all("\n" not in json.loads(line)["text"] for line in written.out.splitlines())


def test_main_takes_its_words_from_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recurra", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("recurra 0.")


def test_of_several_processes_the_first_speaks(recurra, here, monkeypatch):
    from recurra import LanguageModel
    from recurra.train import FitResult

    best = {"loss": 1.0, "perplexity": 2.7, "bits_per_character": 1.4}
    result = FitResult(1, 1.0, best, best, "steps", 1.0, 1.0, 0, here / "metrics.jsonl")
    monkeypatch.setattr(LanguageModel, "fit", lambda model, *_, **__: model)
    monkeypatch.setattr(LanguageModel, "fit_result_", result)
    for rank, silent in (("0", False), ("1", True)):
        monkeypatch.setenv("RANK", rank)
        for flags in ([], ["--json"]):
            assert (recurra("train", "lm", "text.txt", *flags).out == "") is silent
