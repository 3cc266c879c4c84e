"""torch's hooks on our layers give what they give on torch's."""

import pytest
import torch

from recurra import nn


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_hooks_see_and_change_what_they_do_on_torchs_layers(cell):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, cell)(3, 5, 2).double()
    ours = getattr(nn, cell)(3, 5, 2).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    seen = []
    for layer in (theirs, ours):
        layer.register_forward_pre_hook(lambda module, given: (given[0] * 2,))
        layer.register_forward_hook(lambda module, given, out: (out[0] + 1, out[1]))
        gradients: list[torch.Tensor] = []
        layer.register_full_backward_hook(lambda m, into, out, keep=gradients: keep.append(into[0]))
        own = x.clone().requires_grad_()
        outputs, _ = layer(own)
        outputs.square().sum().backward()
        seen.append((outputs.detach(), own.grad, gradients[0]))
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
