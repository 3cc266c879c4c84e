"""Masked is each sequence alone: outputs, states and gradients; padding is never read."""

import pytest
import torch

from nn.variants import CELLS, LOOPS, H, I, as_hx, as_tuple, draw, gradients, paths, states_of
from recurra.errors import InputError
from recurra.nn import GRU, LSTM
from tolerances import assert_all_close, assert_close

B, T = 6, 5
#: By hand: whole, right padding, left padding, gap, empty, one step in the middle.
PATTERNS = torch.tensor(
    [
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1],
        [1, 0, 0, 1, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
    ],
    dtype=torch.bool,
).T
MASKS = {
    "patterns": PATTERNS,
    "random": draw(T, B, seed=5) > 0,
    "all": torch.ones(T, B, dtype=torch.bool),
    "none": torch.zeros(T, B, dtype=torch.bool),
}


def alone(module, x, states, mask):
    """Each sequence by itself, without the steps that do not count; zeros there."""
    outputs, ended = x.new_zeros(T, B, module.output_size), []
    for b in range(B):
        steps = mask[:, b]
        own = tuple(s[:, b : b + 1] for s in states)
        if steps.any():
            found, own = module(x[steps, b : b + 1], as_hx(own))
            outputs = outputs.index_put((steps.nonzero().flatten(), torch.tensor(b)), found[:, 0])
        ended.append(as_tuple(own))
    return outputs, tuple(torch.cat(s, dim=1) for s in zip(*ended, strict=True))


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
def test_masked_is_each_alone(variant):
    for path, module in paths(variant):
        for name, mask in MASKS.items():
            x = draw(T, B, I).requires_grad_()
            states = tuple(s.requires_grad_() for s in states_of(module, B))
            leaves = [x, *states, *module.parameters()]
            expected, expected_states = alone(module, x, states, mask)
            outputs, final = module(x, as_hx(states), mask=mask)
            case = f"{variant} {path} {name}"
            assert_close(outputs, expected, case)
            assert_all_close(as_tuple(final), expected_states, f"{case}: states")
            assert not outputs[~mask].any(), case
            found = gradients([outputs, *as_tuple(final)], leaves)
            wanted = gradients([expected, *expected_states], leaves)
            assert_all_close(found, wanted, f"{case}: gradients")


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_what_stands_in_the_padding_is_never_read(variant, spoil):
    for path, module in paths(variant):
        for name, mask in MASKS.items():
            results = []
            for filler in (0.0, spoil):
                x = draw(T, B, I).masked_fill(~mask[..., None], filler).requires_grad_()
                hx = as_hx(states_of(module, B))
                outputs, final = module(x, hx, mask=mask)
                flat = [outputs, *as_tuple(final)]
                if not outputs.requires_grad:  # nothing was computed
                    results.append(flat)
                    continue
                results.append(flat + gradients(flat, [x, *module.parameters()]))
            assert_all_close(results[1], results[0], f"{variant} {path} {name}")


def test_lengths_are_masks_of_right_padding():
    lengths = torch.tensor([5, 0, 3, 1, 4, 2])
    mask = torch.arange(T)[:, None] < lengths
    for variant in CELLS + LOOPS:
        for path, module in paths(variant):
            for given in (lengths, lengths.tolist(), lengths.int()):
                outputs, final = module(draw(T, B, I), lengths=given)
                expected, ended = module(draw(T, B, I), mask=mask)
                assert_close(outputs, expected, f"{variant} {path}")
                assert_all_close(as_tuple(final), as_tuple(ended), f"{variant} {path}: states")


def test_layouts_of_a_mask():
    for variant in CELLS:
        for (path, module), (_, first) in zip(
            paths(variant), paths(variant, batch_first=True), strict=True
        ):
            x = draw(T, B, I)
            expected, _ = module(x, mask=PATTERNS)
            outputs, _ = first(x.transpose(0, 1), mask=PATTERNS.T)
            assert_close(outputs, expected.transpose(0, 1), f"{variant} {path} batch first")
            outputs, _ = module(x[:, 3], mask=PATTERNS[:, 3])
            assert_close(outputs, expected[:, 3], f"{variant} {path} unbatched")
            outputs, _ = module(x[:, 1], lengths=torch.tensor(2))
            assert_close(outputs, expected[:, 1], f"{variant} {path} unbatched length")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"mask": torch.ones(B, T, dtype=torch.bool)},
            r"boolean mask of shape \(5, 6\), received bool \(6, 5\)",
        ),
        ({"mask": torch.ones(T, B)}, r"boolean mask of shape \(5, 6\), received float32"),
        ({"lengths": torch.tensor([1, 2])}, r"one integer length for each of 6 .*int64 \(2,\)"),
        (
            {"lengths": torch.ones(B)},
            "one integer length for each of 6 sequences, received float32",
        ),
        ({"lengths": torch.tensor([6, 1, 1, 1, 1, 1])}, "lengths from 0 to 5, received 1 to 6"),
        ({"lengths": torch.tensor([-1, 1, 1, 1, 1, 1])}, "lengths from 0 to 5, received -1 to 1"),
        (
            {"lengths": torch.ones(B, dtype=int), "mask": PATTERNS},
            "lengths or a mask, received both",
        ),
    ],
)
def test_masks_that_do_not_fit(given, message):
    with pytest.raises(InputError, match=f"^LSTM: .*{message}") as caught:
        LSTM(I, H)(torch.randn(T, B, I), **given)
    assert "\n" not in str(caught.value)


def test_a_packed_sequence_has_its_lengths():
    packed = torch.nn.utils.rnn.pack_sequence([torch.randn(3, I)])
    with pytest.raises(InputError, match="a packed sequence alone"):
        GRU(I, H)(packed, lengths=torch.tensor([3]))
