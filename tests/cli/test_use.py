"""`recurra evaluate`, `generate`, `doctor`, and help."""

import json
import math

import pytest

import recurra as package
from cli.conftest import start
from recurra import native
from recurra.baselines.language_model.ngram import NGramModel
from recurra.cli.parser import VERBS
from recurra.native import library


def test_evaluate_json_is_what_python_finds(recurra, run, text):
    done = recurra("evaluate", run, text, "--json")
    assert done.code == 0
    assert done.err == ""
    found = json.loads(done.out)
    assert set(found) >= {"nats_per_token", "perplexity", "bits_per_character", "tokens"}
    expected = package.load(run).evaluate(text)
    assert found == expected.to_dict()
    assert found["tokens"] == len(text.read_text()) - 1
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    assert found["bits_per_character"] == pytest.approx(found["nats_per_token"] / math.log(2))
    shown = recurra("evaluate", run, text).out
    assert f"perplexity {found['perplexity']:.3f} per token" in shown
    assert shown.count("\n") == 1


def test_evaluate_dynamic_is_for_recurrent_models(recurra, run, text, tmp_path):
    found = json.loads(recurra("evaluate", run, text, "--dynamic", "--json").out)
    assert found == package.load(run).evaluate(text, dynamic=True).to_dict()
    ngrams = NGramModel(order=2)
    ngrams.fit(text)
    folder = ngrams.save(tmp_path / "ngrams")
    plain = recurra("evaluate", folder, text, "--json")
    assert json.loads(plain.out) == ngrams.evaluate(text).to_dict()
    refused = recurra("evaluate", folder, text, "--dynamic")
    assert refused.code != 0
    assert "--dynamic: no option of this n-gram language model" in refused.err
    written = recurra("generate", folder, "the cat", "--max-tokens", 5, "--seed", 1)
    assert written.out == f"the cat{ngrams.generate('the cat', max_tokens=5, seed=1)}\n"


def test_the_best_model_alone_is_a_model_too(recurra, run, text):
    assert recurra("evaluate", run / "best", text, "--json").out == (
        recurra("evaluate", run, text, "--json").out
    )


def test_generate_is_what_python_generates(recurra, run):
    model = package.load(run)
    options = {"max_tokens": 30, "temperature": 0.7, "top_k": 5, "seed": 3}
    words = [w for name, v in options.items() for w in ("--" + name.replace("_", "-"), v)]
    done = recurra("generate", run, "the cat", *words)
    assert (done.code, done.err) == (0, "")
    assert done.out == "the cat" + str(model.generate("the cat", **options)) + "\n"
    assert recurra("generate", run, "the cat", *words).out == done.out
    assert recurra("generate", run, "the cat", *words[:-1], 4).out != done.out


def test_greedy_is_temperature_0_is_one_beam_is_top_k_1(recurra, run):
    same = {
        recurra("generate", run, "the", "--max-tokens", 20, *words).out
        for words in (["--temperature", 0], ["--beams", 1], ["--top-k", 1])
    }
    assert len(same) == 1


def test_several_prompts(recurra, run):
    done = recurra("generate", run, "the", "a dog", "--max-tokens", 5, "--seed", 1)
    alone = package.load(run).generate(["the", "a dog"], max_tokens=5, seed=1)
    assert done.out == f"the{alone[0]}\n\na dog{alone[1]}\n"


def test_beams_and_the_n_best_of_them(recurra, run):
    done = recurra("generate", run, "the", "--max-tokens", 6, "--beams", 4, "--n-best", 3)
    scores = [float(line[1 : line.index("]")]) for line in done.out.splitlines() if line[:1] == "["]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    best = package.load(run).generate("the", max_tokens=6, beams=4)
    assert done.out.startswith(f"[{best.score:.3f}] the{best}")
    single = recurra("generate", run, "the", "--max-tokens", 6, "--beams", 4)
    assert single.out == f"the{best}\n"


def test_generate_json_is_one_object_a_prompt(recurra, run):
    options = ["--max-tokens", 4, "--seed", 0, "--logprobs", 2]
    done = recurra("generate", run, "the", "a", "--json", *options)
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert (first["prompt"], second["prompt"]) == ("the", "a")
    assert len(first["ids"]) == len(first["logprobs"]) == len(first["top"]) == 4
    assert [len(step) for step in first["top"]] == [2] * 4
    assert first["stop_reason"] == "length"


def test_options_may_stand_anywhere(recurra, run, text):
    words = ["--max-tokens", 5, "--seed", 1]
    expected = recurra("generate", run, "the", "a", *words)
    assert expected.code == 0
    assert recurra("generate", *words, run, "the", "a") == expected
    assert recurra("generate", run, *words, "the", "a") == expected
    assert recurra("generate", run, "the", *words, "a") == expected
    assert recurra("evaluate", "--json", run, text) == recurra("evaluate", run, "--json", text)


def test_a_prompt_may_begin_with_a_dash(recurra, run):
    done = recurra("generate", run, "--max-tokens", 3, "--", "--the")
    assert done.out.startswith("--the")


@pytest.mark.parametrize("streamed", [True, False])
def test_stop_strings_end_the_text(recurra, run, streamed):
    words = ["generate", run, "the", "--seed", 5, "--max-tokens", 200, *([] if streamed else ["a"])]
    whole = recurra(*words).out
    assert " " in whole[4:]
    cut = recurra(*words, "--stop", " ").out.split("\n")[0]
    assert cut == whole[: whole.index(" ", 3)]
    kept = recurra(*words, "--stop", " ", "--stop", "zzz", "--include-stop").out.split("\n")[0]
    assert kept == cut + " "


def test_symbols_the_model_does_not_know_are_named(recurra, run):
    done = recurra("generate", run, "the ☃ and é", "--max-tokens", 3, "--seed", 0)
    assert done.code == 0
    assert done.err == "recurra: note: not in the vocabulary, read as <unk>: 'é', '☃'\n"
    assert done.out.startswith("the ☃ and é")


def test_a_terminal_that_lacks_a_symbol_is_no_reason_to_fail(run):
    import os

    words = ["generate", run, "the ☃", "--max-tokens", 3]
    with start(*words, env={**os.environ, "PYTHONIOENCODING": "ascii"}) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("the \\u2603")
    assert "Traceback" not in err


def test_text_is_written_as_it_comes_and_a_reader_may_leave(run):
    """As in `recurra generate … | head -c 10`."""
    with start("generate", run, "the", "--max-tokens", 100000) as process:
        beginning = process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert beginning.startswith("the")
    assert process.returncode == 141
    assert err == ""


def test_doctor(recurra):
    done = recurra("doctor", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["passed"] is True
    tests = 3 + native.available()
    assert len(found["tests"]) == tests
    if native.available():
        assert found["kernels"].startswith(f"{native.isa()}, ")
    assert all(test["passed"] and test["seconds"] < 10 for test in found["tests"])
    assert {"recurra", "python", "numpy", "torch", "processor", "cores"} <= set(found)
    shown = recurra("doctor")
    assert shown.code == 0
    assert shown.out.count(" passed (") == tests


def test_doctor_of_what_lacks_the_kernels(recurra, monkeypatch):
    monkeypatch.setattr(library, "OFF", False)
    monkeypatch.setattr(library, "_native", None)
    monkeypatch.setattr(library, "_why", "somebody took them: install them anew")
    monkeypatch.setattr(native, "find", lambda program: None)
    done = recurra("doctor")
    assert done.code == 0
    assert "none, 3 to 30 times slower: somebody took them: install them anew" in done.out
    monkeypatch.setattr(library, "OFF", True)
    assert "RECURRA_KERNELS=off" in recurra("doctor").out


def test_doctor_tells_what_fails(recurra, monkeypatch):
    from recurra import reference

    monkeypatch.setattr(reference.Interpreter, "hoist", lambda self, x: 1 / 0)
    done = recurra("doctor")
    assert done.code == 1
    assert "FAILED: ZeroDivisionError" in done.out


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS), ["train", "lm"]], ids=" ".join)
def test_help_has_an_example(recurra, words):
    for flag in ("-h", "--help"):
        done = recurra(*words, flag)
        assert done.code == 0
        assert done.err == ""
        last = done.out.strip().splitlines()[-1]
        assert last.startswith(f"example: recurra {' '.join(words)}")
        assert done.out.startswith("usage: recurra")


def test_help_tells_defaults_and_choices(recurra):
    shown = " ".join(recurra("train", "lm", "--help").out.split())
    for words in (
        "units of a layer (default: 384)",
        "rnn, lstm, gru, or one of your own",
        "uniform|orthogonal",
        "hard_sigmoid",
        "--fresh",
    ):
        assert words in shown
