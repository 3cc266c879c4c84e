"""Training further from a run, and networks as modules of torch: all tasks, one table."""

import copy
import json

import numpy as np
import pytest
import torch

import recurra
from recurra.cli import main
from recurra.errors import FormatError, InputError
from recurra.tasks.catalog import ENTRIES
from tasks.test_copies import TASKS, same
from tasks.test_manners import CLASSES, ROWS

each = pytest.mark.parametrize("word", CLASSES)
QUICK = {"steps": 2, "threads": 1, "progress": False}


class Finished:
    """A finished run of a task, its data, and how its answers are asked for."""

    def __init__(self, word, folder):
        make, train, self.ask = TASKS[ROWS[word]]
        self.word, self.run = word, folder / "run"
        self.model = make()
        train(self, folder)  # which calls `fit`

    def fit(self, data, *rest, **settings):
        self.data, self.settings = data, settings
        self.model.fit(data, *rest, **settings, out=self.run)

    def further(self, folder, **settings):
        model = CLASSES[self.word]()
        return model.fit(self.data, warm_start=self.run, out=folder, **{**QUICK, **settings})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return {word: Finished(word, tmp_path_factory.mktemp(word)) for word in CLASSES}


def weights(model):
    return {name: value.copy() for name, value in model.files.tensors.items()}


@each
def test_it_goes_on_from_the_weights_of_a_run(word, finished, tmp_path):
    one = finished[word]
    before = {path: path.read_bytes() for path in one.run.rglob("*") if path.is_file()}
    still = one.further(tmp_path / "still", lr=1e-12, weight_decay=0.0)
    # The model before the first step is validated, so that it is the best of a run in vain.
    for name, value in weights(one.model).items():
        np.testing.assert_allclose(still.files.tensors[name], value, atol=1e-9)
    moved = one.further(tmp_path / "moved", lr=0.01, steps=8)
    assert moved.fit_result_.steps == 8
    assert {path: path.read_bytes() for path in one.run.rglob("*") if path.is_file()} == before


@each
def test_it_is_what_a_model_in_memory_does(word, finished, tmp_path):
    one = finished[word]
    named = one.further(tmp_path / "named", steps=4, lr=0.02)
    loaded = recurra.load(one.run).fit(
        one.data,
        **{**one.settings, "steps": 4, "lr": 0.02, "callbacks": []},
        out=tmp_path / "loaded",
    )
    if named.fit_result_.best["step"]:
        same(list(weights(named).values()), list(weights(loaded).values()))
    assert named.fit_result_.last == loaded.fit_result_.last


@each
def test_settings_of_the_run_hold_unless_others_are_given(word, finished, tmp_path):
    one = finished[word]
    then = json.loads((one.run / "best" / "config.json").read_text())["training"]
    model = one.further(tmp_path / "run", batch=4)
    now = json.loads((tmp_path / "run" / "best" / "config.json").read_text())["training"]
    assert now["data"] == {**then["data"], "batch": 4}
    assert now["train"] == {**then["train"], "steps": 2}
    assert model.get_params()["hidden"] == one.model.config.hidden


@each
def test_the_same_call_again_does_nothing_and_another_beginning_is_refused(
    word, finished, tmp_path
):
    one = finished[word]
    first = one.further(tmp_path / "run")
    again = one.further(tmp_path / "run")
    same(list(weights(first).values()), list(weights(again).values()))
    other = copy.deepcopy(one.model)
    network = other.network()
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    path = other.set_network(network).save(tmp_path / "other")
    with pytest.raises(InputError, match="the model it goes on from changed"):
        CLASSES[word]().fit(one.data, warm_start=path, out=tmp_path / "run", **QUICK)


@each
def test_what_has_to_match_is_told_in_one_line(word, finished, tmp_path):
    one, cls = finished[word], CLASSES[word]
    for wrong, told in (
        ({"hidden": 77}, r"keeps its network: hidden \d there, 77 now: leave these out"),
        ({"cell": "rnn", "layers": 3}, r"cell \w+ there, rnn now; layers \d there, 3 now"),
    ):
        model = cls(**wrong)
        with pytest.raises(InputError, match=told):
            model.fit(one.data, warm_start=one.run, **QUICK)
        assert "not trained" in repr(model)
        assert getattr(model.config, next(iter(wrong))) == next(iter(wrong.values()))
    foreign = finished["lm" if word != "lm" else "tag"]
    with pytest.raises(FormatError, match=f"expected a {cls.title}, found a model of the task"):
        cls().fit(one.data, warm_start=foreign.run, **QUICK)
    with pytest.raises(InputError, match="is the run to go on from, which stays as it is"):
        one.further(one.run)
    with pytest.raises(InputError, match="warm_start"):
        cls().fit(one.data, warm_start=3, **QUICK)
    with pytest.raises(InputError, match="nothing-there"):
        cls().fit(one.data, warm_start=tmp_path / "nothing-there", **QUICK)


def test_another_optimizer_has_its_own_rate(finished, tmp_path):
    one = finished["classify"]
    for optimizer, rate in (("adamw", 0.5), ("sgd", None)):
        one.further(tmp_path / "first", lr=0.5, fresh=True)
        second = CLASSES["classify"]().fit(
            one.data, warm_start=tmp_path / "first", out=tmp_path / optimizer, optimizer=optimizer,
            **QUICK,
        )  # fmt: skip
        assert second.files.config["training"]["train"]["lr"] == rate


def test_at_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.csv").write_text("label,text\n" + "good,a fine film\nbad,dull\n" * 20)
    small = ["--steps", "2", "--threads", "1"]
    first = ["train", "classify", "films.csv", "--hidden", "4", "--embedding", "4", *small]
    assert main(first) == 0
    assert main(["train", "classify", "films.csv", "--from", "runs/films", *small]) == 0
    assert (tmp_path / "runs" / "films-further" / "best").is_dir()
    written = json.loads((tmp_path / "runs/films-further/config.json").read_text())
    assert len(written["identity"]["from"]) == 64
    capsys.readouterr()
    code = main(
        ["train", "classify", "films.csv", "--from", "runs/films", "--hidden", "9", "--out", "x"]
    )
    assert code == 2
    assert "hidden 4 there, 9 now" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    vain = ["--from", "runs/films", "--lr", "1e-12", "--weight-decay", "0", "--out", "y", *small]
    assert main(["train", "classify", "films.csv", *vain]) == 0
    assert "no validation was better than that of runs/films itself" in capsys.readouterr().err


@each
def test_a_network_is_a_module_whose_weights_come_back_to_the_bit(word, finished, tmp_path):
    model = copy.deepcopy(finished[word].model)
    before = model.save(tmp_path / "before")
    network = model.network()
    assert isinstance(network, torch.nn.Module)
    assert not network.training
    assert model.set_network(network) is model
    after = model.save(tmp_path / "after")
    for file in before.iterdir():
        assert (after / file.name).read_bytes() == file.read_bytes(), file.name


@each
def test_weights_changed_in_torch_are_the_models(word, finished, tmp_path):
    model = copy.deepcopy(finished[word].model)
    answers, network = finished[word].ask(model), model.network()
    old = weights(model)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    same(list(weights(model).values()), list(old.values()))  # a copy leaves the model alone
    model.set_network(network.double())  # exactly representable, so nothing is lost
    own = {id(p): n for n, p in reversed(list(network.named_parameters(remove_duplicate=False)))}
    state = network.state_dict()
    for name in own.values():
        np.testing.assert_array_equal(model.files.tensors[name], state[name].float().numpy())
    changed = finished[word].ask(model)
    assert str(changed) != str(answers)
    path = model.save(tmp_path / "model")
    same(finished[word].ask(recurra.load(path)), changed)
    told = "eights were changed in torch after the training that the figures are of"
    assert told in (path / "README.md").read_text()
    assert told in json.loads((path / "config.json").read_text())["training"]["notes"][-1]
    again = recurra.load(path)
    with torch.no_grad():
        next((once := again.network()).parameters()).add_(1)
    again.set_network(once).save(path)
    assert (path / "README.md").read_text().count(told) == 1


@each
def test_other_modules_and_weights_are_refused(word, finished):
    model = copy.deepcopy(finished[word].model)
    old = weights(model)
    network = model.network()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    for wrong, told in (
        (network, "has values that are not finite"),
        (torch.nn.Linear(2, 2), r"expected the module that network\(\) returns, with"),
        ("network", "expected a torch.nn.Module, received"),
    ):
        with pytest.raises(InputError, match=told):
            model.set_network(wrong)
    same(list(weights(model).values()), list(old.values()))
    with pytest.raises(InputError, match="is not trained yet"):
        CLASSES[word]().network()


def test_a_network_computes_what_the_model_does():
    lm = recurra.LanguageModel(hidden=6, embedding=6, tied=True).fit(
        text="to be or not to be " * 40, batch=2, bptt=8, **QUICK
    )
    ids = np.array(lm.tokenizer.encode("to be or"))
    logits, _ = lm.network()(torch.from_numpy(ids)[None])
    ours = lm.log_probabilities(text="to be or")
    theirs = torch.log_softmax(logits[0], -1)[range(len(ids) - 1), ids[1:]].detach().numpy()
    np.testing.assert_allclose(np.asarray(ours)[-len(theirs) :], theirs, atol=1e-5)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 9, 2)).astype(np.float32)
    model = recurra.SequenceClassifier(inputs="numbers", hidden=4, standardise=False)
    model.fit(X, X[:, 0, 0] > 0, **QUICK)
    logits = model.network()(torch.from_numpy(X).transpose(0, 1), torch.full((40,), 9))
    np.testing.assert_allclose(
        model.predict_proba(X), logits.softmax(-1).detach().numpy(), atol=1e-6
    )


def test_every_task_is_in_the_table():
    assert {entry.word for entry in ENTRIES} == set(CLASSES)
