import numpy as np
import pytest

from inspect_cases import TEXTS, data_of, load, text_model
from recurra.errors import InputError
from recurra.inspect import ablate as holding
from recurra.inspect import ablation, gates, patched
from recurra.inspect.ablation import held
from recurra.inspect.language import language, output_layer
from recurra.inspect.reading import read


@pytest.mark.parametrize("name", TEXTS)
def test_a_unit_that_nothing_reads_costs_nothing(name):
    """The last layer's unit 2, without weights from it."""
    own = language(load(name), double=True)
    network = own.network
    last = dict(network.weights[-1])
    for key in [k for k in last if k.startswith("weight_hh")]:
        last[key] = last[key].copy()
        last[key][:, 2] = 0
    weight, bias = (np.array(a) for a in output_layer(own.steps))
    weight[:, 2] = 0
    from dataclasses import replace

    model = text_model(replace(network, weights=(*network.weights[:-1], last)), weight, bias)
    ids = own.whole(data_of(name))
    found = ablation(model, ids, units=[(network.layers - 1, 2), (0, 1)])
    at = int(np.flatnonzero(found.unit == 2)[0])
    assert abs(found.loss[at]) < 1e-12
    assert found.loss[1 - at] != 0


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("layer", [0, -1])
def test_a_change_of_biases_is_the_same_as_editing_the_value(name, layer):
    reading = read(load(name), data_of(name), "test", double=True)
    network = reading.network
    layer %= network.layers
    fast = held(network, layer, 3, 0.4)
    edited = patched(network, holding(layer, "h", [3], 0.4))
    from dataclasses import replace

    slow = replace(edited, starts=fast.starts)
    runs = [replace(reading, network=n).run(look=False).outputs for n in (fast, slow)]
    np.testing.assert_allclose(*map(reading.flat, runs), atol=1e-12)


def test_losses_are_those_of_the_patched_model_and_the_ranking_is_their_slope():
    model, text = load("lm-char-gru"), data_of("lm-char-gru")
    found = ablation(model, text, top=5, double=True)
    assert len(found.loss) == 5
    assert (np.diff(found.loss) <= 0).all()
    assert len(found.ranked) == language(model).network.layers
    seen = gates(model, text, double=True)
    layer, unit = int(found.layer[0]), int(found.unit[0])
    mean = seen.layers[layer]["h"][:, unit].mean()
    other = gates(patched(model, holding(layer, "h", [unit], mean)), text, double=True)
    extra = (other.bits - seen.bits) * np.log(2) / found.tokens
    assert found.loss[0] == pytest.approx(extra, rel=0.2)  # but for the state before the first step
    total = sum(found.by_class[c][0] * n for c, n in _counts(seen.tokens[1:]).items())
    assert total / found.tokens == pytest.approx(found.loss[0], rel=1e-9)


def _counts(labels):
    from collections import Counter

    from recurra.inspect.ablation import class_of

    return Counter(map(class_of, labels))


def test_mistakes_are_told_in_a_line():
    with pytest.raises(InputError, match="expected pairs"):
        ablation(load("lm-char-gru"), "the big cat", units=[(9, 0)])
    with pytest.raises(InputError, match="expected a language model"):
        ablation(load("tagger-crf"), [["a", "b"]])
