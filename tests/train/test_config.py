import dataclasses

import pytest

from recurra.errors import InputError
from recurra.train import TrainConfig

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}

MISTAKES = [
    ({"lr": 0}, "lr must be a number above 0, received 0"),
    ({"lr": float("nan")}, "lr must be a number above 0, received nan"),
    ({"lr": "fast"}, "lr must be a number above 0, received 'fast'"),
    ({"steps": 2.5}, "steps must be a whole number at least 1, received 2.5"),
    ({"steps": True}, "steps must be a whole number at least 1, received True"),
    ({"steps": 5, "epochs": 2}, "only one of minutes, epochs, steps"),
    ({"steps": -1}, "steps must be"),
    ({"minutes": 0}, "minutes must be a number above 0, received 0"),
    ({"momentum": 1.0}, "momentum must be a number at least 0 and below 1"),
    ({"betas": (0.9,)}, "betas must be 2 numbers at least 0 and below 1, received (0.9,)"),
    ({"betas": (0.9, 1.0)}, "betas must be 2 numbers"),
    ({"optimizer": "lion"}, "optimizer must be one of sgd, adam, adamw, received 'lion'"),
    ({"schedule": None}, "schedule must be one of constant"),
    ({"min_lr": 1.5}, "min_lr must be a number at least 0 and at most 1"),
    ({"eval_every": "often"}, "eval_every must be a whole number at least 1"),
    ({"eval_every": 0}, "eval_every must be"),
    ({"deterministic": 1}, "deterministic must be true or false, received 1"),
    ({"seed": -1}, "seed must be a whole number at least 0"),
    ({"clip": -1.0}, "clip must be a number at least 0"),
    ({"patience": 0}, "patience must be"),
    ({"seed": None}, "seed must be"),
]


@pytest.mark.parametrize(("values", "text"), MISTAKES, ids=str)
def test_a_mistake_is_told(values, text):
    with pytest.raises(InputError) as caught:
        TrainConfig(**values).validate()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InputError) as caught:
        TrainConfig(lr=-1, optimizer="lion", steps=0, warmup=-2).validate()
    for name in ("lr", "optimizer", "steps", "warmup"):
        assert f"{name} must be" in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"clip": None},
        {"clip": 0},
        {"eval_every": "epoch"},
        {"eval_every": 7, "minutes": 0.5, "betas": (0.8, 0.9)},
    ],
    ids=str,
)
def test_a_configuration_comes_back_from_json(values):
    config = TrainConfig(**values).validate()
    assert TrainConfig.from_json(config.to_json()) == config


def test_json_of_another_version_names_its_fields():
    with pytest.raises(InputError, match="unknown settings: warp"):
        TrainConfig.from_json({"warp": 9})


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_is(name):
    metadata = FIELDS[name].metadata
    assert metadata["help"]
    assert metadata["help"][0].islower()
