"""The Transformer beside the translator: it is one, it learns, and is held to equal terms."""

import numpy as np
import pytest
import torch
from torch import nn

from recurra.baselines import Budget, compare
from recurra.baselines.translator.transformer import TransformerTranslator
from recurra.baselines.translator.transformer_network import TransformerEncoderDecoder, width_for
from recurra.errors import InputError
from recurra.storage import read_model
from tasks.translator.test_task import LETTERS, reversals
from tolerances import assert_close

V, D = 11, 16


def made(**settings):
    torch.manual_seed(0)
    return TransformerEncoderDecoder(9, V, D, 2, heads=2, **settings).eval()


def batch():
    random = np.random.default_rng(0)
    lengths = torch.tensor([4, 1, 3])
    return (
        torch.from_numpy(random.integers(0, 9, (3, 4))),
        lengths,
        torch.from_numpy(random.integers(0, V, (3, 5))),
    )


def test_a_layer_is_torchs():
    """torch.nn's decoder layer, norm first, with the same weights."""
    module, judge = made(), nn.TransformerDecoderLayer(D, 2, 4 * D, batch_first=True,
                                                       norm_first=True).eval()  # fmt: skip
    layer = module.decoder[0]
    with torch.no_grad():
        for ours, theirs in ((layer.own, judge.self_attn), (layer.across, judge.multihead_attn)):
            theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.both.weight)))
            theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, ours.both.bias)))
            theirs.out_proj.load_state_dict(ours.output.state_dict())
        judge.linear1.load_state_dict(layer.up.state_dict())
        judge.linear2.load_state_dict(layer.down.state_dict())
        x, memory = torch.randn(3, 5, D), torch.randn(3, 4, D)
        valid = torch.arange(4)[None] < torch.tensor([4, 1, 3])[:, None]
        before = torch.ones(5, 5, dtype=torch.bool).tril()
        found, _ = layer(x, before, None, layer.across.keys(memory), valid[:, None, None])
        wanted = judge(x, memory, tgt_mask=~before, memory_key_padding_mask=~valid)
    assert_close(found, wanted, "layer")


def test_step_by_step_is_all_at_once():
    module, (source, lengths, inputs) = made(), batch()
    with torch.no_grad():
        whole = module(source, lengths, inputs)
        cache = module.start(source, lengths)
        for t in range(inputs.shape[1]):
            x, cache = module.read(inputs[:, t : t + 1], cache)
            assert_close(x[:, 0], whole[:, t], f"step {t}")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_are_cross_entropy(smoothing):
    module, (source, lengths, inputs) = made(), batch()
    targets = inputs.flip(1)
    counted = torch.arange(5)[None] < torch.tensor([5, 2, 4])[:, None]
    logits = module.logits(module(source, lengths, inputs))
    wanted = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=smoothing
    )
    found = module.losses(source, lengths, inputs, targets, counted=counted, smoothing=smoothing)
    assert_close(found, wanted.view(3, 5) * counted, "losses")


@pytest.mark.parametrize("shared", [False, True])
def test_it_has_as_many_parameters_as_it_may(shared):
    for width in (16, 64):
        sizes = {"source": V, "target": V, "shared": shared, "layers": 2, "heads": 2}
        module = TransformerEncoderDecoder(V, V, width, 2, heads=2, shared=shared)
        count = sum(p.numel() for p in module.parameters())
        assert [width_for(count + more, **sizes) for more in (-500, 0, 500)] == [width] * 3
    with pytest.raises(InputError, match="a width that 4 divides, received 6"):
        TransformerEncoderDecoder(V, V, 6, 2, heads=2)


def test_it_learns_and_is_saved(tmp_path):
    pairs = [(a + b, b + a) for a in "abcdefgh" for b in "abcdefgh"]
    rival = TransformerTranslator(**LETTERS, epochs=70, batch=16, lr=0.005, label_smoothing=0.0)
    with pytest.raises(InputError, match="not trained yet"):
        rival.predict("ab")
    rival.fit(pairs, valid=pairs[:10], budget=Budget(parameters=50_000))
    assert rival.parameters == pytest.approx(50_000, rel=0.1)
    assert rival.evaluate(pairs).wrong <= 0.1
    best = rival.predict("ab", beams=3, n_best=2)
    assert (best.text, len(best.others)) == ("ba", 1)
    files = read_model(rival.save(tmp_path / "model"))
    assert files.config["task"] == "transformer_translator"
    assert sum(t.size for t in files.tensors.values()) == rival.parameters


def test_they_are_compared(tmp_path):
    pairs = reversals(150)
    found = compare(
        "translate",
        pairs[:100],
        valid=pairs[100:110],
        test=pairs[110:],
        epochs=1,
        hidden=24,
        **LETTERS,
    )
    assert {result.model for result in found.results} == {"lstm", "transformer"}
    for result in found.results:
        assert set(result.figures) == {"bleu", "chrf", "error_rate", "wrong"}
        assert min(result.parameters, result.seconds, result.latency, result.size) > 0
    assert found.plot(tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
