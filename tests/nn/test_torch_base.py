"""What programs written for `torch.nn` do to a layer: find it, measure it, take its weights."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn as theirs
from torch.nn.utils import parametrizations

from recurra import from_torch, nn
from recurra.cells import cell, sigmoid, tanh
from recurra.errors import InputError
from tolerances import assert_close

T, B, I, H, P = 5, 3, 4, 6, 2

#: Of torch.nn's own layer, once a process.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

LAYERS = {
    "rnn": (nn.RNN, theirs.RNN, {}),
    "relu": (nn.RNN, theirs.RNN, {"nonlinearity": "relu", "num_layers": 2}),
    "lstm": (nn.LSTM, theirs.LSTM, {"num_layers": 2, "bidirectional": True}),
    "projected": (nn.LSTM, theirs.LSTM, {"proj_size": P, "batch_first": True}),
    "gru": (nn.GRU, theirs.GRU, {"bias": False, "num_layers": 2}),
}
CELLS = [
    (nn.RNNCell, theirs.RNNCell),
    (nn.LSTMCell, theirs.LSTMCell),
    (nn.GRUCell, theirs.GRUCell),
]


@cell(states="h", gates="f n")
def torch_base_mgu(x, u, h, opt):
    f = sigmoid(x.f + u(h).f)
    n = tanh(x.n + u(f * h).n)
    h = (1 - f) * h + f * n
    return dict(f=f, n=n, h=h)


@pytest.fixture(params=LAYERS)
def pair(request):
    ours, torchs, arguments = LAYERS[request.param]
    layer, other = ours(I, H, **arguments), torchs(I, H, **arguments)
    layer.load_state_dict(other.state_dict())
    return layer, other


def test_instances_of_the_bases_and_of_none_of_their_layers(pair):
    layer, _ = pair
    assert isinstance(layer, theirs.RNNBase)
    assert not isinstance(layer, theirs.RNN | theirs.LSTM | theirs.GRU)
    own = nn.Recurrent(torch_base_mgu, I, H)
    assert isinstance(own, theirs.RNNBase)
    assert own.mode == "TORCH_BASE_MGU"


@pytest.mark.parametrize(("ours", "torchs"), CELLS)
def test_cells_are_instances_of_the_base(ours, torchs):
    module = ours(I, H)
    assert isinstance(module, theirs.RNNCellBase)
    assert not isinstance(module, torchs)
    torch.manual_seed(1)
    module.reset_parameters()
    torch.manual_seed(1)
    for weight, other in zip(module.parameters(), torchs(I, H).parameters(), strict=True):
        assert torch.equal(weight, other)


def test_an_initialisation_loop_reaches_every_layer():
    model = theirs.Sequential(nn.LSTM(I, H), nn.GRU(H, H), nn.RNN(H, H))
    for module in model.modules():
        if isinstance(module, theirs.RNNBase):
            for name, weight in module.named_parameters():
                (theirs.init.orthogonal_ if "weight_hh" in name else theirs.init.zeros_)(weight)
    for layer in model:
        gates = layer.weight_hh_l0.detach()
        assert_close(gates.T @ gates, torch.eye(H), "orthogonal")
        assert not layer.bias_ih_l0.any()


def test_attributes_and_checks_answer_as_torchs(pair):
    layer, other = pair
    x = torch.randn(B, T, I) if layer.batch_first else torch.randn(T, B, I)
    assert layer.mode == other.mode
    assert layer._flat_weights_names == other._flat_weights_names
    assert layer._all_weights == other._all_weights
    for mine, weight in zip(layer._flat_weights, other._flat_weights, strict=True):
        assert torch.equal(mine, weight)
    assert layer.get_expected_hidden_size(x, None) == other.get_expected_hidden_size(x, None)
    if hasattr(other, "get_expected_cell_size"):
        assert layer.get_expected_cell_size(x, None) == other.get_expected_cell_size(x, None)
    _, state = layer(x)
    layer.check_forward_args(x, state, None)
    order = torch.tensor([2, 0, 1])
    mine, expected = layer.permute_hidden(state, order), other.permute_hidden(state, order)
    for s, e in zip(as_tuple(mine), as_tuple(expected), strict=True):
        assert torch.equal(s, e)
    assert layer.permute_hidden(state, None) is state
    fewer = tuple(s[:, 1:] for s in as_tuple(state))
    wrong = [(x[..., :-1], state, None), (x, fewer if len(fewer) > 1 else fewer[0], None)]
    for arguments in wrong:
        for module in (layer, other):
            with pytest.raises(RuntimeError, match="Expected"):
                module.check_forward_args(*arguments)
    with pytest.raises(ValueError, match="dtype"):
        layer.check_input(x.double(), None)


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint8, torch.tensor])
def test_whole_numbers_of_any_kind_are_sizes(kind):
    layer = nn.LSTM(kind(I), kind(H), kind(2), proj_size=kind(P))
    sizes = (layer.input_size, layer.hidden_size, layer.num_layers, layer.proj_size)
    assert sizes == (I, H, 2, P)
    assert {type(size) for size in sizes} == {int}
    assert tuple(layer(torch.randn(T, B, I))[0].shape) == (T, B, P)
    assert repr(layer) == repr(nn.LSTM(I, H, 2, proj_size=P))
    assert nn.GRUCell(kind(I), kind(H)).weight_hh.shape == (3 * H, H)


@pytest.mark.parametrize("size", [np.float64(4), 4.0, "4", None, np.array([4, 5])])
def test_what_is_no_whole_number_is_no_size(size):
    for make in (lambda: nn.GRU(size, H), lambda: nn.GRU(I, size), lambda: nn.GRUCell(size, H)):
        with pytest.raises(
            InputError, match=r"(must be a positive integer|expected a whole number)"
        ):
            make()


def test_weights_that_are_computed_outside_take_the_place_of_parameters(pair):
    """The weight drop of AWD-LSTM: raw parameters kept aside, weights set before each call."""
    for module in pair:
        raw = theirs.Parameter(module.weight_hh_l0.detach().clone())
        del module._parameters["weight_hh_l0"]
        module.register_parameter("weight_hh_l0_raw", raw)
        weights = list(module._flat_weights)
        module.weight_hh_l0 = raw * 0.5
        weights[module._flat_weights_names.index("weight_hh_l0")] = module.weight_hh_l0
        module._flat_weights = weights
    x = torch.randn(B, T, I) if pair[0].batch_first else torch.randn(T, B, I)
    results = [module(x)[0] for module in pair]
    assert_close(results[0], results[1], "halved weights")
    for y in results:
        y.sum().backward()
    assert_close(pair[0].weight_hh_l0_raw.grad, pair[1].weight_hh_l0_raw.grad, "gradient")
    with pytest.raises(InputError, match=r"_flat_weights: expected \d+ weights .* received 1"):
        pair[0]._flat_weights = [torch.zeros(1)]


def test_a_weight_assigned_is_the_weight_used(pair):
    layer, other = pair
    x = torch.randn(B, T, I) if layer.batch_first else torch.randn(T, B, I)
    for module in pair:
        module.weight_ih_l0 = theirs.Parameter(torch.full_like(module.weight_ih_l0, 0.25))
    assert_close(layer(x)[0], other(x)[0], "assigned")
    assert layer._flat_weights[0] is layer.weight_ih_l0


def test_parametrized_weights_are_listed_as_they_are():
    layer = parametrizations.weight_norm(nn.GRU(I, H), "weight_hh_l0")
    x = torch.randn(T, B, I)
    layer.check_input(x, None)
    assert torch.equal(layer._flat_weights[1], layer.weight_hh_l0)
    layer(x)[0].sum().backward()


def test_conversion_and_quantisation_leave_our_layers_alone():
    model = theirs.Sequential(nn.LSTM(I, H), theirs.Linear(H, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated, and still what people call
        quantised = torch.ao.quantization.quantize_dynamic(model)
    assert type(quantised[0]) is nn.LSTM
    assert type(quantised[1]) is not theirs.Linear
    x = torch.randn(T, B, I)
    assert torch.equal(quantised[0](x)[0], model[0](x)[0])
    with pytest.raises(InputError, match=r"recurrent layer of torch\.nn"):
        from_torch(model)
    mixed = from_torch(theirs.Sequential(nn.LSTM(I, H), theirs.GRU(I, H)))
    assert [type(m) for m in mixed] == [nn.LSTM, nn.GRU]


def test_casts_and_copies_keep_no_second_list_of_weights(pair):
    layer, _ = pair
    for module in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        module.double()
        assert {w.dtype for w in module._flat_weights} == {torch.float64}
        assert not {"_flat_weights", "_flat_weight_refs"} & vars(module).keys()
        before = [w.clone() for w in layer._flat_weights]
        with torch.no_grad():
            module.weight_hh_l0.zero_()
        for weight, kept in zip(layer._flat_weights, before, strict=True):
            assert torch.equal(weight, kept)


@pytest.mark.parametrize("made", [lambda: nn.LSTM(I, H, 2), lambda: nn.GRUCell(I, H)])
def test_layers_pickled_before_an_attribute_was_added_still_run(made):
    layer = made()
    state = layer.__getstate__()
    for name in type(layer).EARLIER:
        del state[name]
    old = type(layer).__new__(type(layer))
    old.__setstate__(state)
    x = torch.randn(T, B, I) if isinstance(layer, nn.Recurrent) else torch.randn(B, I)
    expected, result = layer(x), old(x)
    assert torch.equal(result[0], expected[0])
    assert repr(old) == repr(layer)
    assert all(getattr(old, n) is not v for n, v in type(layer).EARLIER.items() if v == [])


class WordModel(theirs.Module):
    """As the language model of torch's own examples, saved whole."""

    def __init__(self):
        super().__init__()
        self.drop, self.encoder = theirs.Dropout(0.2), theirs.Embedding(11, I)
        self.rnn, self.decoder = nn.LSTM(I, H, 2, dropout=0.2), theirs.Linear(H, 11)

    def forward(self, tokens):
        return self.decoder(self.rnn(self.drop(self.encoder(tokens)))[0])


def loaded(module, *classes):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    with torch.serialization.safe_globals([*classes]):
        return torch.load(file, weights_only=True)


WHOLE = {
    "rnn": lambda: nn.RNN(I, H, nonlinearity="relu", learn_initial_state=True),
    "lstm": lambda: nn.LSTM(I, H, 2, bidirectional=True, layer_norm=True, peephole=True),
    "gru": lambda: nn.GRU(I, H, reset="before", zoneout=0.1),
    "own": lambda: nn.Recurrent(torch_base_mgu, I, H),
    "rnn cell": lambda: nn.RNNCell(I, H),
    "lstm cell": lambda: nn.LSTMCell(I, H),
    "gru cell": lambda: nn.GRUCell(I, H),
    "own cell": lambda: nn.RecurrentCell(torch_base_mgu, I, H),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_layers_are_data_to_torch(name):
    layer = WHOLE[name]().eval()
    x = torch.randn(B, I) if "cell" in name else torch.randn(T, B, I)
    layer(x)
    other = loaded(layer)
    assert repr(other) == repr(layer)
    for one, two in zip(as_tuple(layer(x)), as_tuple(other(x)), strict=True):
        for a, b in zip(as_tuple(one), as_tuple(two), strict=True):
            assert torch.equal(a, b)


def test_a_whole_model_with_our_layers_loads_as_one_with_torchs():
    model = WordModel().eval()
    parts = (theirs.Dropout, theirs.Embedding, theirs.Linear)
    other = loaded(model, WordModel, *parts)
    tokens = torch.randint(11, (T, B))
    assert torch.equal(other(tokens), model(tokens))


def test_no_equations_of_a_file_are_read():
    """What a layer's pickle names is looked up; a program of another's making is refused."""
    layer = nn.LSTM(I, H)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    allowed = {f"{c.__module__}.{c.__qualname__}" for c in torch.serialization.get_safe_globals()}
    assert not {"Program", "Node", "Cell"} & {name.rpartition(".")[2] for name in allowed}
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == []
    for program in ('["lstm"', "[1, 2]", '["nothing", {}]', '["lstm", {"norm": 7}]', "[" * 99999):
        made = nn.LSTM.__new__(nn.LSTM)
        with pytest.raises(InputError) as caught:
            made.__setstate__(layer.__getstate__() | {"program": program})
        assert "\n" not in str(caught.value)
    holder = theirs.Linear(1, 1)
    holder.program = layer.program
    with pytest.raises(pickle.UnpicklingError):
        loaded(holder, theirs.Linear)
