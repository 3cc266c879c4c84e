"""Options: what is accepted, and that all mistakes are told at once."""

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.generate import Options

V = 65

GOOD = [
    {},
    {"max_tokens": np.int64(1), "seed": 0, "logprobs": 0},
    {"temperature": 0, "top_k": 1, "top_p": 1},
    {"temperature": np.float32(0.8), "top_k": V, "top_p": 1e-9, "logprobs": V},
    {"beams": 4, "n_best": 4, "length_penalty": 0, "repetition_penalty": 1.2},
    {"beams": 1, "temperature": 0.5},
    {"stop": ["a", "bc"]},
]
BAD = [
    ({"max_tokens": 0}, "max_tokens: expected a whole number ≥ 1, received 0"),
    ({"max_tokens": 2.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": -1}, "temperature: expected 0 (greedy) or a number ≥ 1e-06, received -1"),
    ({"temperature": 1e-9}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
    ({"temperature": float("inf")}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": None}, "temperature"),
    ({"top_k": V + 1}, "top_k: expected 1..65 (the size of the vocabulary), received 66"),
    ({"top_k": 0}, "top_k"),
    ({"top_p": 0}, "top_p: expected a number in (0, 1], received 0"),
    ({"top_p": 1.01}, "top_p"),
    ({"beams": 0}, "beams"),
    ({"beams": "4"}, "beams"),
    ({"n_best": 2}, "n_best: expected 1..1 (the number of beams), received 2"),
    ({"beams": 3, "n_best": 4}, "n_best: expected 1..3"),
    ({"length_penalty": -0.1}, "length_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"stop": [""]}, "stop: expected strings of at least one character, received ('',)"),
    ({"stop": [b"a"]}, "stop"),
    ({"stop": None}, "stop"),
    ({"seed": -1}, "seed"),
    ({"seed": 1.0}, "seed"),
    ({"logprobs": V + 1}, "logprobs: expected 0..65"),
    ({"logprobs": -1}, "logprobs"),
    ({"beams": 2, "temperature": 0.8}, "temperature: expected no value with beams=2"),
    ({"beams": 2, "temperature": 0}, "temperature: expected no value with beams=2"),
    ({"beams": 2, "top_k": 4}, "top_k: expected no value with beams=2"),
    ({"beams": 2, "top_p": 0.5}, "top_p: expected no value with beams=2"),
]


@pytest.mark.parametrize("fields", GOOD, ids=str)
def test_accepts(fields):
    Options(**fields).validate(V)


@pytest.mark.parametrize(("fields", "message"), BAD, ids=str)
def test_rejects(fields, message):
    with pytest.raises(InputError) as caught:
        Options(**fields).validate(V)
    assert str(caught.value).startswith("generate: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("received") == 1


def test_all_mistakes_at_once():
    with pytest.raises(InputError) as caught:
        Options(max_tokens=0, temperature=-1, top_k=99, top_p=2, seed=-1).validate(V)
    names = ["max_tokens: ", "temperature: ", "top_k: ", "top_p: ", "seed: "]
    assert [name for name in names if name in str(caught.value)] == names
    assert str(caught.value).count(";") == len(names) - 1


def test_one_stop_string_is_not_its_letters():
    assert Options(stop="abc").stop == ("abc",)
    assert Options(stop=["abc", "."]).stop == ("abc", ".")
    assert hash(Options(stop=["a"])) == hash(Options(stop=("a",)))
