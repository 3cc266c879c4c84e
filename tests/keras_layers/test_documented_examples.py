"""The examples in the docstrings of Keras' recurrent layers, with our layers in them."""

import doctest
import re
import types

import keras
import numpy as np
import pytest

import recurra.keras.layers

#: Whose docstring, and how many examples (`>>>`) or blocks of code it has. LSTMCell's own example
#: unpacks three results into two.
DOCTESTS = {"LSTM": 8, "GRU": 8, "GRUCell": 7}
BLOCKS = {"SimpleRNN": 1, "SimpleRNNCell": 1, "StackedRNNCells": 1, "Bidirectional": 1}


def namespace():
    """`keras` whose layers are `recurra.keras.layers`."""
    ours = types.SimpleNamespace(**vars(keras))
    ours.layers = recurra.keras.layers
    return {"keras": ours, "np": np, **{n: getattr(ours, n) for n in ("Input", "Sequential")}}


class Shapes(doctest.OutputChecker):
    """Takes a torch.Size for the tuple that is documented."""

    def check_output(self, want, got, optionflags):
        got = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", got)
        return super().check_output(want, got, optionflags)


@pytest.mark.parametrize("name", DOCTESTS)
def test_doctests(name):
    text = getattr(keras.layers, name).__doc__
    test = doctest.DocTestParser().get_doctest(text, namespace(), name, None, 0)
    assert len(test.examples) >= DOCTESTS[name]
    said = []
    result = doctest.DocTestRunner(Shapes(), verbose=False).run(test, out=said.append)
    assert result.attempted == len(test.examples)
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    blocks = re.findall(r"```python\n(.*?)```", getattr(keras.layers, name).__doc__, re.S)
    assert len(blocks) >= BLOCKS[name]
    for block in blocks:
        # The one for both directions lacks a parenthesis.
        block = block.replace(
            "(LSTM(10, return_sequences=True),", "(LSTM(10, return_sequences=True)),"
        )
        space = namespace()
        for layer in ("LSTM", "GRU", "Bidirectional", "Dense", "Activation"):
            space[layer] = getattr(recurra.keras.layers, layer)
        lines = block.splitlines()
        indent = min(len(s) - len(s.lstrip()) for s in lines if s.strip())
        exec("\n".join(s[indent:] for s in lines), space)
