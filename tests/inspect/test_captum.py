"""Our layers with captum's attributions: `make captum`, which installs it beside .venv."""

import numpy as np
import pytest
import torch

from recurra import nn
from recurra.inspect import saliency

attr = pytest.importorskip("captum.attr", reason="captum is not installed: make captum")

CELLS = ("LSTM", "GRU", "RNN")


class Model(torch.nn.Module):
    """The output of the last step, from inputs (B, T, I)."""

    def __init__(self, library, cell):
        super().__init__()
        torch.manual_seed(0)
        self.rnn = getattr(library, cell)(3, 5, 2, batch_first=True).double()
        self.head = torch.nn.Linear(5, 4).double()

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def pair(cell):
    """Theirs and ours with the same weights."""
    theirs, ours = Model(torch.nn, cell), Model(nn, cell)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


X = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, 3)))
METHODS = {
    "Saliency": {},
    "InputXGradient": {},
    "IntegratedGradients": {"n_steps": 20},
    "Occlusion": {"sliding_window_shapes": (1, 3)},
    "FeatureAblation": {},
    "GradientShap": {"baselines": X * 0, "n_samples": 3},
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("method", METHODS)
def test_attributions_are_those_of_torchs_layers(cell, method):
    found = []
    for model in pair(cell):
        torch.manual_seed(1)
        np.random.seed(1)
        attribute = getattr(attr, method)(model).attribute
        given = X.clone().requires_grad_()
        found.append(attribute(given, target=1, **METHODS[method]).detach().numpy())
    np.testing.assert_allclose(found[1], found[0], atol=1e-10)
    assert np.abs(found[0]).max() > 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("method", ["LayerActivation", "LayerGradientXActivation"])
def test_layers_are_hooked(cell, method):
    found = []
    for model in pair(cell):
        made = getattr(attr, method)(model, model.head)
        options = {} if method == "LayerActivation" else {"target": 1}
        given = X.clone().requires_grad_()
        found.append(made.attribute(given, **options).detach().numpy())
    np.testing.assert_allclose(found[1], found[0], atol=1e-10)
    if cell != "LSTM":  # whose states are a tuple in a tuple, which captum takes of no library
        inside = attr.LayerActivation(model, model.rnn).attribute(X)
        assert torch.equal(inside[0], model.rnn(X)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_ours_is_captums_integrated_gradient(cell):
    layer = getattr(nn, cell)(3, 5, 2).double()
    x = X[0]
    mean = x.mean(0).expand_as(x)
    explained = attr.IntegratedGradients(lambda rows: layer(rows.transpose(0, 1))[0][-1].sum(-1))
    theirs = explained.attribute(x[None], baselines=mean[None], n_steps=32, method="riemann_middle")
    found = saliency(layer, x, method="integrated", back=6, double=True)
    np.testing.assert_allclose(found.values, theirs[0].sum(-1).detach().numpy(), atol=1e-9)
