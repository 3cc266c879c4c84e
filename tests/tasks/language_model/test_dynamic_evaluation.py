"""Dynamic evaluation as a user meets it."""

import numpy as np
import pytest

from recurra import LanguageModel
from recurra.errors import InputError
from recurra.tasks.language_model import DynamicConfig
from tasks.texts import QUICK, TINY, prose

TEXT = prose(300, seed=3)


@pytest.fixture(scope="module", params=[False, True], ids=["stream", "lines"])
def model(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("texts") / "text.txt"
    file.write_text(prose(), encoding="utf-8")
    made = LanguageModel(**TINY, tokenizer="word", dropout=0.4)
    made.fit(file, progress=False, **{**QUICK, "lines": request.param})
    return made, file


TINY = {name: value for name, value in TINY.items() if name != "dropout"}


def test_it_learns_from_the_text_and_leaves_the_model_alone(model):
    lm, _ = model
    before = {name: tensor.copy() for name, tensor in lm.files.tensors.items()}
    plain = lm.evaluate(text=TEXT)
    found = lm.evaluate(text=TEXT, dynamic=DynamicConfig(lr=1.0, decay=0.0))
    assert found.perplexity < 0.97 * plain.perplexity
    assert (found.tokens, found.characters) == (plain.tokens, plain.characters)
    assert lm.evaluate(text=TEXT) == plain
    for name, tensor in before.items():
        np.testing.assert_array_equal(lm.files.tensors[name], tensor)
    still = lm.evaluate(text=TEXT, dynamic=DynamicConfig(lr=0.0, decay=0.0))
    assert still.nats == pytest.approx(plain.nats, rel=1e-5)


def test_the_sizes_of_gradients_come_from_the_training_text(model):
    lm, file = model
    rms = DynamicConfig(rule="rms", lr=0.01)
    assert lm.evaluate(text=TEXT, dynamic=rms, trained_on=file).perplexity < lm.perplexity(
        text=TEXT
    )
    with pytest.raises(InputError, match=r"the rule rms .* needs trained_on"):
        lm.evaluate(text=TEXT, dynamic=rms)
    with pytest.raises(InputError, match="no other rule does"):
        lm.evaluate(text=TEXT, dynamic=True, trained_on=file)
    with pytest.raises(InputError, match="segment must be"):
        lm.evaluate(text=TEXT, dynamic=DynamicConfig(segment=0))
