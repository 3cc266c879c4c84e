"""torch.compile and torch.export of a model with our layers, for any batch and any time: on the
kernels, and where there are none."""

import copy

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from nn.variants import PATHS, H, I, as_tuple, draw, gradients, on
from recurra.cells import cell, sigmoid, tanh
from recurra.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent
from recurra.tasks.language_model.network import RecurrentLM
from tolerances import assert_all_close

V = 11
SHAPES = ((3, 5), (2, 9), (7, 4), (1, 1), (1, 7), (5, 1), (4, 30), (3, 6), (2, 2), (6, 3), (2, 11))


@cell(states="h m", gates="a b")
def lagged(x, u, h, m, opt):
    b = sigmoid(x.b + u(m).b)
    return dict(h=tanh(x.a + u(b * h).a), m=h)


ROWS = {
    "LSTM": lambda: LSTM(I, H, bidirectional=True),
    "LSTM options": lambda: LSTM(I, H, layer_norm=True, peephole=True, zoneout=0.2),
    "LSTM projected": lambda: LSTM(I, H, proj_size=2, merge="sum", bidirectional=True),
    "GRU": lambda: GRU(I, H, 2, dropout=0.3, recurrent_dropout=0.3, weight_drop=0.3),
    "GRU before": lambda: GRU(I, H, reset="before", reverse=True, bias=False),
    "RNN": lambda: RNN(I, H, 2, residual=True, learn_initial_state=True),
    "own cell": lambda: Recurrent(lagged, I, H),
}


class Model(nn.Module):
    """Tokens (B, T) to logits and states, through an embedding, our layers and a head."""

    def __init__(self, rnn):
        super().__init__()
        self.embedding = nn.Embedding(V, I)
        self.rnn = rnn
        self.head = nn.Linear(rnn.output_size, V)

    def forward(self, ids, lengths=None):
        outputs, state = self.rnn(self.embedding(ids).transpose(0, 1), lengths=lengths)
        return self.head(outputs).transpose(0, 1), *as_tuple(state)


#: Every row on a path, every path with lengths and without: tracing takes a second each.
CASES = [
    ("LSTM", "native", True),
    ("LSTM", "torch", True),
    ("LSTM options", "reference", True),
    ("LSTM projected", "torch", False),
    ("GRU", "native", True),
    ("GRU before", "reference", False),
    ("RNN", "torch", True),
    ("own cell", "reference", True),
]
CASES = [case for case in CASES if case[1] in PATHS]
EACH = pytest.mark.parametrize(("name", "path", "with_lengths"), CASES)


def model(name, path):
    torch.manual_seed(2)
    return Model(on(path, ROWS[name]())).eval()


def inputs(batch, steps, with_lengths):
    generator = torch.Generator().manual_seed(batch * 100 + steps)
    ids = torch.randint(0, V, (batch, steps), generator=generator)
    if not with_lengths:
        return (ids,)
    return ids, torch.randint(0, steps + 1, (batch,), generator=generator)


@EACH
def test_exports_for_any_batch_and_time(name, path, with_lengths):
    module = model(name, path)
    batch, steps = Dim("batch", min=1, max=64), Dim("steps", min=1, max=512)
    shapes = ({0: batch, 1: steps}, {0: batch})[: 1 + with_lengths]
    with torch.no_grad():
        program = export(module, inputs(3, 5, with_lengths), dynamic_shapes=shapes)
        for shape in SHAPES:
            given = inputs(*shape, with_lengths)
            assert_all_close(program.module()(*given), module(*given), f"{name} {path} {shape}")
    operator = "recurra.recurrent" if path == "native" else "recurra.interpreted"
    layers = module.rnn.num_layers * module.rnn.num_directions
    assert program.graph_module.code.count(f"torch.ops.{operator}.default") == layers


@EACH
def test_compiles_for_any_batch_and_time(name, path, with_lengths):
    """In whole graphs, and few of them: not one for each length."""
    module, graphs = model(name, path), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=backend)
    with torch.no_grad():
        for shape in SHAPES:
            given = inputs(*shape, with_lengths)
            assert_all_close(compiled(*given), module(*given), f"{name} {path} {shape}")
    assert len(graphs) <= 4, "one for sizes of 1 each, and one for all others"


@pytest.mark.parametrize(("name", "path"), [case[:2] for case in CASES[1::2]])
def test_trains_compiled(name, path):
    """Gradients, and noise under one seed, are those of the layers as they are."""
    module = model(name, path).train()
    torch._dynamo.reset()
    compiled = torch.compile(
        copy.deepcopy(module), fullgraph=True, backend="aot_eager", dynamic=True
    )
    for shape in ((3, 5), (2, 7)):
        given, both = inputs(*shape, True), []
        for one in (module, compiled):
            torch.manual_seed(5)
            found = list(one(*given))
            both.append([*found, *gradients(found, list(one.parameters()))])
        assert_all_close(*both, f"{name} {path} {shape}")


@pytest.mark.parametrize(("make", "kernels"), [(LSTMCell, True), (GRUCell, False)])
def test_single_steps(make, kernels):
    module, batch = make(I, H), Dim("batch", min=1, max=64)
    module._kernel = module._kernel if kernels else None
    program = export(module, (torch.randn(3, I),), dynamic_shapes=({0: batch},))
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (3, 1, 5):
        x = torch.randn(size, I)
        for run in (program.module(), compiled):
            assert_all_close(as_tuple(run(x)), as_tuple(module(x)), f"{make} {size}")


@pytest.mark.parametrize("tied", [False, True])
def test_language_models(tied):
    """For few tokens and for many, which are read in different ways where nothing is traced."""
    torch.manual_seed(4)
    module = RecurrentLM(V, LSTM(H if tied else V, H), embedding=H * tied, tied=tied)
    batch, steps = Dim("batch", min=1, max=64), Dim("steps", min=1, max=512)
    program = export(module.eval(), inputs(3, 5, False), dynamic_shapes=({0: batch, 1: steps},))
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for shape in ((1, 1), (3, 2), (6, 9)):
        (ids,) = inputs(*shape, False)
        logits, state = module(ids)
        for run in (program.module(), compiled):
            assert_all_close([*run(ids)[1], run(ids)[0]], [*state, logits], f"{shape}")
        both = []
        for one in (module, compiled):
            loss, _ = one(ids, ids.flip(1))
            both.append([loss, *gradients([loss[None]], list(module.parameters()))])
        assert_all_close(*both, f"{shape}: loss")


@pytest.mark.parametrize("path", [p for p in PATHS if p != "torch"])  # which records nothing
def test_gates(path):
    """What a layer lets one look at is in the graph too, for any time, and gradients go through."""

    class Seen(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = on(path, LSTM(I, H, proj_size=2, bidirectional=True))

        def forward(self, x, mask):
            outputs, state, (both,) = self.rnn(x, mask=mask, return_gates=True)
            return outputs, *state, *both[0].values(), *both[1].values()

    module, batch, steps = Seen(), Dim("batch", max=64), Dim("steps", max=512)
    axes = {0: steps, 1: batch}
    program = export(
        module, (draw(5, 3, I, dtype=torch.float32), draw(5, 3) > 0), dynamic_shapes=(axes, axes)
    )
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for shape in ((5, 3), (1, 2), (9, 4)):
        x, mask = draw(*shape, I, dtype=torch.float32), draw(*shape, seed=1) > 0
        both = []
        for one in (module, compiled):
            found = one(x, mask)
            both.append([*found, *gradients(found, list(module.parameters()))])
        assert_all_close(*both, f"{shape}")
        assert_all_close(program.module()(x, mask), module(x, mask), f"{shape}: exported")


@pytest.mark.parametrize("shuffled", [False, True])
def test_packed_sequences_compiled(shuffled):
    """Compiled around what packs and unpacks, which torch does not compile."""
    module = GRU(I, H)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager", dynamic=True)
    for lengths in ((2, 3), (1, 5, 1)):
        lengths = lengths if shuffled else sorted(lengths, reverse=True)
        x = draw(max(lengths), len(lengths), I, dtype=torch.float32)
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=not shuffled)
        with torch.no_grad():  # torch warns of gradients of its own where a graph ends
            found, expected = compiled(packed), module(packed)
        assert isinstance(found[0], PackedSequence)
        assert_all_close([found[0].data, found[1]], [expected[0].data, expected[1]], f"{lengths}")
        for one, other in zip(found[0][1:], packed[1:], strict=True):
            assert one is other or torch.equal(one, other)


def test_the_operator_keeps_torchs_contracts():
    """Schema, shape function, autograd, with static and dynamic shapes: `torch.library.opcheck`."""
    module = Recurrent(lagged, I, H, dtype=torch.float64)
    weights = [getattr(module, f"{p.name}_l0") for p in module.program.parameters]
    x = torch.randn(5, 3, I, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(3, H, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    valid = torch.rand(5, 3) > 0.3
    mask, keep = (
        torch.rand(3, H, dtype=torch.float64),
        [torch.rand(5, 3, H, dtype=torch.float64)] * 2,
    )
    for noise in ((None, [], []), (mask, keep, [0.0, 0.0]), (None, [None, None], [0.2, 0.3])):
        for counted, record in ((None, False), (valid, False), (valid, True)):
            call = (module._name, x, weights, states, counted, *noise, False, record)
            torch.library.opcheck(torch.ops.recurra.interpreted.default, call)
