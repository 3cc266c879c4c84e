"""Whatever looks at the operator from outside: compilers, exporters, modes, higher derivatives."""

import copy
import warnings

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradgradcheck
from torch.func import functional_call, grad, jvp, vmap
from torch.utils.checkpoint import checkpoint

from nn.variants import CELLS, NOISY, H, I, P, Variant, as_hx, as_tuple, draw, on, states_of
from recurra import native, ops
from recurra.errors import InputError
from recurra.nn import GRU, LSTM, RNN
from recurra.ops import kernel, operator
from recurra.ops.call import Call
from recurra.ops.call import arguments as taken
from recurra.ops.programs import kernel_name
from tolerances import assert_all_close, assert_close

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
    # torch's own, when it first looks for how to push tangents through.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

T, B = 4, 3
MASK = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool).T

#: One of each that the operator's arguments differ in.
ROWS = [
    Variant(RNN, {}),
    Variant(GRU, {"reset": "before", "batch_first": True}),
    Variant(LSTM, {"layer_norm": True, "peephole": True, "proj_size": P}),
    Variant(LSTM, {"bidirectional": True, "num_layers": 2, "dropout": 0.5}),
    Variant(GRU, {"zoneout": 0.3, "recurrent_dropout": 0.5}),
    Variant(LSTM, {"bias": False, "zoneout": (0.0, 0.5), "learn_initial_state": True}),
]
EACH = pytest.mark.parametrize("variant", ROWS, ids=str)


def both(variant, **more):
    """The variant on the kernels and by the reference."""
    return on("native", variant.make(**more)), on("reference", variant.make(**more))


def results(module, function, x, **more):
    """Outputs, states and gradients by the input and all parameters."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    torch.manual_seed(7)
    outputs, state = function(x, **more)
    flat = [outputs, *as_tuple(state)]
    sum((r * draw(*r.shape, seed=k).to(r)).sum() for k, r in enumerate(flat)).backward()
    return [*flat, x.grad, *(p.grad for p in module.parameters())]


def arguments(variant, *, dtype=torch.float64, valid=None, noisy=False):
    """Arguments of the operator for the first layer of a variant, requiring gradients."""
    module = variant.make(dtype=dtype)
    states = [s[0].detach().requires_grad_() for s in states_of(module, B)]
    parameters = [getattr(module, f"{p.name}_l0") for p in module.program.parameters]
    mask = draw(B, states[0].shape[1]).to(dtype) if noisy else None
    keep = [draw(T, B, s.shape[1]).to(dtype).sigmoid() if noisy else None for s in states]
    x = draw(T, B, I).to(dtype).requires_grad_()
    name = kernel_name(module.program)
    return Call(name, x, parameters, states, valid, mask, keep, [0.0] * len(states), False)


@EACH
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_compiles_into_one_graph(variant, mask):
    module = on("native", variant.make()).eval()
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)
    mask = mask.T if mask is not None and module.batch_first else mask
    seen = []

    def backend(graph, inputs):
        seen.append([str(n.target) for n in graph.graph.nodes if n.op == "call_function"])
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    found = results(module, compiled, x, mask=mask)
    assert_all_close(found, results(module, module, x, mask=mask), str(variant))
    (graph,) = seen
    directions = module.num_layers * module.num_directions
    assert sum("recurra.recurrent" in name for name in graph) == directions


@pytest.mark.parametrize("variant", [ROWS[0], ROWS[2]], ids=str)
def test_compiles_through_the_backward_pass(variant):
    """With autograd traced ahead of time; training, shapes that change, lengths."""
    module = on("native", variant.make()).train()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps, batch in ((T, B), (6, 2), (3, 5)):
        x, lengths = draw(steps, batch, I), torch.arange(batch) % steps
        found = results(module, compiled, x, lengths=lengths)
        expected = results(module, module, x, lengths=lengths)
        assert_all_close(found, expected, f"{variant} {steps} {batch}")


@EACH
def test_exports(variant):
    module = on("native", variant.make()).eval()
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)
    with torch.no_grad():
        steps = torch.export.Dim("steps", min=2, max=100)
        shapes = ({1 if module.batch_first else 0: steps},)
        exported = torch.export.export(module, (x,), dynamic_shapes=shapes)
        longer = torch.cat([x, x], dim=1 if module.batch_first else 0)
        for given in (x, longer):
            outputs, state = exported.module()(given)
            expected, ended = module(given)
            assert_close(outputs, expected, str(variant))
            assert_all_close(as_tuple(state), as_tuple(ended), str(variant))
    assert "recurra.recurrent" in exported.graph_module.code


@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize("valid", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize("variant", [ROWS[0], ROWS[2]], ids=str)
def test_the_operator_keeps_torchs_contracts(variant, valid, noisy, monkeypatch):
    """Schema, shape function, autograd registration, compiled autograd with static and dynamic
    shapes: `torch.library.opcheck`."""
    # What no step has written to must compare as well.
    monkeypatch.setattr(kernel, "empty", lambda shape, like: like.new_zeros(shape))
    call = arguments(variant, valid=valid, noisy=noisy)
    torch.library.opcheck(operator.recurrent, taken(call.fields, True))


@pytest.mark.parametrize("variant", [ROWS[0], ROWS[3]], ids=str)
def test_the_operator_with_tokens_keeps_them_too(variant, monkeypatch):
    monkeypatch.setattr(kernel, "empty", lambda shape, like: like.new_zeros(shape))
    rows, tokens = draw(2, I).requires_grad_(), torch.randint(2, (T, B))
    call = arguments(variant)._replace(x=rows, tokens=tokens)
    torch.library.opcheck(operator.recurrent, taken(call.fields, True))


@pytest.mark.parametrize("units", [1, 3, 16, 33])
def test_the_shape_function_knows_what_is_saved(units):
    for dtype in (torch.float32, torch.float64):
        for program in {v.make().program for v in CELLS}:
            name = kernel_name(program)
            if name is None:
                continue
            projection = {"projection": 2} if program.option("projection") else {}
            sizes = {"gates": len(program.gates), "inputs": I, "hidden": units} | projection
            weights = [torch.zeros(p.shape(**sizes), dtype=dtype) for p in program.parameters]
            widths = [2 if projection else units] + [units] * (len(program.states) - 1)
            states = [torch.zeros(B, w, dtype=dtype) for w in widths]
            x = torch.zeros(T, B, I, dtype=dtype)
            for valid in (None, MASK):
                for rate in (0.0, 0.5):
                    rates = [rate] * len(states)
                    keep = [None] * len(states)
                    noise = valid, None, keep, rates
                    call = taken(Call(name, x, weights, states, *noise).fields, True)
                    with torch._subclasses.FakeTensorMode() as mode:
                        fake = torch.utils._pytree.tree_map(
                            lambda v, m=mode: m.from_tensor(v) if isinstance(v, Tensor) else v, call
                        )
                        shapes = [tuple(s.shape) for s in operator.recurrent(*fake)]
                    assert [tuple(s.shape) for s in operator.recurrent(*call)] == shapes


@EACH
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_recomputes_the_same(variant, reentrant):
    module = on("native", variant.make()).train()
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)

    def flat(x):  # the reentrant kind does not look into tuples
        outputs, state = module(x)
        return (outputs, *as_tuple(state))

    def checkpointed(x):
        outputs, *state = checkpoint(flat, x, use_reentrant=reentrant)
        return outputs, tuple(state)

    for one, other in zip(
        results(module, checkpointed, x), results(module, module, x), strict=True
    ):
        assert torch.equal(one, other), str(variant)


def leaves_function(module):
    """The module as a function of input, states and parameters, and those."""
    names = [n for n, _ in module.named_parameters()]
    parameters = [p.detach().requires_grad_() for p in module.parameters()]
    states = [s.requires_grad_() for s in states_of(module, B)]
    first = (B, T, I) if module.batch_first else (T, B, I)

    def function(x, *leaves):
        torch.manual_seed(3)
        weights = dict(zip(names, leaves[len(states) :], strict=True))
        outputs, state = functional_call(module, weights, (x, as_hx(leaves[: len(states)])))
        return (outputs, *as_tuple(state))

    return function, (draw(*first).requires_grad_(), *states, *parameters)


@EACH
def test_second_gradients(variant):
    """The reference computes them; smooth cells only, so that finite differences exist."""
    function, leaves = leaves_function(on("native", variant.make()))
    assert gradgradcheck(function, leaves, fast_mode=True, atol=1e-4)


@EACH
def test_forward_mode(variant):
    ours, theirs = both(variant)
    tangents = None
    for module in (ours, theirs):
        function, leaves = leaves_function(module)
        _, found = jvp(
            function, leaves, tuple(draw(*v.shape, seed=k) for k, v in enumerate(leaves))
        )
        tangents = tangents or found
    assert_all_close(found, tangents, str(variant))
    with forward_ad.dual_level():
        x = draw(*leaves[0].shape)
        outputs, _ = ours.eval()(forward_ad.make_dual(x, torch.ones_like(x)))
        assert forward_ad.unpack_dual(outputs).tangent is not None


@EACH
def test_vmap_and_functional_gradients(variant):
    ours, theirs = both(variant)
    x = draw(5, *((B, T, I) if ours.batch_first else (T, B, I)))
    for module in (ours, theirs):
        module.eval()
    found = vmap(lambda v: ours(v)[0])(x)
    assert_close(found, torch.stack([theirs(v)[0] for v in x]), str(variant))
    per_example = vmap(grad(lambda v: ours(v)[0].square().sum()))(x)
    for k, v in enumerate(x):
        v = v.clone().requires_grad_()
        theirs(v)[0].square().sum().backward()
        assert_close(per_example[k], v.grad, f"{variant} {k}")


def test_gradients_of_many_losses_at_once():
    module = on("native", LSTM(I, H, dtype=torch.float64))
    x = draw(T, B, I).requires_grad_()
    outputs, _ = module(x)
    directions = draw(4, *outputs.shape)
    many = torch.autograd.grad(outputs, x, directions, is_grads_batched=True, retain_graph=True)[0]
    for k in range(4):
        alone = torch.autograd.grad(outputs, x, directions[k], retain_graph=True)[0]
        assert_close(many[k], alone, f"loss {k}")


@EACH
def test_deterministic_mode(variant):
    module = on("native", variant.make()).train()
    x = draw(B, T, I) if module.batch_first else draw(T, B, I)
    try:
        torch.use_deterministic_algorithms(True)
        first, second = results(module, module, x), results(module, module, x)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(map(torch.equal, first, second))


@EACH
def test_autocast_computes_in_the_dtype_of_the_weights(variant):
    module = on("native", variant.make(dtype=torch.float32)).eval()
    x = (draw(B, T, I) if module.batch_first else draw(T, B, I)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = module(x)
    expected, ended = module(x.float())
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, expected)
    assert all(map(torch.equal, as_tuple(state), as_tuple(ended)))


@EACH
def test_gradients_under_autocast(variant):
    module = on("native", variant.make(dtype=torch.float32)).eval()
    x = (draw(B, T, I) if module.batch_first else draw(T, B, I)).float()
    plain = [v.clone() for v in results(module, module, x)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = results(module, module, x)
    assert all(map(torch.equal, found, plain))


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a:UserWarning")
def test_gates_where_a_graph_may_break():
    module = on("native", LSTM(I, H, dtype=torch.float64))
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager")
    x = draw(2, B, I)
    with torch.no_grad():
        (gates,), (expected,) = (f(x, return_gates=True)[2][0] for f in (compiled, module))
    assert_all_close(gates, expected, "gates")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_small_dtypes_have_another_path(dtype):
    module = LSTM(I, H, zoneout=0.1, dtype=dtype).eval()
    outputs, _ = module(draw(T, B, I).to(dtype))
    expected, _ = copy.deepcopy(module).float()(draw(T, B, I).float())
    assert outputs.dtype == dtype
    torch.testing.assert_close(outputs.float(), expected, atol=0.05, rtol=0.05)


def test_gradients_by_the_noise_are_the_references():
    call = arguments(ROWS[0], noisy=True)
    mask = call.mask.requires_grad_()
    ops.run(call._replace(keep=[], rates=[]))[0].sum().backward()
    assert mask.grad is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, h: (x.float(), h), r"expected with the input float32 .*received float64"),
        (lambda x, h: (x, h.float()), r"received float64 .*, float32 \(1, 3, 3\)$"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    module = GRU(I, H, dtype=torch.float64)
    x, h = change(draw(T, B, I), draw(1, B, H))
    with pytest.raises(InputError, match=message) as caught:
        module(x, h)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused():
    module = GRU(I, H)
    with pytest.raises(InputError, match="expected with the input"):
        functional_call(module, {"bias_hh_l0": torch.zeros(2)}, (torch.zeros(T, B, I),))


def test_any_layout_of_the_input():
    module = on("native", LSTM(I, H, dtype=torch.float64))
    x = draw(T, B, I)
    expected = results(module, module, x)
    wide = torch.zeros(T, B, 2 * I, dtype=torch.float64)
    layouts = {
        "every second": (wide.index_copy(2, torch.arange(0, 2 * I, 2), x))[..., ::2],
        "units first": x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "batch first": x.transpose(0, 1).contiguous().transpose(0, 1),
    }
    for name, given in layouts.items():
        assert not given.is_contiguous()
        outputs, _ = module(given)
        assert_close(outputs, expected[0], name)
    row = draw(1, 1, I).expand(T, B, I)
    assert_close(module(row)[0], module(row.contiguous())[0], "expanded")


def test_training_without_a_warning_of_noise_rows():
    """NOISY rows run on the kernels as well: none of their options falls back in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for variant in NOISY:
            assert variant.make()._kernel is not None, str(variant)
