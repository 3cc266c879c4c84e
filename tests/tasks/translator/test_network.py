"""The encoder-decoder: its losses against the definition, and what may not leak into them."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.tasks.translator.network import EncoderDecoder
from runtime.translators import TARGET, made, sources
from tolerances import assert_close

V = len(TARGET)


def batch(seed=0, targets=V):
    source, lengths = sources(seed)
    random = np.random.default_rng(seed + 1)
    sizes = random.integers(1, 7, len(source))
    wanted = random.integers(0, targets, (len(source), 6))
    inputs = np.concatenate((np.ones((len(source), 1), int), wanted[:, :-1]), axis=1)
    counted = np.arange(6) < sizes[:, None]
    read = np.where(inputs < V, inputs, 0)
    return [torch.from_numpy(a) for a in (source, lengths, read, wanted, counted)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": 3, "tied": True},
        {"cell": "gru", "shared": True, "tied": True},
        {"shared": True},
    ],
    ids=str,
)
def test_losses_are_cross_entropy(settings, smoothing):
    module, _, _ = made(**settings)
    source, lengths, inputs, targets, counted = batch()
    steps = module(source, lengths, inputs)
    logits = functional.linear(steps.features, module.head.weight, module.head.bias)
    wanted = functional.cross_entropy(
        logits.flatten(0, 1), targets.T.flatten(), reduction="none", label_smoothing=smoothing
    )
    wanted = wanted.view(targets.T.shape).T * counted
    found = module.losses(source, lengths, inputs, targets, counted=counted, smoothing=smoothing)
    assert_close(found, wanted, "losses")
    ours, theirs = (
        torch.autograd.grad(loss.sum(), list(module.parameters()), retain_graph=True)
        for loss in (found, wanted)
    )
    for (name, _), one, other in zip(module.named_parameters(), ours, theirs, strict=True):
        assert_close(one, other, name)


def test_losses_of_copies_are_the_mixture():
    """P = (1 - p) P(written) + p Σ attention where the source has the token (See et al. 2017)."""
    module, _, _ = made(copy=True, layers=2)
    source, lengths, inputs, targets, counted = batch(targets=V + 3)
    copied = torch.from_numpy(np.random.default_rng(5).integers(0, V + 3, source.shape))
    steps = module(source, lengths, inputs)
    written = functional.linear(steps.features, module.head.weight, module.head.bias).softmax(-1)
    share = torch.sigmoid(steps.copy)
    found = module.losses(source, lengths, inputs, targets, counted=counted, copied=copied)
    for b in range(len(source)):
        for t in range(targets.shape[1]):
            mixed = torch.zeros(V + 3)
            mixed[:V] = (1 - share[t, b]) * written[t, b]
            for s in range(int(lengths[b])):
                mixed[copied[b, s]] += share[t, b] * steps.weights[t, b, s]
            assert mixed.sum().item() == pytest.approx(1, abs=1e-5)
            wanted = -mixed[targets[b, t]].log() if counted[b, t] else torch.tensor(0.0)
            if torch.isfinite(wanted):
                assert found[b, t].item() == pytest.approx(wanted.item(), abs=1e-4)
            else:  # neither written nor copied: as good as impossible, yet a number
                assert 50 < found[b, t].item() < 1e4
    found.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("settings", [{}, {"copy": True, "attention": "additive", "layers": 2}])
def test_a_step_sees_nothing_of_what_comes_after_it(settings):
    module, _, _ = made(**settings)
    source, lengths, inputs, _, _ = batch()
    before = module(source, lengths, inputs).features
    inputs[:, 3:] = (inputs[:, 3:] + 1) % V
    after = module(source, lengths, inputs).features
    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3:], after[3:])


def test_a_pair_does_not_depend_on_its_neighbours_or_on_padding():
    module, _, _ = made(layers=2)
    source, lengths, inputs, targets, counted = batch()
    whole = module.losses(source, lengths, inputs, targets, counted=counted)
    source = torch.where(torch.arange(5) < lengths[:, None], source, 3)
    assert_close(
        module.losses(source, lengths, inputs, targets, counted=counted), whole, "other padding"
    )
    for b in range(len(source)):
        row = slice(b, b + 1)
        short = source[row, : int(lengths[b])]
        alone = module.losses(short, lengths[row], inputs[row], targets[row], counted=counted[row])
        assert_close(alone, whole[row], f"pair {b}")


def test_the_source_is_used_from_its_first_token_to_its_last():
    module, _, _ = made(layers=2)
    source, lengths, inputs, targets, counted = batch()
    before = module.losses(source, lengths, inputs, targets, counted=counted).detach()
    for s in range(source.shape[1]):
        other = source.clone()
        other[:, s] = (other[:, s] + 1) % 9
        after = module.losses(other, lengths, inputs, targets, counted=counted).detach()
        changed = (after != before).any(1)
        assert torch.equal(changed, s < lengths)


def test_sizes_that_do_not_fit_are_told():
    encoder, decoder = Recurrent("gru", 4, 5), Recurrent("gru", 4, 5)
    with pytest.raises(InputError, match="layers that read 10 features, received 4"):
        EncoderDecoder(9, 9, encoder, decoder, decoder, score="general", embedding=4, features=5)
    with pytest.raises(InputError, match="shared needs one vocabulary"):
        EncoderDecoder(
            8, 9, encoder, decoder, None, score="general", embedding=4, features=5, shared=True
        )
    with pytest.raises(InputError, match="as wide as the output"):
        EncoderDecoder(
            9, 9, encoder, decoder, None, score="general", embedding=4, features=5, tied=True
        )
