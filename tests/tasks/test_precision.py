"""`precision` of a language model: in training, in running it, and where it cannot be had."""

import json
from dataclasses import replace

import numpy as np
import pytest

import recurra
from recurra import LanguageModel, native
from recurra.cli import main
from recurra.errors import InputError
from recurra.runtime.layer import KernelLayer
from recurra.tasks.language_model import LanguageModelSettings
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.training import build
from tasks.texts import QUICK, TINY, prose

NEEDS = pytest.mark.skipif(
    not native.half_products(), reason="no kernels, or a processor without AVX512-BF16 and AMX"
)
SETTINGS = [
    {},
    {"cell": "gru", "layers": 2, "dropout": 0.1},
    {"tied": True, "embedding": 40},
    {"embedding": 0, "layer_norm": True},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(prose(), encoding="utf-8")
    return path


@pytest.fixture
def elsewhere():
    """A machine without such products."""
    if not native.available():
        yield
        return
    before = native.isa()
    native.use_isa(native.isas()[-1])
    yield
    native.use_isa(before)


@pytest.fixture
def uncompiled(monkeypatch):
    """Cells that do not come compiled have no kernels."""
    monkeypatch.setenv("RECURRA_COMPILE", "off")
    native.find.cache_clear()
    yield
    native.find.cache_clear()


def fit(file, **settings):
    model = LanguageModel(**{**TINY, "hidden": 40, **settings})
    model.fit(file, progress=False, **{**QUICK, "steps": 30})
    return model, model.fit_result_


def parts(**settings):
    """Architecture and weights of a model that was not trained."""
    config = LanguageModelSettings(hidden=40, embedding=9, layers=2, **settings)
    module = build(config, 11, seed=0)
    return config.architecture(), {k: v.numpy().copy() for k, v in module.state_dict().items()}


@NEEDS
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_training_in_bf16_is_near_float32_and_not_the_same(settings, file):
    (_, half), (_, full) = fit(file, precision="bf16", **settings), fit(file, **settings)
    assert half.best["loss"] != full.best["loss"]
    assert half.best["loss"] == pytest.approx(full.best["loss"], abs=0.02)
    assert fit(file, precision="bf16", **settings)[1].best == half.best


@NEEDS
def test_saved_loaded_and_run_in_either(file, tmp_path):
    model, _ = fit(file, precision="bf16")
    folder = model.save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["precision"] == "bf16"
    assert "products in bfloat16" in (folder / "README.md").read_text()
    full, half = recurra.load(folder), recurra.load(folder, precision="bf16")
    assert full.config == half.config == model.config
    found = [m.evaluate(file).nats_per_token for m in (model, full, half)]
    assert found[0] == found[1] != found[2]
    assert found[2] == pytest.approx(found[1], abs=0.01)
    assert half.evaluate(file) == LanguageModel.load(folder, precision="bf16").evaluate(file)
    text = half.generate("the", max_tokens=20, seed=1)
    assert str(text) == str(half.generate("the", max_tokens=20, seed=1))

    greedy, runtime = half.generate("the", max_tokens=20, temperature=0), half.runtime
    ids = np.asarray(half.tokenizer.encode("the"))
    logits, state = runtime.read(ids[None], None, runtime.start(1))
    for token in greedy.ids:
        assert token == logits[0].argmax()
        logits, state = runtime.step(np.array([token]), state)


@NEEDS
def test_streams_in_bf16_have_the_same_bits_alone_and_among_others():
    architecture, tensors = parts()
    model = RuntimeLM(architecture, tensors, precision="bf16")
    assert all(isinstance(layer, KernelLayer) for layer in model._stack.layers)
    ids = np.random.default_rng(1).integers(0, 11, (5, 7))
    whole, state = model.read(ids, None, model.start(5))
    exact, _ = RuntimeLM(architecture, tensors).read(ids, None, model.start(5))
    assert 0 < np.abs(whole - exact).max() < 0.05
    stepped = model.start(5)
    for t in range(7):
        logits, stepped = model.step(ids[:, t], stepped)
    assert np.array_equal(logits, whole)
    for k in range(5):
        alone, ended = model.read(ids[k : k + 1], None, model.start(1))
        assert np.array_equal(alone[0], whole[k])
        for mine, of_all in zip(ended, state, strict=True):
            assert all(np.array_equal(m[0], a[k]) for m, a in zip(mine, of_all, strict=True))


@NEEDS
def test_a_model_that_only_numpy_runs_is_refused(uncompiled):
    with pytest.raises(InputError, match=r"precision bf16: .* only the reference runs") as caught:
        RuntimeLM(*parts(activation="softsign"), precision="bf16")
    assert "\n" not in str(caught.value)


def test_fit_is_refused_before_anything_is_written(file, tmp_path, elsewhere):
    out = tmp_path / "run"
    model = LanguageModel(**TINY, precision="bf16")
    with pytest.raises(InputError, match="precision bf16: expected a CPU with") as caught:
        model.fit(file, out=out, progress=False, **QUICK)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@NEEDS
def test_fit_of_a_cell_without_kernels_is_refused(file, tmp_path, uncompiled):
    model = LanguageModel(**TINY, precision="bf16", activation="softsign")
    with pytest.raises(InputError, match="received the cell lstm_softsign"):
        model.fit(file, out=tmp_path / "run", progress=False, **QUICK)
    assert not (tmp_path / "run").exists()


def test_running_is_refused_where_it_cannot_be_had(file, tmp_path, elsewhere, capsys):
    model, _ = fit(file)
    folder = model.save(tmp_path / "model")
    for load in (recurra.load, LanguageModel.load):
        with pytest.raises(InputError, match="precision bf16: expected a CPU with"):
            load(folder, precision="bf16")
    with pytest.raises(InputError, match="precision: expected one of float32, bf16"):
        recurra.load(folder, precision="fp8")
    out = tmp_path / "run"
    for words in (
        ["evaluate", folder, file],
        ["generate", folder, "the"],
        ["train", "lm", file, "--out", out],
    ):
        assert main([*map(str, words), "--precision", "bf16"]) == 2
        error = capsys.readouterr().err
        assert "precision bf16: expected" in error
        assert error.count("\n") == 1
    assert not out.exists()


@NEEDS
def test_the_command_line_runs_in_bf16(file, tmp_path, capsys):
    model, _ = fit(file)
    folder = str(model.save(tmp_path / "model"))
    assert main(["evaluate", folder, str(file), "--json", "--precision", "bf16"]) == 0
    found = json.loads(capsys.readouterr().out)
    half = recurra.load(folder, precision="bf16")
    assert found == half.evaluate(file).to_dict()
    words = ["--max-tokens", "9", "--seed", "1", "--precision", "bf16"]
    assert main(["generate", folder, "the", *words]) == 0
    written = half.generate("the", max_tokens=9, seed=1)
    assert capsys.readouterr().out == f"the{written}\n"


def test_a_model_from_before_there_was_a_choice_loads(file):
    model, _ = fit(file)
    config = model._files.config
    older = {k: v for k, v in config["model"].items() if k != "precision"}
    loaded = LanguageModel.from_files(replace(model._files, config={**config, "model": older}))
    assert loaded.config.precision == "float32"
    assert loaded.perplexity(file) == model.perplexity(file)
