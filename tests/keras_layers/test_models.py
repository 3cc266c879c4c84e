"""Our layers inside Keras' own: wrappers, models, training, saving, precision."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch

import recurra.keras
from recurra import native, ops
from recurra.keras import loop
from tolerances import TOLERANCES

TILES = native.half_products() == "amx_bf16"
KINDS = ("SimpleRNN", "LSTM", "GRU")
NUMBERS = np.random.default_rng(5)
X = NUMBERS.normal(size=(6, 7, 4)).astype("float32")
TOKENS = NUMBERS.integers(0, 4, (24, 7))  # 0 is padding, anywhere
TARGETS = NUMBERS.normal(size=(24, 1)).astype("float32")


def close(ours, theirs):
    table = TOLERANCES[torch.float32]
    ours, theirs = (v if isinstance(v, tuple | list) else (v,) for v in (ours, theirs))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        a, b = (keras.ops.convert_to_numpy(v) for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=table.relative, atol=table.absolute)


def twins(make):
    """A layer or model made of Keras' layers, and of ours with the same weights; both built."""
    theirs, ours = make(keras.layers), make(recurra.keras)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional(kind, merge, sequences):
    def make(where):
        inner = getattr(where, kind)(5, return_sequences=sequences, return_state=True)
        layer = keras.layers.Bidirectional(inner, merge_mode=merge)
        layer.build(X.shape)
        return layer

    theirs, ours = twins(make)
    assert type(ours.backward_layer) is getattr(recurra.keras, kind)
    mask = torch.from_numpy(X[..., 0] > -0.5)
    for given in (None, mask):
        close(ours(X, mask=given), theirs(X, mask=given))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_cells_in_keras_own_loop(kind, dropped, activation):
    """One alone, and three stacked, with gradients."""
    options = {"activation": activation, "seed": 3}
    if dropped:
        options |= {"dropout": 0.3, "recurrent_dropout": 0.3}

    def make(where, depth):
        cells = [getattr(where, f"{kind}Cell")(3 + k, **options) for k in range(depth)]
        layer = keras.layers.RNN(cells if depth > 1 else cells[0], return_state=True)
        layer.build(X.shape)
        return layer

    mask = torch.from_numpy(X[..., 0] > -0.5)
    for depth in (1, 3):
        pair = twins(lambda where, depth=depth: make(where, depth))
        found = []
        for layer in pair:
            x = torch.from_numpy(X).requires_grad_()
            outputs = layer(x, mask=mask, training=True)
            weights = [v.value for v in layer.trainable_weights]
            sums = [keras.ops.sum(v**2) for v in keras.tree.flatten(outputs)]
            gradients = torch.autograd.grad(sum(sums), [x, *weights])
            found.append([v.detach() for v in (*keras.tree.flatten(outputs), *gradients)])
        close(found[1], found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_steps(kind):
    theirs, ours = (getattr(m, f"{kind}Cell")(3) for m in (keras.layers, recurra.keras))
    for cell in (theirs, ours):
        cell.build((6, 4))
    ours.set_weights(theirs.get_weights())
    x, states = X[:, 0], theirs.get_initial_state(6)
    for _ in range(3):
        one, states_one = theirs(x, states)
        two, states_two = ours(x, states)
        assert type(states_one) is type(states_two)
        close([two, *states_two], [one, *states_one])
        states = states_one


@pytest.mark.parametrize("kind", KINDS)
def test_time_distributed(kind):
    def make(where):
        layer = keras.layers.TimeDistributed(getattr(where, kind)(3))
        layer.build((2, 3, 7, 4))
        return layer

    theirs, ours = twins(make)
    close(ours(X.reshape(2, 3, 7, 4)), theirs(X.reshape(2, 3, 7, 4)))


def language(where, kind, **options):
    """A model over padded tokens: the mask of the embedding goes through two layers."""
    layers = keras.layers
    given = keras.Input((7,), dtype="int32")
    x = layers.Embedding(4, 6, mask_zero=True)(given)
    x = getattr(where, kind)(5, return_sequences=True, **options)(x)
    # Keras' SimpleRNN leaves the seed out of its configuration, by which this copies its layer.
    options = {} if kind == "SimpleRNN" else options
    x = layers.Bidirectional(getattr(where, kind)(5, **options))(x)
    return keras.Model(given, layers.Dense(1)(x))


def sensors(where, kind, **options):
    """A model over padded features."""
    layers = [keras.layers.Input((7, 4)), keras.layers.Masking()]
    layers += [getattr(where, kind)(5, stateful=False, **options), keras.layers.Dense(1)]
    return keras.Sequential(layers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [language, sensors])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.2, "recurrent_dropout": 0.2, "seed": 9}])
def test_fit_evaluate_predict(kind, make, options):
    x = TOKENS if make is language else NUMBERS.normal(size=(24, 7, 4)) * (TOKENS > 0)[..., None]
    pair = twins(lambda where: make(where, kind, **options))
    found = []
    for model in pair:
        model.compile(optimizer="adam", loss="mse")
        history = model.fit(x, TARGETS, epochs=3, batch_size=8, shuffle=False, verbose=0)
        loss = model.evaluate(x, TARGETS, verbose=0)
        found.append([np.array(history.history["loss"]), loss, model.predict(x, verbose=0)])
    close(found[1], found[0])
    assert options or found[1][0][-1] < found[1][0][0]


def test_save_and_load_where_nothing_is_imported_but_ours(tmp_path):
    for kind in KINDS:
        model = language(recurra.keras, kind, recurrent_dropout=0.1, seed=1)
        model.save(tmp_path / f"{kind}.keras")
        np.save(tmp_path / f"{kind}.npy", model.predict(TOKENS, verbose=0))
    np.save(tmp_path / "tokens.npy", TOKENS)
    code = f"""
import recurra.keras, keras, numpy as np
for kind in {KINDS}:
    model = keras.models.load_model(f"{{kind}}.keras")
    assert type(model.layers[-3]) is getattr(recurra.keras, kind), model.layers
    assert type(model.layers[-2].forward_layer) is getattr(recurra.keras, kind)
    found = model.predict(np.load("tokens.npy"), verbose=0)
    np.testing.assert_array_equal(found, np.load(f"{{kind}}.npy"))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_keras_own_file_load(kind, tmp_path):
    theirs, ours = language(keras.layers, kind), language(recurra.keras, kind)
    theirs.save_weights(tmp_path / "m.weights.h5")
    ours.load_weights(tmp_path / "m.weights.h5")
    close(ours.predict(TOKENS, verbose=0), theirs.predict(TOKENS, verbose=0))


@pytest.mark.parametrize("kind", recurra.keras.__all__)
def test_configuration_goes_round(kind):
    made = getattr(recurra.keras, kind)(3, kernel_regularizer="l2", recurrent_dropout=0.5, seed=4)
    again = type(made).from_config(made.get_config())
    assert again.get_config() == made.get_config()
    kept = keras.saving.serialize_keras_object(made)
    assert kept["registered_name"] == f"recurra>{kind}"
    assert type(keras.saving.deserialize_keras_object(kept)) is type(made)
    theirs = getattr(keras.layers, kind)(3, kernel_regularizer="l2", recurrent_dropout=0.5, seed=4)
    assert made.get_config().keys() == theirs.get_config().keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float64"])
@pytest.mark.parametrize("options", [{}, {"recurrent_dropout": 0.3, "seed": 2}])
def test_dtype_policies(kind, policy, options):
    """Half precision is computed in float32, or its products in bfloat16 where they are fast."""
    keras.utils.set_random_seed(7)  # Keras rounds its states: some draws end far from anything

    def make(where):
        # Keras cannot draw an orthogonal matrix in bfloat16.
        layer = getattr(where, kind)(
            5,
            return_sequences=True,
            recurrent_initializer="glorot_uniform",
            dtype=policy,
            **options,
        )
        layer.build(X.shape)
        return layer

    theirs, ours = twins(make)
    expected, found = theirs(X, training=True), ours(X, training=True)
    assert found.dtype == expected.dtype
    precision = {"bfloat16": 2e-2, "float16": 3e-3}.get(
        keras.DTypePolicy(policy).compute_dtype, 1e-5
    )
    np.testing.assert_allclose(
        found.detach().double(), expected.detach().double(), rtol=precision, atol=precision
    )
    found.sum().backward()
    assert all(v.value.grad.dtype == v.value.dtype for v in ours.trainable_weights)
    assert all(bool(v.value.grad.any()) for v in ours.trainable_weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"recurrent_dropout": 0.3, "seed": 2}])
@pytest.mark.parametrize("products", ["amx_bf16", "avx512_bf16", ""])
def test_products_in_bfloat16_where_there_are_tiles(kind, options, products, monkeypatch):
    asked = []
    compute = ops.run

    def run(call):
        asked.append(call.half)
        return compute(call._replace(half=call.half and TILES))

    # From the first call on: a processor without such products would refuse them.
    monkeypatch.setattr(loop, "ops", SimpleNamespace(**{**vars(ops), "run": run}))
    layers = []
    for where in ("", products):  # the same policy without such products, and with
        monkeypatch.setattr(loop.native, "half_products", lambda: where)  # noqa: B023
        layers.append(getattr(recurra.keras, kind)(6, dtype="mixed_bfloat16", **options))
        layers[-1](X)  # cells are compiled on the first call
    single, mixed = layers
    mixed.set_weights(single.get_weights())
    asked.clear()
    for layer, where in ((single, ""), (mixed, products)):
        monkeypatch.setattr(loop.native, "half_products", lambda: where)  # noqa: B023
        layer(X, training=True).sum().backward()
    assert asked == [False, products == "amx_bf16"]
    for one, other in zip(mixed.trainable_weights, single.trainable_weights, strict=True):
        wanted = other.value.grad
        assert float((one.value.grad - wanted).norm()) < 3e-2 * float(wanted.norm())


def test_state_stays_from_call_to_call_until_it_is_reset():
    layer = recurra.keras.GRU(3, stateful=True, return_sequences=True)
    whole = keras.ops.convert_to_numpy(layer(X))
    layer.reset_state()
    parts = [keras.ops.convert_to_numpy(layer(X[:, a:b])) for a, b in ((0, 3), (3, 4), (4, 7))]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-5, atol=1e-6)


def test_training_compiled_by_torch():
    """One graph, our operator in it."""
    layer = recurra.keras.LSTM(3)
    layer.build(X.shape)
    x = torch.from_numpy(X)
    graphs = []

    def backend(module, _):
        graphs.append(str(module.graph))
        return module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.compile(lambda v: layer(v), backend=backend)(x)
    close(found, layer(x))
    assert any("recurra.recurrent" in graph for graph in graphs)


def test_what_an_importer_sees():
    from recurra.keras import layers, models

    assert layers.LSTM is recurra.keras.LSTM
    assert layers.Dense is keras.layers.Dense
    assert models.Sequential is keras.models.Sequential
