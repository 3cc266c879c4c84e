"""The CTC loss and its gradient against the walk over all paths."""

import numpy as np
import pytest
import torch

from ctc_paths import loss_and_gradient
from recurra.errors import InputError
from recurra.tasks.transcriber.network import ctc_losses, frames_needed

CASES, ROWS = 2000, 40


def draw(random):
    """A batch of ragged rows: empty targets, repetitions, too few frames, no frame."""
    C = int(random.integers(2, 5))
    lengths = random.integers(0, 6 if C < 4 else 5, ROWS)
    target_lengths = random.integers(0, 5, ROWS)
    targets = random.integers(1, C, (ROWS, 4))
    logits = random.normal(size=(max(lengths.max(), 1), ROWS, C)) * random.choice([0.1, 1, 4])
    return logits, targets, lengths, target_lengths


@pytest.mark.parametrize("seed", range(CASES // ROWS))
def test_losses_and_gradients_are_those_of_all_paths(seed):
    random = np.random.default_rng(seed)
    logits, targets, lengths, target_lengths = draw(random)
    x = torch.tensor(logits, requires_grad=True)
    losses, possible = ctc_losses(
        x, torch.tensor(targets), torch.tensor(lengths), torch.tensor(target_lengths)
    )
    weights = torch.tensor(random.normal(size=ROWS))
    (losses * weights).sum().backward()
    for row in range(ROWS):
        target = targets[row, : target_lengths[row]] - 1
        T = lengths[row]
        loss, gradient = loss_and_gradient(logits[:T, row], target)
        assert possible[row] == np.isfinite(loss)
        expected = np.zeros_like(logits[:, row])
        if gradient is not None:
            assert losses[row].item() == pytest.approx(loss, rel=1e-9, abs=1e-9)
            expected[:T] = gradient * weights[row].item()
        else:
            assert losses[row].item() == 0
        np.testing.assert_allclose(x.grad[:, row].numpy(), expected, rtol=1e-7, atol=1e-9)


def test_all_kinds_of_rows_are_among_the_cases():
    counts = dict.fromkeys(["impossible", "empty", "repeated", "frameless", "plain"], 0)
    for seed in range(CASES // ROWS):
        _, targets, lengths, sizes = draw(np.random.default_rng(seed))
        needed = frames_needed(torch.tensor(targets), torch.tensor(sizes)).numpy()
        counts["impossible"] += int((needed > lengths).sum())
        counts["empty"] += int(((sizes == 0) & (lengths > 0)).sum())
        counts["frameless"] += int((lengths == 0).sum())
        counts["repeated"] += int(((needed > sizes) & (needed <= lengths)).sum())
        counts["plain"] += int(((needed == sizes) & (sizes > 0) & (sizes <= lengths)).sum())
    assert min(counts.values()) >= 100, counts


@pytest.mark.parametrize(
    ("target", "needed"), [([], 0), ([1], 1), ([1, 2], 2), ([1, 1], 3), ([2, 2, 2, 1], 6)]
)
def test_frames_needed(target, needed):
    padded = torch.tensor([target + [1] * (5 - len(target))])
    assert frames_needed(padded, torch.tensor([len(target)])).item() == needed


def test_what_stands_in_the_padding_does_not_count():
    torch.manual_seed(0)
    logits = torch.randn(6, 2, 4)
    lengths, sizes = torch.tensor([6, 4]), torch.tensor([3, 2])
    first = ctc_losses(logits, torch.tensor([[1, 2, 3], [2, 2, 2]]), lengths, sizes)[0]
    logits[4:, 1] = float("nan")
    second = ctc_losses(logits, torch.tensor([[1, 2, 3], [2, 2, 3]]), lengths, sizes)[0]
    assert first.tolist() == second.tolist()


def test_a_long_row_in_float32_is_finite_and_close_to_float64():
    torch.manual_seed(0)
    logits = torch.randn(2000, 1, 30) * 5
    target, size = torch.randint(1, 30, (1, 200)), torch.tensor([200])
    found = [
        ctc_losses(logits.to(dtype), target, torch.tensor([2000]), size)[0].item()
        for dtype in (torch.float32, torch.float64)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="B = 2"):
        ctc_losses(
            torch.zeros(3, 2, 4), torch.ones(1, 2).long(), torch.tensor([3]), torch.tensor([2])
        )
