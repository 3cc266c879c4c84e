"""Losses of tokens, and the embedding beside them: against torch, and under whatever looks on."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nn.variants import draw
from recurra import native
from recurra.errors import InputError
from recurra.ops import embedding, token_losses
from recurra.ops.loss import token_losses_op
from tolerances import assert_all_close, assert_close

pytestmark = [
    # torch's own, when it first looks for how to push tangents through.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

N, H, V = 7, 5, 11
COUNTED = torch.tensor([1, 0, 1, 1, 0, 1, 1], dtype=torch.bool)
EACH = pytest.mark.parametrize("counted", [None, COUNTED], ids=["all", "some"])
on_kernels = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")


def problem(dtype=torch.float64, bias=True, rows=N, features=H, tokens=V):
    """Features, weight and bias that require gradients, and targets."""
    x, weight = draw(rows, features).to(dtype), draw(tokens, features, seed=1).to(dtype)
    leaves = [x, weight, draw(tokens, seed=2).to(dtype) if bias else None]
    targets = torch.arange(rows) * 5 % tokens
    return [v if v is None else v.requires_grad_() for v in leaves], targets


def by_torch(x, weight, bias, targets, counted=None):
    """What one would write, row by row."""
    rows = range(len(x)) if counted is None else torch.nonzero(counted).flatten().tolist()
    losses = list(x.new_zeros(len(x)).unbind())
    for n in rows:
        losses[n] = functional.cross_entropy(
            functional.linear(x[n], weight, bias), targets[n], reduction="sum"
        )
    return torch.stack(losses) if losses else x.new_zeros(0)


def gradients(losses, leaves):
    given = [leaf for leaf in leaves if leaf is not None]
    return torch.autograd.grad(losses, given, draw(*losses.shape, seed=3).to(losses.dtype))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@EACH
def test_values_and_gradients(counted, bias, dtype, threads):
    leaves, targets = problem(dtype, bias)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        losses = token_losses(*leaves, targets, counted)
        found = [losses, *gradients(losses, leaves)]
    finally:
        torch.set_num_threads(before)
    expected = by_torch(*leaves, targets, counted)
    expected = [expected, *gradients(expected, leaves)]
    if dtype == torch.bfloat16:
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    else:
        assert_all_close(found, expected, f"{dtype}")


@EACH
def test_gradients_by_finite_differences(counted):
    leaves, targets = problem()
    assert gradcheck(lambda *v: token_losses(*v, targets, counted), leaves)


@EACH
def test_second_gradients(counted):
    leaves, targets = problem()
    assert gradgradcheck(lambda *v: token_losses(*v, targets, counted), leaves, atol=1e-4)


@EACH
def test_rows_that_do_not_count_are_not_read(counted):
    if counted is None:
        counted = torch.zeros(N, dtype=torch.bool)
    (x, weight, bias), targets = problem()
    clean = token_losses(x, weight, bias, targets, counted)
    with torch.no_grad():
        x[~counted] = math.nan
        targets[~counted] = -100
    losses = token_losses(x, weight, bias, targets, counted)
    assert torch.equal(losses, clean)
    assert torch.equal(losses == 0, ~counted)
    dx, *rest = gradients(losses, (x, weight, bias))
    assert torch.equal((dx == 0).all(1), ~counted)
    assert all(g.isfinite().all() for g in rest)


def test_any_layout():
    (x, weight, bias), targets = problem()
    leaves = (x, weight, bias)
    expected = token_losses(*leaves, targets)
    wide = torch.zeros(N, 2 * H, dtype=x.dtype)
    wide[:, ::2] = x.detach()
    for given in (x.T.contiguous().T, wide[:, ::2]):
        assert not given.is_contiguous()
        assert torch.equal(token_losses(given, weight.T.contiguous().T, bias, targets), expected)
    strided = torch.stack((targets, targets), 1)[:, 0]
    assert torch.equal(token_losses(*leaves, strided), expected)
    row = x[:1].expand(N, H)
    assert_close(token_losses(row, weight, bias, targets)[0], expected[0], "expanded")


def test_only_some_require_gradients():
    (x, weight, bias), targets = problem()
    whole = gradients(token_losses(x, weight, bias, targets), (x, weight, bias))
    for leaf, want in zip((x, weight, bias), whole, strict=True):
        given = [v if v is leaf else v.detach() for v in (x, weight, bias)]
        (found,) = torch.autograd.grad(
            token_losses(*given, targets), leaf, draw(N, seed=3).to(x.dtype)
        )
        assert torch.equal(found, want)
    assert not token_losses(x.detach(), weight.detach(), None, targets).requires_grad


@on_kernels
@EACH
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_into_one_graph(counted, backend):
    leaves, targets = problem()
    torch._dynamo.reset()
    compiled = torch.compile(token_losses, fullgraph=True, backend=backend)
    found, expected = compiled(*leaves, targets, counted), token_losses(*leaves, targets, counted)
    assert torch.equal(found, expected)
    for one, other in zip(gradients(found, leaves), gradients(expected, leaves), strict=True):
        assert torch.equal(one, other)


@on_kernels
def test_exports():
    class Scorer(nn.Module):
        def forward(self, x, weight, bias, targets):
            return token_losses(x, weight, bias, targets)

    leaves, targets = problem()
    leaves = [leaf.detach() for leaf in leaves]
    rows = torch.export.Dim("rows", min=2, max=100)
    shapes = ({0: rows}, None, None, {0: rows})
    exported = torch.export.export(Scorer(), (*leaves, targets), dynamic_shapes=shapes)
    for k in (N, 3):
        found = exported.module()(leaves[0][:k], *leaves[1:], targets[:k])
        assert torch.equal(found, token_losses(leaves[0][:k], *leaves[1:], targets[:k]))
    assert "recurra.token_losses" in exported.graph_module.code


@on_kernels
@EACH
@pytest.mark.parametrize("bias", [True, False])
def test_the_operator_keeps_torchs_contracts(counted, bias):
    leaves, targets = problem(bias=bias)
    torch.library.opcheck(token_losses_op, (*leaves, targets, counted, False))


@EACH
def test_forward_mode_and_functional_gradients(counted):
    (x, weight, bias), targets = problem()
    leaves = tuple(v.detach() for v in (x, weight, bias))

    def ours(*v):
        return token_losses(*v, targets, counted)

    def theirs(*v):
        losses = functional.cross_entropy(functional.linear(*v), targets, reduction="none")
        return losses if counted is None else losses * counted

    directions = tuple(draw(*v.shape, seed=k).to(v) for k, v in enumerate(leaves))
    assert_all_close(jvp(ours, leaves, directions), jvp(theirs, leaves, directions), "jvp")
    found = grad(lambda *v: ours(*v).sum(), argnums=(0, 1, 2))(*leaves)
    expected = grad(lambda *v: theirs(*v).sum(), argnums=(0, 1, 2))(*leaves)
    assert_all_close(found, expected, "grad")
    many = torch.stack([leaves[0], leaves[0] * 2])
    assert_close(
        vmap(lambda v: ours(v, *leaves[1:]))(many),
        torch.stack([theirs(v, *leaves[1:]) for v in many]),
        "vmap",
    )


def test_gradients_of_many_losses_at_once():
    (x, weight, bias), targets = problem()
    losses, directions = token_losses(x, weight, bias, targets), draw(3, N)
    many = torch.autograd.grad(losses, x, directions, is_grads_batched=True, retain_graph=True)[0]
    for k in range(3):
        alone = torch.autograd.grad(losses, x, directions[k], retain_graph=True)[0]
        assert_close(many[k], alone, f"loss {k}")


def test_checkpointing_and_a_second_backward_pass():
    leaves, targets = problem()
    losses = token_losses(*leaves, targets)
    again = checkpoint(token_losses, *leaves, targets, use_reentrant=False)
    weights = draw(N, seed=3)
    first = torch.autograd.grad(losses, leaves, weights, retain_graph=True)
    for one in (torch.autograd.grad(losses, leaves, weights), gradients(again, leaves)):
        assert all(map(torch.equal, one, first))


def test_autocast_computes_in_the_dtype_of_the_weights():
    (x, weight, bias), targets = problem(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_losses(x.bfloat16(), weight, bias, targets)
    assert torch.equal(found, token_losses(x.bfloat16().float(), weight, bias, targets))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(N, H + 1)}, r"received float32 \(7, 6\), float32 \(11, 5\)"),
        ({"x": torch.zeros(N, H).double()}, r"received float64"),
        ({"x": torch.zeros(N, 2, H)}, r"features \(N, H\)"),
        ({"bias": torch.zeros(V - 1)}, r"float32 \(10,\)"),
        ({"targets": torch.zeros(N, dtype=torch.int32)}, r"int32 \(7,\)"),
        ({"targets": torch.zeros(N - 1, dtype=torch.int64)}, r"int64 \(6,\)"),
        ({"counted": torch.ones(N)}, r"float32 \(7,\)$"),
        ({"targets": torch.full((N,), V)}, r"row 0: expected a target from 0 to 10, received 11$"),
        ({"targets": torch.arange(N) - 1}, r"row 0: .*received -1$"),
        ({"targets": torch.arange(N) * 4, "counted": torch.arange(N) != 3}, r"row 4: .* 16$"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_does_not_fit_is_refused(change, message, dtype):
    given = {
        "x": torch.zeros(N, H),
        "weight": torch.zeros(V, H),
        "bias": torch.zeros(V),
        "targets": torch.zeros(N, dtype=torch.int64),
    }
    given |= change
    if dtype == torch.bfloat16 and "row" in message:
        given = {k: v.to(dtype) if v.dtype == torch.float32 else v for k, v in given.items()}
    with pytest.raises(InputError, match=message) as caught:
        token_losses(**given)
    assert "\n" not in str(caught.value)


_MEMORY = """
import pathlib, sys, torch
from torch.nn import functional
from recurra.ops import token_losses
N, H, V = 700, 24, 33278
x, weight, bias = (torch.zeros(*s, requires_grad=True) for s in ((N, H), (V, H), (V,)))
targets = torch.arange(N)

def memory(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def score(x, weight, bias, targets):
    if sys.argv[1] == "ours":
        losses = token_losses(x, weight, bias, targets)
    else:
        logits = functional.linear(x, weight, bias)
        losses = functional.cross_entropy(logits, targets, reduction="none")
    losses.sum().backward()

score(x[:3], weight[:9], bias[:9], targets[:3])
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is that of now
before = memory("VmRSS")
score(x, weight, bias, targets)
print(memory("VmHWM") - before)
"""


@on_kernels
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of a process")
def test_logits_are_never_held():
    """Peak memory of a process beyond what it had before; the gradients it returns are 3 MB."""

    def peak(side):
        command = [sys.executable, "-c", _MEMORY, side]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    logits = 700 * 33_278 * 4
    assert peak("ours") < 0.25 * logits
    assert peak("torch") > 1.5 * logits


in_half = pytest.mark.skipif(not native.half_products(), reason="no products in bfloat16 here")


@in_half
@EACH
def test_products_in_bfloat16(counted):
    """Close to those in float32; the same eager and compiled."""
    leaves, targets = problem(torch.float32)
    losses = token_losses(*leaves, targets, counted, half=True)
    expected = token_losses(*leaves, targets, counted)
    assert losses.dtype == torch.float32
    assert not torch.equal(losses, expected)
    found = gradients(losses, leaves)
    torch.testing.assert_close(losses, expected, atol=0.05, rtol=0.02)
    torch.testing.assert_close(found, gradients(expected, leaves), atol=0.05, rtol=0.02)
    torch._dynamo.reset()
    compiled = torch.compile(token_losses, fullgraph=True, backend="aot_eager")
    again = compiled(*leaves, targets, counted, half=True)
    assert torch.equal(again, losses)
    assert all(map(torch.equal, gradients(again, leaves), found))


def test_products_in_bfloat16_are_refused_elsewhere(monkeypatch):
    (x, weight, bias), targets = problem()
    with pytest.raises(InputError, match=r"received float64 on cpu and .*: use half=False"):
        token_losses(x, weight, bias, targets, half=True)
    monkeypatch.setattr(native, "half_products", lambda: "")
    with pytest.raises(InputError, match="received float32 on cpu and none: use half=False"):
        token_losses(x.float(), weight.float(), None, targets, half=True)
    with pytest.raises(InputError, match="received bfloat16 on cpu"):
        token_losses(x.bfloat16(), weight.bfloat16(), None, targets, half=True)


class Tied(nn.Module):
    """Scores the next of some tokens from an embedding, whose matrix it shares."""

    def __init__(self, embed, score):
        super().__init__()
        self.weight = nn.Parameter(draw(V, H))
        self.mix = nn.Linear(H, H).double()
        self.embed, self.score = embed, score

    def forward(self, tokens, targets):
        rows, weight = self.embed(tokens, self.weight)
        mixed = self.mix(rows).tanh().flatten(0, -2)
        return self.score(mixed, weight, None, targets.flatten())


TOKENS = torch.tensor([[3, 3, 0, 10], [1, 3, 0, 7]])


def tied(ours=True):
    torch.manual_seed(0)
    if ours:
        return Tied(embedding, token_losses)
    return Tied(lambda t, w: (functional.embedding(t, w), w), by_torch)


def test_tied_weights_have_one_gradient():
    found, expected = tied(), tied(ours=False)
    for module in (found, expected):
        for _ in range(2):  # on top of what is there, too
            module(TOKENS, TOKENS.roll(1)).sum().backward()
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        assert_close(one.grad, other.grad, "tied")
    assert found.weight.grad.is_contiguous()


def test_rows_alone():
    weight = draw(V, H).requires_grad_()
    rows, passed = embedding(TOKENS, weight)
    assert torch.equal(rows, functional.embedding(TOKENS, weight))
    assert torch.equal(passed, weight)
    direction = draw(*rows.shape, seed=1)
    (found,) = torch.autograd.grad(rows, weight, direction)
    (want,) = torch.autograd.grad(functional.embedding(TOKENS, weight), weight, direction)
    assert_close(found, want, "rows")
    (found,) = torch.autograd.grad(embedding(TOKENS, weight)[1].exp(), weight, weight)
    assert_close(found, weight * weight.exp(), "passed on")


def test_tied_weights_under_what_looks_on():
    module = tied()
    names = [name for name, _ in module.named_parameters()]
    leaves = tuple(p.detach().requires_grad_() for p in module.parameters())

    def function(*leaves):
        weights = dict(zip(names, leaves, strict=True))
        return functional_call(module, weights, (TOKENS, TOKENS.roll(1)))

    assert gradcheck(function, leaves)
    assert gradgradcheck(function, leaves, atol=1e-4)
    losses = function(*leaves)
    expected = torch.autograd.grad(losses.sum(), leaves)
    found = grad(lambda *v: function(*v).sum(), argnums=tuple(range(len(leaves))))(*leaves)
    assert_all_close(found, expected, "torch.func")
    if native.available():
        torch._dynamo.reset()
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        losses = compiled(TOKENS, TOKENS.roll(1))
        found = torch.autograd.grad(losses.sum(), list(module.parameters()))
        assert_all_close(found, expected, "compiled")
