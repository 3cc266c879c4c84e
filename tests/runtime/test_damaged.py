"""Weights or a configuration that do not fit are said to be so in one line."""

import numpy as np
import pytest

from recurra.errors import FormatError
from recurra.runtime import Architecture
from recurra.tasks.language_model.runtime import RuntimeLM
from runtime.models import ROWS, Row, V, tensors

every = pytest.mark.parametrize("row", ROWS, ids=str)


def refused(row: Row, weights: dict[str, np.ndarray]) -> str:
    with pytest.raises(FormatError) as caught:
        RuntimeLM(row.config.architecture(), weights)
    text = str(caught.value)
    assert "\n" not in text
    return text


@every
def test_every_missing_tensor_is_named(row):
    whole = tensors(row.both()[0])
    for name in whole:
        if name == "head.weight" or name == "embedding.weight" or "initial" in name:
            continue  # without one of these it is another model; see below
        assert name in refused(row, {k: v for k, v in whole.items() if k != name})


@every
def test_every_misshapen_tensor_is_named(row):
    whole = tensors(row.both()[0])
    for name, value in whole.items():
        for wrong in (value[:-1], value[..., None], value.reshape(-1)[:1], value[..., :-1]):
            if wrong.shape == value.shape:
                continue
            text = refused(row, {**whole, name: wrong.copy()})
            assert "model.safetensors" in text


@pytest.mark.parametrize("name", ["head.weight", "embedding.weight"])
def test_a_missing_matrix_is_found_by_what_it_should_fit(name):
    row = Row({"cell": "lstm"})  # embedding of 5, not tied, 6 units: nothing fits by chance
    whole = tensors(row.both()[0])
    assert refused(row, {k: v for k, v in whole.items() if k != name})


def test_tensors_of_a_model_with_more_layers():
    row, more = Row({"cell": "gru", "layers": 1}), Row({"cell": "gru", "layers": 2})
    assert "rnn.weight_hh_l1" in refused(more, tensors(row.both()[0]))


GOOD = {"cell": "lstm", "layers": 1, "residual": False, "zoneout": [0, 0], "options": {}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cell": "transformer"}, "transformer"),
        ({"cell": 3}, "3"),
        ({"layers": "many"}, "many"),
        ({"layers": 0}, "layers"),
        ({"layers": -1}, "layers"),
        ({"zoneout": 0.5}, "zoneout|float"),
        ({"zoneout": [0.5]}, "zoneout"),
        ({"zoneout": [0.5, 2]}, "zoneout"),
        ({"zoneout": ["x", 0]}, "x"),
        ({"options": {"frills": True}}, "frills"),
        ({"options": {"norm": "perhaps"}}, "perhaps"),
        ({"options": {"activation": "os.system"}}, "os.system"),
        ({"options": {"bias": []}}, "options|bias|hashable"),
        ({"options": None}, "options|None"),
    ],
)
def test_an_architecture_that_is_none(change, told):
    with pytest.raises(FormatError, match=told) as caught:
        Architecture.from_json({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_an_architecture_with_a_part_missing(missing):
    with pytest.raises(FormatError, match=missing):
        Architecture.from_json({k: v for k, v in GOOD.items() if k != missing})


@pytest.mark.parametrize("value", [None, [], "lstm", 3])
def test_an_architecture_that_is_no_object(value):
    with pytest.raises(FormatError, match=r"config\.json"):
        Architecture.from_json(value)


@every
def test_an_architecture_is_read_back(row):
    made = row.config.architecture()
    assert Architecture.from_json(made.to_json()) == made


def test_tokens_outside_the_vocabulary_are_not_read():
    _, model = Row({"cell": "rnn"}).both()
    with pytest.raises(IndexError):
        model.step(np.array([V]), model.start(1))
