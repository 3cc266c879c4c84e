"""Layers whose products are in bfloat16: that they are, in every mode, or refused in one line."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from native.rounded import linear
from nn.variants import CELLS, LOOPS, NOISY, I, as_tuple, draw
from recurra import native, ops
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN, Recurrent
from recurra.reference import Interpreter

T, B = 4, 3

NEEDS = pytest.mark.skipif(
    not native.half_products(), reason="no kernels, or a processor without AVX512-BF16 and AMX"
)
#: As layers: the programs that have kernels, and what belongs to layers.
ROWS = [v for v in CELLS + LOOPS + NOISY if v.make()._kernel is not None]


def results(module: Recurrent, x: Tensor, **more: Tensor) -> list[Tensor]:
    """Outputs, states and gradients by the input and all parameters."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    torch.manual_seed(7)
    outputs, state = module(x, **more)
    flat = [outputs, *as_tuple(state)]
    sum((r * draw(*r.shape, seed=k).to(r)).sum() for k, r in enumerate(flat)).backward()
    found = [*(f.detach() for f in flat), x.grad, *(p.grad for p in module.parameters())]
    return [f for f in found if f is not None]


@NEEDS
@pytest.mark.parametrize("variant", ROWS, ids=str)
def test_every_layer_is_near_its_float32_and_not_the_same(variant):
    x, lengths = draw(T, B, I).float(), torch.tensor([4, 2, 0])
    single = variant.make(dtype=torch.float32)
    half = variant.make(dtype=torch.float32, precision="bf16")
    pairs = zip(*(results(m, x, lengths=lengths) for m in (half, single)), strict=True)
    for k, (found, expected) in enumerate(pairs):
        assert found.dtype == torch.float32
        distance = float((found - expected).norm())
        # Of a handful of units; layer norm of three of them divides by little.
        within = 0.15 if variant.arguments.get("layer_norm") else 0.05
        assert distance <= within * max(float(expected.norm()), 0.1), f"{variant} {k}"
        if k == 0:
            assert distance > 0, "products in float32"


@NEEDS
@pytest.mark.parametrize("layer", [LSTM, GRU, RNN])
def test_outputs_are_those_of_rounded_products(layer):
    """A layer against the reference in float64 whose products round what goes in."""
    torch.manual_seed(0)
    module = layer(33, 40, precision="bf16")
    x = draw(6, 17, 33).float()
    weights = {p.name: getattr(module, f"{p.name}_l0").double() for p in module.program.parameters}
    interpreter = Interpreter(module.program, weights)
    interpreter._library = replace(interpreter._library, linear=linear)
    zeros = [torch.zeros(17, size, dtype=torch.float64) for size in module.state_sizes]
    expected = interpreter.run(x.double(), zeros).outputs.detach()
    found = module(x)[0].detach().double()
    assert float((found - expected).norm() / expected.norm()) < 1e-4
    exact = Interpreter(module.program, weights).run(x.double(), zeros).outputs.detach()
    assert float((found - exact).norm() / exact.norm()) > 5e-4


@NEEDS
def test_compiles_and_exports_as_it_runs():
    module = LSTM(I, 20, precision="bf16").eval()
    x = draw(T, B, I).float()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for found, expected in zip(results(compiled, x), results(module, x), strict=True):
        assert torch.equal(found, expected)
    with torch.no_grad():
        exported = torch.export.export(module, (x,))
        assert torch.equal(exported.module()(x)[0], module(x)[0])


@NEEDS
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_what_only_the_reference_computes_is_refused():
    module = LSTM(I, 20, precision="bf16")
    x = draw(T, B, I).float().requires_grad_()
    weights = dict(module.named_parameters())
    calls = {
        "torch.func": lambda: vmap(lambda v: module(v)[0])(x.detach()[None]),
        "gradients of torch.func": lambda: grad(lambda v: module(v)[0].sum())(x.detach()),
        "second gradients": lambda: torch.autograd.grad(
            module(x)[0].square().sum(), x, create_graph=True
        ),
        "float64": lambda: LSTM(I, 20, precision="bf16", dtype=torch.float64)(x.double()),
        "weights cast later": lambda: functional_call(
            module, {k: v.double() for k, v in weights.items()}, (x.double(),)
        ),
        "bfloat16 weights": lambda: LSTM(I, 20, precision="bf16").bfloat16()(x.bfloat16()),
    }
    for name, call in calls.items():
        with pytest.raises(InputError, match="precision bf16: expected float32") as caught:
            call()
        assert "\n" not in str(caught.value), name


@NEEDS
def test_a_cell_without_kernels_is_refused(monkeypatch):
    monkeypatch.setenv("RECURRA_COMPILE", "off")
    native.find.cache_clear()
    try:
        module = LSTM(I, 20, precision="bf16", activation="softplus")
        with pytest.raises(InputError, match="received the cell lstm_softplus, which only"):
            module(draw(T, B, I).float())
    finally:
        native.find.cache_clear()


@NEEDS
def test_a_layer_is_refused_where_its_instruction_set_has_none():
    module, x, before = LSTM(I, 20, precision="bf16"), draw(T, B, I).float(), native.isa()
    packed = pickle.dumps(module)  # __init__ does not look where it is unpacked
    try:
        native.use_isa(native.isas()[1])
        for layer in (module, pickle.loads(packed)):
            with pytest.raises(InputError, match="received a processor without AVX512-BF16"):
                layer(x)
        with pytest.raises(InputError, match="precision bf16 needs kernels and a processor"):
            LSTM(I, 20, precision="bf16")
    finally:
        native.use_isa(before)
    module(x)


@pytest.mark.parametrize("variable", ["RECURRA_ISA=base", "RECURRA_KERNELS=off"])
def test_layers_are_refused_in_one_line_elsewhere(variable):
    if variable == "RECURRA_ISA=base" and "base" not in native.isas():
        pytest.skip("the kernels are not compiled, or not for the base instruction set")
    name, value = variable.split("=")
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
from recurra import nn
from recurra.errors import InputError
try:
    nn.GRU(3, 4, precision="bf16")
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    assert done.stdout == (
        "GRU: precision bf16 needs kernels and a processor with AVX512-BF16 or AMX, which are not "
        "here: use float32\n"
    ), done.stderr


def test_a_precision_that_is_none():
    with pytest.raises(InputError, match="precision must be one of float32, bf16, received 'fp8'"):
        LSTM(I, 20, precision="fp8")


@NEEDS
def test_gates_and_gradients_of_states_are_seen_in_bfloat16_too():
    module, x = LSTM(I, 20, precision="bf16"), draw(T, B, I).float()
    outputs, _, ((gates,),) = module(x, return_gates=True)
    assert torch.equal(outputs, module(x)[0])
    assert torch.equal(gates["h"], outputs)


@NEEDS
def test_shown_with_its_precision():
    assert "precision='bf16'" in repr(LSTM(I, 20, precision="bf16"))
    assert "precision" not in repr(LSTM(I, 20))


def test_noise_of_lookups_and_precision_meet():
    """All of a language model's training step at once runs, on either precision."""
    rows, tokens = draw(7, I).float().requires_grad_(), torch.randint(7, (9, 5))
    for precision in native.PRECISIONS[: 1 + bool(native.half_products())]:
        module = GRU(I, 20, 2, dropout=0.3, zoneout=0.1, recurrent_dropout=0.2, precision=precision)
        module(ops.Lookup(rows, tokens))[0].sum().backward()
        assert bool(torch.isfinite(rows.grad).all())
