"""Gradients over time against finite differences, in float64, for every cell and option.

`gradcheck` compares the Jacobian by input, initial states and every parameter.
"""

import inspect

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from nn.variants import CELLS, LOOPS, NOISY, I, Variant, as_hx, as_tuple, draw, paths, states_of
from recurra.nn import GRU, LSTM, RNN

B, T = 3, 3
#: Left padding, a gap, an empty row.
MASK = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.bool).T


def check(module, *, mask=None, given=True):
    """gradcheck of outputs and final states; noise is drawn from one seed at every call."""
    names = [n for n, _ in module.named_parameters()]
    parameters = [p.detach().requires_grad_() for p in module.parameters()]
    states = [s.requires_grad_() for s in states_of(module, B)] if given else []
    x = draw(T, B, I).requires_grad_()

    def function(x, *leaves):
        weights = dict(zip(names, leaves[len(states) :], strict=True))
        hx = as_hx(leaves[: len(states)]) if given else None
        torch.manual_seed(5)
        outputs, final = functional_call(module, weights, (x, hx), {"mask": mask})
        return (outputs, *as_tuple(final))

    # Finite differences of step 1e-6 leave a relative error of about 1e-9, times the curvature.
    # Stacks of layers have hundreds of parameters: of their Jacobian a random projection.
    fast = module.num_layers * module.num_directions > 1
    tolerances = {"atol": 1e-4 if fast else 1e-6, "rtol": 1e-5}
    assert gradcheck(function, (x, *states, *parameters), eps=1e-6, fast_mode=fast, **tolerances)


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
def test_cells_and_layers(variant):
    for _, module in paths(variant):
        check(module, mask=MASK)


@pytest.mark.parametrize("variant", NOISY, ids=str)
def test_noise_held_fixed(variant):
    for path, module in paths(variant):
        noisy = module.train()(draw(T, B, I))[0]
        assert not torch.equal(noisy, module(draw(T, B, I))[0]), f"{path}: no noise in training"
        check(module, mask=MASK)


@pytest.mark.parametrize(
    "variant", [v for v in LOOPS if "learn_initial_state" in v.arguments], ids=str
)
def test_learnt_initial_states(variant):
    for _, module in paths(variant):
        check(module, mask=MASK, given=False)


@pytest.mark.parametrize("variant", [v for v in NOISY if "zoneout" in v.arguments], ids=str)
def test_zoneout_in_evaluation(variant):
    for _, module in paths(variant):
        check(module.eval())


def test_all_paths_have_equal_gradients_under_a_mask():
    for variant in CELLS + LOOPS:
        found = {}
        for path, module in paths(variant):
            x = draw(T, B, I).requires_grad_()
            outputs, final = module(x, as_hx(states_of(module, B)), mask=MASK)
            sum(r.pow(2).sum() for r in (outputs, *as_tuple(final))).backward()
            found[path] = [x.grad, *(p.grad for p in module.parameters() if p.grad is not None)]
        for path, gradients in found.items():
            for one, other in zip(gradients, found["reference"], strict=True):
                text = f"{variant} {path}"
                torch.testing.assert_close(one, other, msg=lambda m, t=text: f"{t}: {m}")


def test_every_option_is_in_the_tables():
    """A new argument of the layers must get its row."""
    rows = CELLS + LOOPS + NOISY
    used = {(v.layer, name) for v in rows for name in v.arguments}
    shape_only = {"self", "input_size", "hidden_size", "batch_first", "device", "dtype", "init"}
    shape_only |= {"precision"}  # of products: tests/native/test_half.py has every program in it
    for layer in (RNN, LSTM, GRU):
        for name in inspect.signature(layer.__init__).parameters:
            if name in shape_only or (name == "activation" and layer is RNN):
                continue
            shared = any((other, name) in used for other in (RNN, LSTM, GRU))
            own = name in ("nonlinearity", "reset", "peephole", "proj_size", "layer_norm")
            assert (layer, name) in used if own else shared, f"{layer.__name__} {name}"
    assert all(isinstance(v, Variant) for v in rows)
