"""`Lookup` as a layer's input, against the embedded tokens themselves."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nn.variants import CELLS, LOOPS, NOISY, H, I, as_tuple, draw
from recurra import native, ops
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, Recurrent
from recurra.ops import kernel
from recurra.ops.call import Call
from tolerances import assert_all_close

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

V, T, B = 5, 6, 4
ROWS = [v for v in CELLS + LOOPS + NOISY if "softsign" not in str(v)]


def tokens_and_rows(symbols: int = V) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(3)
    return torch.randint(symbols, (T, B), generator=draws), draw(symbols, I)


def results(module: Recurrent, x: object, rows: Tensor, **more: Tensor) -> list[Tensor]:
    """Outputs, final states, and the gradients by the rows and all parameters."""
    module.zero_grad()
    torch.manual_seed(7)
    outputs, state = module(x, **more)
    flat = [outputs, *as_tuple(state)]
    loss = sum((r * draw(*r.shape, seed=k)).sum() for k, r in enumerate(flat))
    leaves = [rows, *(p for p in module.parameters())]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [*flat, *(f for f in found if f is not None)]


def inputs_seen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether calls of the kernels, from now on, have tokens: forward, then backward."""
    seen: list[bool] = []
    inner = kernel.fitted

    def fitted(call: Call) -> object:
        seen.append(call.tokens is not None)
        return inner(call)

    monkeypatch.setattr(kernel, "fitted", fitted)
    return seen


@pytest.mark.parametrize("masked", [False, True], ids=["all", "lengths"])
@pytest.mark.parametrize("variant", ROWS, ids=str)
def test_equals_embedded_tokens(variant, masked, monkeypatch):
    tokens, rows = tokens_and_rows()
    rows = rows.requires_grad_()
    module = variant.make().train()
    module.batch_first = False
    more = {"lengths": torch.tensor([6, 0, 3, 5])} if masked else {}
    seen = inputs_seen(monkeypatch)
    found = results(module, ops.Lookup(rows, tokens), rows, **more)
    first = seen[0] if seen else False
    normed = bool(module.program.option("norm"))
    assert first == (module._kernel is not None and not normed), "the way it ran"
    expected = results(module, functional.embedding(tokens, rows), rows, **more)
    assert_all_close(found, expected, str(variant))
    if not variant.arguments.get("bidirectional"):
        assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize(
    "tokens",
    [
        torch.randint(V, (B, T)).T,
        torch.randint(V, (2 * T, B))[::2],
        torch.randint(V, (1, B)).expand(T, B),
    ],
    ids=["transposed", "every second", "expanded"],
)
def test_tokens_of_any_layout(tokens):
    rows, module = draw(V, I).requires_grad_(), LSTM(I, H, dtype=torch.float64)
    assert not tokens.is_contiguous()
    found = results(module, ops.Lookup(rows, tokens), rows)
    expected = results(module, ops.Lookup(rows, tokens.contiguous()), rows)
    assert all(map(torch.equal, found, expected))


def test_rows_of_any_layout_and_batch_first():
    tokens, rows = tokens_and_rows()
    module = GRU(I, H, dtype=torch.float64, batch_first=True)
    wide = draw(I, V).T.requires_grad_()
    expected = results(module, functional.embedding(tokens.T, wide), wide)
    assert_all_close(results(module, ops.Lookup(wide, tokens.T), wide), expected, "batch first")
    one = module(ops.Lookup(rows, tokens[:, 0]))[0]
    assert torch.equal(one, module(ops.Lookup(rows, tokens.T[:1]))[0][0])


def test_more_rows_than_tokens_are_looked_up_first(monkeypatch):
    tokens, rows = tokens_and_rows(1000)
    rows, module = rows.requires_grad_(), LSTM(I, H, dtype=torch.float64)
    seen = inputs_seen(monkeypatch)
    found = results(module, ops.Lookup(rows, tokens), rows)
    assert seen
    assert not any(seen)
    expected = results(module, functional.embedding(tokens, rows), rows)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("symbols", [V, 1000], ids=["looked up in the kernels", "before"])
@pytest.mark.parametrize("wrong", [-1, "V", 1 << 40])
def test_a_token_that_is_none_is_refused(symbols, wrong):
    tokens, rows = tokens_and_rows(symbols)
    tokens[2, 1] = symbols if wrong == "V" else wrong
    with pytest.raises(InputError, match=f"tokens: expected numbers from 0 to {symbols - 1}"):
        LSTM(I, H, dtype=torch.float64)(ops.Lookup(rows, tokens))


def test_tokens_of_another_dtype_are_refused_or_read_as_they_are():
    tokens, rows = tokens_and_rows()
    module = LSTM(I, H, dtype=torch.float64)
    with pytest.raises(InputError, match="tokens: expected int64, received int32"):
        module(ops.Lookup(rows, tokens.int()))
    with pytest.raises(InputError, match="expected an input with 4 features"):
        module(ops.Lookup(rows[:, :3], tokens))


@pytest.mark.parametrize("layer", [LSTM, GRU])
def test_compiles_and_exports(layer):
    tokens, rows = tokens_and_rows()
    module = layer(I, H, dtype=torch.float64)

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows, self.rnn = torch.nn.Parameter(rows), module

        def forward(self, tokens: Tensor) -> Tensor:
            return self.rnn(ops.Lookup(self.rows, tokens))[0]

    reader = Reader()
    expected = reader(tokens)
    torch._dynamo.reset()
    found = torch.compile(reader, fullgraph=True, backend="aot_eager")(tokens)
    assert torch.equal(found, expected)
    gradients = [
        torch.autograd.grad(out.square().sum(), list(reader.parameters()))
        for out in (found, expected)
    ]
    assert_all_close(*gradients, "gradients")
    with torch.no_grad():
        exported = torch.export.export(reader, (tokens,))
    assert torch.equal(exported.module()(tokens), expected)


def test_second_gradients_of_a_lookup():
    tokens, rows = tokens_and_rows()
    rows, module = rows.requires_grad_(), LSTM(I, H, dtype=torch.float64)
    found = []
    for x in (ops.Lookup(rows, tokens), functional.embedding(tokens, rows)):
        (first,) = torch.autograd.grad(module(x)[0].square().sum(), rows, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [rows, *module.parameters()]))
    assert_all_close(*found, "second gradients")
