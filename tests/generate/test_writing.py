"""Text that the kernels write in one loop is the text written step by step."""

import numpy as np
import pytest

from generate.toys import letters
from recurra import native
from recurra.generate import Options, generate, stream
from recurra.tasks.language_model import LanguageModelConfig
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.training import build
from runtime.models import tensors

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the kernels")

V = 11
MODELS = {
    "rnn": {"cell": "rnn", "hidden": 6},
    "gru": {"cell": "gru", "hidden": 21, "layers": 2, "residual": True, "embedding": 21},
    "projection": {"cell": "lstm", "hidden": 24, "projection": 8, "zoneout": 0.1},
    "peephole": {"cell": "lstm", "hidden": 40, "peephole": True, "layers": 2},
    "two threads": {"cell": "lstm", "hidden": 272},
    "two threads, residual": {
        "cell": "gru",
        "hidden": 272,
        "layers": 2,
        "residual": True,
        "embedding": 272,
    },
    "two threads, projection": {"cell": "lstm", "hidden": 264, "projection": 40, "layers": 2},
}


class StepByStep:
    """The same model without its loop."""

    can_write = False

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)


def model_of(name):
    config = LanguageModelConfig(**{"embedding": 5, **MODELS[name]}).validate()
    weights = tensors(build(config, V, seed=3))
    weights = {k: 3 * v for k, v in weights.items()}  # far from uniform
    return RuntimeLM(config.architecture(), weights)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "asked",
    [
        {"max_tokens": 700},
        {"max_tokens": 1},
        {"max_tokens": 300, "top_k": 3, "temperature": 0.7},
        {"max_tokens": 40, "temperature": 0},
        {"max_tokens": 400, "eos": False},
        {"max_tokens": 300, "stop": ["ab", "cd"], "eos": False},
    ],
    ids=str,
)
def test_one_loop_writes_what_steps_write(name, asked):
    model, tokens = model_of(name), letters(V, eos="k")
    assert model.can_write
    options = Options(seed=5, **asked)
    (found,) = generate(model, tokens, ["abc"], options)
    (steps,) = generate(StepByStep(model), tokens, ["abc"], options)
    pieces = list(stream(model, tokens, "abc", options))
    for other in (steps, pieces[-1].generation):
        assert found.ids == other.ids
        assert found.logprobs == other.logprobs
        assert (found.text, found.stop_reason) == (other.text, other.stop_reason)
        for ours, theirs in zip(found.state.state, other.state.state, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)
    assert "".join(piece.text for piece in pieces) == found.text
    more = [
        generate(one, tokens, [""], options, state=text.state)[0].ids
        for one, text in ((model, found), (StepByStep(model), steps))
    ]
    assert more[0] == more[1]


def test_a_text_ends_at_its_end():
    """The judge of the test above: with ends in play texts do end early, and in the midst."""
    model, tokens = model_of("gru"), letters(V, eos="k")
    found = [
        generate(model, tokens, ["abc"], Options(max_tokens=700, seed=seed))[0] for seed in range(5)
    ]
    assert {text.stop_reason for text in found} == {"eos"}
    assert len({len(text.ids) for text in found}) > 1
    assert all(
        text.ids[-1] == tokens.eos_id and tokens.eos_id not in text.ids[:-1] for text in found
    )
