"""Train, measure, write, save and load: every kind of model, on small texts."""

import html
import json
import math
import re
import tempfile

import numpy as np
import pytest
import torch
from torch.nn import functional

import recurra
from recurra import LanguageModel
from recurra.errors import FormatError, InputError
from recurra.tasks.language_model.training import build
from tasks.texts import QUICK, TINY, prose

TEXT = prose()
MODELS = [
    ({"tokenizer": "char"}, {}),
    ({"tokenizer": "byte"}, {}),
    ({"tokenizer": "word"}, {}),
    ({"tokenizer": "bpe", "vocab_size": 300}, {}),
    ({"cell": "gru", "reset": "before"}, {"bptt": "full", "steps": 2}),
    ({"cell": "rnn", "activation": "relu"}, {"random_lengths": True}),
    ({"tied": True, "embedding": 16}, {}),
    ({"tied": True, "projection": 8, "peephole": True}, {}),
    ({"embedding": 0, "layers": 2}, {}),
    ({"layers": 3, "residual": True, "layer_norm": True, "zoneout": 0.1}, {}),
    ({"learn_initial_state": True, "dropout": 0.3, "embedding_dropout": 0.2,
      "recurrent_dropout": 0.2, "weight_drop": 0.1, "layers": 2}, {}),
    ({"tokenizer": "char"}, {"lines": True}),
    ({"tokenizer": "word", "cell": "gru"}, {"lines": True, "bptt": 3}),
    ({"tokenizer": "bpe", "vocab_size": 280, "min_count": 2}, {"lines": True}),
]  # fmt: skip
every = pytest.mark.parametrize(
    ("settings", "how"), MODELS, ids=[f"{s}{h}".replace("'", "") for s, h in MODELS]
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def fit(settings, how, file, **more):
    model = LanguageModel(**{**TINY, **settings})
    model.fit(file, progress=False, **{**QUICK, **how, **more})
    return model, model.fit_result_


@every
def test_fit_evaluate_generate_save_load(settings, how, file, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(prose(300, seed=1), encoding="utf-8")
    model, result = fit(settings, how, file, valid=held_out)
    found = model.evaluate(held_out)
    # the same reading of the text, in float32: torch sums in another order
    for name in ("perplexity", "bits_per_character"):
        assert result.best[name] == pytest.approx(getattr(found, name), rel=1e-5)
    assert result.best["loss"] == pytest.approx(found.nats_per_token, rel=1e-5)
    assert model.perplexity(held_out) == found.perplexity
    assert model.evaluate(text=held_out.read_text()) == found

    written = model.generate("the cat", max_tokens=12, seed=3)
    again = model.generate("the cat", max_tokens=12, seed=3)
    assert str(written) == str(again) == written.text
    pieces = list(model.stream("the cat", max_tokens=12, seed=3))
    assert "".join(piece.text for piece in pieces) == written.text
    both = model.generate(["the cat", "a"], max_tokens=5, temperature=0)
    assert [g.prompt for g in both] == ["the cat", "a"]

    folder = model.save(tmp_path / "model")
    loaded = recurra.load(folder)
    assert isinstance(loaded, LanguageModel)
    assert loaded.config == model.config
    assert loaded.evaluate(held_out) == found
    assert str(loaded.generate("the cat", max_tokens=12, seed=3)) == written.text
    assert "not trained" not in repr(loaded)
    assert ("head.weight" in loaded._files.tensors) is not model.config.is_tied
    for name, value in loaded._files.tensors.items():
        assert (value == model._files.tensors[name]).all(), name


def test_the_share_held_out_is_the_end_of_the_text(file, tmp_path):
    _, result = fit({}, {}, file, valid_share=0.2, out=tmp_path / "run")
    cut = len(TEXT) - round(len(TEXT) * 0.2)
    model = recurra.load(tmp_path / "run")
    held_out = [
        model.evaluate(text=TEXT[start:]).nats_per_token for start in range(cut - 1, cut + 2)
    ]
    assert min(abs(v - result.best["loss"]) for v in held_out) < 1e-4
    other = model.evaluate(text=TEXT[:cut]).nats_per_token
    assert abs(other - result.best["loss"]) > 1e-3


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_periodic_text_is_learnt_to_the_end(cell, tmp_path):
    """Only targets that follow their inputs, and a state that is carried, get to zero."""
    file = tmp_path / "text.txt"
    file.write_text("abcdefgh" * 400)
    how = {"steps": 120, "batch": 8, "bptt": 16, "lr": 2e-2}
    _, result = fit({"cell": cell, "hidden": 32}, how, file, out=tmp_path / "run")
    model = recurra.load(tmp_path / "run")
    assert result.best["loss"] < 0.05
    assert model.evaluate(text="abcdefgh" * 20).nats_per_token < 0.05
    assert model.evaluate(text="acegbdfh" * 20).nats_per_token > 1
    assert str(model.generate("abcd", temperature=0, max_tokens=12)) == "efghabcdefgh"
    assert str(model.generate("g", temperature=0, max_tokens=3)) == "hab"


def test_memory_longer_than_a_segment_is_learnt_from_the_carried_state(tmp_path):
    """What the first half of a period was shows only in the state: bptt sees two characters."""
    file = tmp_path / "text.txt"
    file.write_text("aaaabaaaac" * 400)
    how = {"steps": 300, "batch": 8, "bptt": 5, "lr": 1e-2}
    _, result = fit({"hidden": 32, "init": "orthogonal"}, how, file)
    assert result.best["loss"] < 0.1


def test_names_are_lines(data_dir, tmp_path):
    names = (data_dir / "names" / "names.txt").read_text(encoding="utf-8").split()
    distinct = list(dict.fromkeys(names))[:3000]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(distinct) + "\n", encoding="utf-8")
    how = {"steps": 60, "lines": True, "batch": 64, "lr": 2e-2, "bptt": None}
    model, result = fit({"hidden": 32}, how, file)
    letters = math.log(len(set("".join(distinct))) + 1)
    assert result.best["loss"] < 0.85 * letters
    written = [str(g) for g in model.generate([""] * 20, seed=0, max_tokens=40)]
    assert sum(2 <= len(name) <= 15 for name in written) > 14
    assert all(name.isalpha() and name.islower() for name in written if name)
    found = model.evaluate(text="anna\nbob\n")
    assert found.tokens == 4 + 3 + 2  # each with its end
    alone = [model.evaluate(text=f"{name}\n").nats for name in ("anna", "bob")]
    assert found.nats == pytest.approx(sum(alone), rel=1e-6)


def test_figures_by_hand_from_torchs_logits(file):
    model, _ = fit({"tokenizer": "word", "layers": 2, "tied": False}, {}, file)
    text = "the cat sees a dog.\nwe like the big house.\n"
    ids = torch.from_numpy(model.tokenizer.encode(text).astype(np.int64))[None]
    module = build(model.config, len(model.tokenizer), 0).eval()
    weights = {name: torch.from_numpy(value) for name, value in model._files.tensors.items()}
    module.load_state_dict(weights)
    with torch.no_grad():
        logits, _ = module(ids[:, :-1])
    nats = functional.cross_entropy(logits[0].double(), ids[0, 1:], reduction="sum").item()
    found = model.evaluate(text=text)
    first = model.tokenizer.decode(ids[0, :1].numpy())
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert found.tokens == ids.shape[1] - 1
    assert found.characters == len(text) - len(first)
    assert found.words == len(text.split())
    assert found.bits_per_character == pytest.approx(nats / math.log(2) / found.characters)
    assert found.word_perplexity == pytest.approx(math.exp(nats / len(text.split())))


def test_fit_without_a_place_leaves_nothing_behind(file, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    model, _ = fit({}, {}, file)
    assert model.perplexity(text="the cat") > 1
    list(model.stream("the", max_tokens=3))
    assert sorted(tmp_path.rglob("*")) == before


def test_fit_again_goes_on_from_the_weights(file, tmp_path):
    model, first = fit({}, {"steps": 40}, file)
    tokenizer = model.tokenizer.sha256
    model.fit(file, progress=False, **{**QUICK, "steps": 1, "lr": 1e-9})
    still = model.fit_result_
    assert still.best["loss"] == pytest.approx(first.best["loss"], abs=1e-3)
    other = tmp_path / "other.txt"
    other.write_text(prose(400, seed=9).replace("cat", "dog"), encoding="utf-8")
    model.fit(other, progress=False, **{**QUICK, "steps": 40})
    more = model.fit_result_
    assert more.best["loss"] < first.best["loss"]
    assert model.tokenizer.sha256 == tokenizer


def test_a_trained_model_refuses_symbols_it_does_not_know_or_reads_them_as_unknown(file, tmp_path):
    model, _ = fit({}, {}, file)
    assert model.tokenizer.unk_id is not None
    assert model.evaluate(text="the ☃ cat").tokens == 8
    byte, _ = fit({"tokenizer": "byte"}, {}, file)
    assert byte.tokenizer.unk_id is None
    assert byte.evaluate(text="the ☃ cat").tokens == 10  # the snowman is three bytes


def test_the_same_call_resumes_and_other_settings_are_refused(file, tmp_path):
    run = tmp_path / "run"
    _, result = fit({}, {}, file, out=run)
    weights = (run / "best" / "model.safetensors").read_bytes()
    stamp = (run / "best" / "model.safetensors").stat().st_mtime_ns
    _, again = fit({}, {}, file, out=run)
    assert again.steps == result.steps == 6
    assert again.best == result.best
    assert (run / "best" / "model.safetensors").stat().st_mtime_ns == stamp
    for settings, how, word in (
        ({"hidden": 17}, {}, "model.hidden 16 there, 17 now"),
        ({}, {"lr": 0.5}, "lr 0.01 there, 0.5 now"),
        ({}, {"batch": 8}, "data.batch 4 there, 8 now"),
    ):
        with pytest.raises(InputError, match=word):
            fit(settings, how, file, out=run)
        assert (run / "best" / "model.safetensors").read_bytes() == weights
    file.write_text(TEXT + "more\n", encoding="utf-8")
    with pytest.raises(InputError, match="train"):
        fit({}, {}, file, out=run)
    fit({"hidden": 17}, {}, file, out=run, fresh=True)
    assert recurra.load(run).config.hidden == 17


def test_a_run_that_stopped_early_ends_as_one_that_did_not(file, tmp_path):
    class Stop(Exception):  # noqa: N818
        pass

    class StopAt:
        def on_start(self, event): ...
        def on_validation(self, event): ...
        def on_end(self, result): ...
        def on_step(self, event):
            if event.step == 5:
                raise Stop

    how = {"steps": 9, "checkpoint_every": 0.0, "eval_every": 4}
    settings = {"dropout": 0.4, "layers": 2}
    fit(settings, how, file, out=tmp_path / "whole")
    with pytest.raises(Stop):
        fit(settings, how, file, out=tmp_path / "broken", callbacks=[StopAt()])
    fit(settings, how, file, out=tmp_path / "broken")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        whole, broken = (tmp_path / run / "best" / name for run in ("whole", "broken"))
        assert whole.read_bytes() == broken.read_bytes(), name


def test_callbacks_hear_of_every_step(file):
    heard = []

    class Listener:
        def on_start(self, event):
            heard.append(("start", event.plan.steps))

        def on_step(self, event):
            heard.append(("step", event.step))

        def on_validation(self, event):
            heard.append(("validation", event.step))

        def on_end(self, result):
            heard.append(("end", result.steps))

    fit({}, {"steps": 3, "eval_every": 3}, file, callbacks=[Listener()])
    assert heard == [
        ("start", 3), ("step", 1), ("step", 2), ("step", 3), ("validation", 3), ("end", 3),
    ]  # fmt: skip


def test_the_report_shows_what_the_model_writes(file, tmp_path):
    fit({}, {}, file, out=tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What it writes" in page
    ((prompt, written),) = re.findall(r"<blockquote><b>(.*?)</b>(.*?)</blockquote>", page, re.S)
    assert abs(TEXT.index(prompt) - len(TEXT) * 0.9) <= 1
    assert 20 < len(prompt) <= 40
    assert len(html.unescape(written)) == 300
    fit({"tokenizer": "word"}, {"lines": True}, file, out=tmp_path / "lines")
    assert (tmp_path / "lines" / "report.html").read_text().count("<blockquote>") == 5


def test_the_model_card_tells_where_it_comes_from(file, tmp_path):
    model, result = fit({}, {"seed": 7}, file)
    folder = model.save(tmp_path / "model")
    card = (folder / "README.md").read_text(encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    assert f"{result.best['perplexity']:.4f}" in card
    assert config["training"]["corpus_sha256"] in card
    assert "text.txt" in card
    assert "seed 7" in card


def test_models_of_other_kinds_are_refused(file, tmp_path):
    from recurra.storage import save_model

    weights = {"a": np.zeros(1, np.float32)}
    save_model(tmp_path / "other", config={"task": "juggling"}, tensors=weights)
    with pytest.raises(FormatError, match="juggling"):
        recurra.load(tmp_path / "other")
    with pytest.raises(FormatError, match="juggling"):
        LanguageModel.load(tmp_path / "other")
    model, _ = fit({}, {}, file)
    files = model._files
    for change in ({"model": None}, {"model": {"hidden": -1}}, {"architecture": {"cell": "x"}}):
        save_model(
            tmp_path / "changed",
            config={**files.config, **change},
            tensors=files.tensors,
            tokenizer=files.tokenizer,
        )
        with pytest.raises(FormatError) as caught:
            recurra.load(tmp_path / "changed").generate("a")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({}, "either"), ({"data": "x", "text": "y"}, "either"), ({"text": ""}, "empty")],
)
def test_evaluate_needs_one_text(arguments, told, file):
    model, _ = fit({}, {}, file)
    with pytest.raises(InputError, match=told):
        model.evaluate(**arguments)


def test_generation_options_that_do_not_exist(file):
    model, _ = fit({}, {}, file)
    with pytest.raises(InputError, match=r"temprature.*known: max_tokens"):
        model.generate("a", temprature=0.5)
    with pytest.raises(InputError, match=r"top_k.*temperature|temperature.*top_k"):
        model.generate("a", temperature=-1, top_k=1000)
