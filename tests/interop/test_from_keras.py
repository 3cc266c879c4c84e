"""Layers of Keras become ours and go back: weights to the bit, outputs, states and masks equal."""

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
from keras import layers as K  # noqa: E402

from recurra import from_keras, nn, to_keras  # noqa: E402
from recurra.cells import cell, tanh  # noqa: E402
from recurra.errors import InputError  # noqa: E402
from tolerances import assert_all_close, assert_close  # noqa: E402

#: numpy 2 has it for the way Keras takes out of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

B, T, I, H = 3, 5, 4, 2
ALL = {"return_sequences": True, "return_state": True}
KINDS = {
    "SimpleRNN": (K.SimpleRNN, K.SimpleRNNCell, {}),
    "LSTM": (K.LSTM, K.LSTMCell, {}),
    "GRU": (K.GRU, K.GRUCell, {"reset_after": True}),
    "GRU before": (K.GRU, K.GRUCell, {"reset_after": False}),
}
OPTIONS = [
    {},
    {"use_bias": False},
    {"go_backwards": True},
    {"activation": "relu"},
    {"activation": None},
    {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
    {"activation": "softplus", "unit_forget_bias": False, "dtype": "float64"},
    {"activation": "hard_sigmoid", "recurrent_activation": "softplus"},
]


def fits(kind, options):
    lacks = {"unit_forget_bias"} if kind != "LSTM" else set()
    lacks |= {"recurrent_activation"} if kind == "SimpleRNN" else set()
    return {k: v for k, v in options.items() if k not in lacks}


def filled(layer, shape=(None, T, I)):
    """Built, with no zero to hide a mistake."""
    if not layer.built:
        layer.build(shape)
    random = np.random.default_rng(3)
    drawn = [random.normal(0, 0.6, w.shape).astype(w.dtype) for w in layer.get_weights()]
    layer.set_weights(drawn)
    return layer


def draw(dtype="float32", shape=(B, T, I)):
    return np.random.default_rng(4).normal(size=shape).astype(dtype)


def arrays(results):
    flat = results if isinstance(results, list | tuple) else [results]
    # In float32: Keras' products on torch are, whatever the dtype.
    return [torch.from_numpy(np.array(keras.ops.convert_to_numpy(r), np.float32)) for r in flat]


def states(final):
    """Ours (L * D, B, H) in Keras' order: direction by direction, then state by state."""
    parts = final if isinstance(final, tuple) else (final,)
    return [part[k] for k in range(len(parts[0])) for part in parts]


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers(kind, options):
    make, _, more = KINDS[kind]
    options = fits(kind, options)
    layer = filled(make(H, **ALL, **more, **options))
    module = from_keras(layer).eval()
    x = draw(options.get("dtype", "float32"))
    for mask in (None, draw(shape=(B, T)) > -0.5):
        expected, *ended = arrays(layer(x, mask=mask))
        with torch.no_grad():
            given = None if mask is None else torch.from_numpy(mask)
            outputs, final = module(torch.from_numpy(x), mask=given)
        assert outputs.dtype == getattr(torch, options.get("dtype", "float32"))
        if options.get("go_backwards"):
            expected = expected.flip(1)
        if mask is not None:  # Keras repeats an output where ours are zero
            expected = expected * torch.from_numpy(mask)[..., None]
        assert_close(outputs.float(), expected, f"{kind} {options}")
        found = [state.float() for state in states(final)]
        assert_all_close(found, ended, f"{kind} {options}: states")
    back = to_keras(module)
    assert type(back) is make
    assert same_weights(back, layer)
    named = ("units", "use_bias", "go_backwards", "reset_after", "activation")
    for name in (*named, "recurrent_activation"):
        assert getattr(back, name, None) == getattr(layer, name, None), name
    assert_close(arrays(back(x))[0], arrays(layer(x))[0], "back")
    with torch.no_grad():
        ended = states(module(torch.from_numpy(x))[1])
    last = to_keras(module, return_sequences=False)
    assert_close(arrays(last(x))[0], ended[0].float(), "the last output alone")


@pytest.mark.parametrize("kind", KINDS)
def test_cells(kind):
    _, make, more = KINDS[kind]
    for options in ({}, {"use_bias": False}, {"activation": "exponential"}):
        layer = filled(make(H, **more, **options), (None, I))
        module = from_keras(layer)
        assert isinstance(module, nn.RecurrentCell)
        count = len(module.cell.states)
        x, start = draw(shape=(B, I)), [draw(shape=(B, H)) + k for k in range(count)]
        _, ended = layer(x, start)
        with torch.no_grad():
            hx = tuple(map(torch.from_numpy, start))
            found = module(torch.from_numpy(x), hx if count > 1 else hx[0])
        assert_all_close(list(found) if count > 1 else [found], arrays(ended), kind)
        back = to_keras(module)
        assert type(back) is make
        assert same_weights(back, layer)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("kind", KINDS)
def test_bidirectional(kind, merge):
    make, _, more = KINDS[kind]
    layer = filled(K.Bidirectional(make(H, **ALL, **more), merge_mode=merge))
    module = from_keras(layer)
    x = draw()
    results = arrays(layer(x))
    count = 2 if merge is None else 1
    expected, ended = results[:count], results[count:]
    with torch.no_grad():
        outputs, final = module(torch.from_numpy(x))
    assert_close(outputs, torch.cat(expected, dim=-1), f"{kind} {merge}")
    assert_all_close(states(final), ended, f"{kind} {merge}: states")
    back = to_keras(module)
    assert back.merge_mode == (merge or "concat")
    assert same_weights(back, layer)


def sequence(layer, **more):
    return layer(H, return_sequences=True, **more)


def stacked():
    """Layers of several, how many they are, and whether they run from the end."""
    yield K.RNN([K.LSTMCell(H), K.LSTMCell(H)], return_sequences=True), 2, False
    yield K.RNN([K.GRUCell(H)], return_sequences=True), 1, False
    cells = [K.SimpleRNNCell(H) for _ in range(3)]
    yield K.RNN(cells, return_sequences=True, go_backwards=True), 3, True
    both = [K.Bidirectional(sequence(K.GRU), merge_mode="sum") for _ in range(2)]
    yield keras.Sequential(both), 2, False
    turned = [K.Input((T, I)), sequence(K.LSTM, go_backwards=True), K.Dropout(0.4)]
    turned += [sequence(K.LSTM), K.Dropout(0.4), sequence(K.LSTM)]
    yield keras.Sequential(turned), 3, True
    wide = [K.Bidirectional(sequence(K.LSTM)) for _ in range(2)]
    yield keras.Sequential([wide[0], K.Dropout(0.4), wide[1]]), 2, False


@pytest.mark.parametrize("row", range(6))
def test_stacked(row):
    layer, depth, reverse = list(stacked())[row]
    filled(layer)
    module = from_keras(layer).eval()
    assert (module.num_layers, module.reverse) == (depth, reverse)
    dropouts = isinstance(layer, keras.Sequential) and any(
        isinstance(one, K.Dropout) for one in layer.layers
    )
    assert module.dropout == (0.4 if dropouts else 0.0)
    (expected,) = arrays(layer(draw()))
    with torch.no_grad():
        outputs, _ = module(torch.from_numpy(draw()))
    assert_close(outputs, expected.flip(1) if reverse else expected, str(row))
    back = to_keras(module)
    assert same_weights(back, layer)
    assert_close(arrays(back(draw()))[0], expected, "back")
    again = from_keras(back)
    assert repr(again) == repr(module)


def test_a_list_of_layers():
    made = [filled(K.GRU(H, return_sequences=True)), filled(K.GRU(H), (None, T, H))]
    module = from_keras(made)
    x = draw()
    with torch.no_grad():
        outputs, _ = module(torch.from_numpy(x))
    assert_close(outputs[:, -1], arrays(made[1](made[0](x)))[0], "list")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_ours_with_two_biases_to_keras(make, bias):
    for more in ({}, {"reset": "before"}) if make is nn.GRU else ({},):
        module = make(I, H, 2, bias=bias, bidirectional=True, **more)
        x = draw()
        with torch.no_grad():
            outputs, _ = module(torch.from_numpy(x).transpose(0, 1))
        layer = to_keras(module)
        assert_close(arrays(layer(x))[0], outputs.transpose(0, 1), f"{make} {more}")


def test_recurrent_dropout_is_kept_and_dropout_of_the_input_told_of():
    layer = filled(K.LSTM(H, recurrent_dropout=0.3))
    module = from_keras(layer)
    assert module.recurrent_dropout == to_keras(module).recurrent_dropout == 0.3
    with pytest.warns(UserWarning, match=r"dropout=0.2 acts on the input .* is not carried over"):
        from_keras(filled(K.LSTM(H, dropout=0.2)))


@cell(states="h", gates="a")
def summed(x, u, h, opt):
    return dict(h=tanh(x.a + u(h).a))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LSTM(I, H, layer_norm=True, zoneout=0.1), "lacks layer_norm, zoneout="),
        (lambda: nn.LSTM(I, H, proj_size=1, weight_drop=0.1), "lacks proj_size, weight_drop=0.1"),
        (lambda: nn.LSTM(I, H, 2, peephole=True, residual=True), "lacks peephole, residual=True"),
        (lambda: nn.GRU(I, H, learn_initial_state=True), "lacks learn_initial_state=True"),
        (lambda: nn.Recurrent(summed, I, H), "lacks the cell summed"),
        (lambda: torch.nn.LSTM(I, H), "expected a Recurrent or a RecurrentCell, received a LSTM"),
    ],
)
def test_what_keras_lacks_is_named(make, message):
    with pytest.raises(InputError, match=message):
        to_keras(make())


def own_cell():
    class Own(K.Layer):
        state_size = 3

        def call(self, inputs, states):
            return inputs, states

    return Own()


def pair(one, other):
    return lambda: [filled(one), filled(other, (None, T, H))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: K.Dense(3), "expected a SimpleRNN, LSTM, GRU, their cells, or .* received Dense"),
        (lambda: 7, "expected a SimpleRNN, LSTM, GRU, .* received int"),
        (lambda: K.LSTM(H), "not built, so it has no weights yet: call it or build it"),
        (lambda: filled(K.GRU(H, activation="elu")), "activation: expected one of .* received elu"),
        (lambda: filled(K.GRU(H, activation=lambda v: v)), "activation: .*received <lambda>"),
        (lambda: [], "expected recurrent layers of Keras"),
        (lambda: K.TimeDistributed(K.Dense(3)), "received TimeDistributed"),
        (lambda: keras.Sequential([K.Embedding(9, 4), K.LSTM(2)]), "received Embedding"),
        (pair(K.LSTM(H), K.GRU(H)), "program: expected lstm with .*received gru with"),
        (pair(K.LSTM(H), K.LSTM(H + 1)), "units: expected 2, received 3"),
        (pair(K.LSTM(H), K.LSTM(H, use_bias=False)), "bias=True, .*received .*bias=False"),
        (pair(K.LSTM(H), K.LSTM(H, go_backwards=True)), "go_backwards=False: convert each"),
        (pair(K.LSTM(H), K.Bidirectional(K.LSTM(H))), "expected the directions and the merge_mode"),
        (lambda: K.RNN(own_cell()), "received .*'Own'"),
    ],
)
def test_what_cannot_be_converted(make, message):
    with pytest.raises(InputError, match=message) as caught:
        from_keras(make())
    assert "\n" not in str(caught.value)


def test_directions_that_differ():
    layer = K.Bidirectional(K.GRU(H), backward_layer=K.GRU(H + 1, go_backwards=True))
    with pytest.raises(InputError, match="units: expected 2, received 3"):
        from_keras(filled(layer))
