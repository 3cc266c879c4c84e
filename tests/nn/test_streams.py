"""State is a value: any chunks of a stream are the whole, any order of a batch is the batch."""

import pytest
import torch

from nn.variants import CELLS, LOOPS, H, I, as_hx, as_tuple, draw, paths, states_of
from recurra.nn import GRU, LSTM, detach, fork, select
from tolerances import assert_all_close, assert_close

B, T = 3, 9
CUTS = [[1] * T, [0, 4, 0, 5, 0], [8, 1], [2, 3, 4]]
ONE_WAY = [v for v in CELLS + LOOPS if not {"bidirectional", "reverse"} & set(v.arguments)]


def random_cuts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(4)
    ends = [torch.randint(0, T + 1, (5,), generator=generator).sort().values for _ in range(3)]
    return [
        torch.diff(e, prepend=torch.tensor([0]), append=torch.tensor([T])).tolist() for e in ends
    ]


@pytest.mark.parametrize("variant", ONE_WAY, ids=str)
def test_chunks_are_the_whole(variant):
    """A layer that reads from the end takes its chunks from the end, too."""
    valid = draw(T, B, seed=3) > -0.3
    way = -1 if variant.arguments.get("reverse") else 1
    for path, module in paths(variant):
        x, hx = draw(T, B, I), as_hx(states_of(module, B))
        for mask in (None, valid):
            whole, ended = module(x, hx, mask=mask)
            for cuts in CUTS + random_cuts():
                state, outputs = hx, []
                masks = [None] * len(cuts) if mask is None else mask.split(cuts)
                for part, here in list(zip(x.split(cuts), masks, strict=True))[::way]:
                    chunk, state = module(part, state, mask=here)
                    outputs.append(chunk)
                case = f"{variant} {path} chunks {cuts}"
                assert_close(torch.cat(outputs[::way]), whole, case)
                assert_all_close(as_tuple(state), as_tuple(ended), f"{case}: states")


@pytest.mark.parametrize("variant", [v for v in LOOPS if v.arguments.get("bidirectional")], ids=str)
def test_an_empty_chunk_leaves_the_state(variant):
    for path, module in paths(variant):
        hx = as_hx(states_of(module, B))
        outputs, state = module(draw(0, B, I), hx)
        assert outputs.shape == (0, B, module.output_size), f"{variant} {path}"
        assert_all_close(as_tuple(state), as_tuple(hx), f"{variant} {path}")


@pytest.mark.parametrize("variant", CELLS + LOOPS, ids=str)
def test_order_of_the_batch_does_not_matter(variant):
    order = torch.tensor([2, 0, 1])
    valid = draw(T, B, seed=3) > 0
    for path, module in paths(variant):
        x, hx = draw(T, B, I), as_hx(states_of(module, B))
        for mask in (None, valid):
            outputs, state = module(x, hx, mask=mask)
            turned = None if mask is None else mask[:, order]
            found, ended = module(x[:, order], select(hx, order), mask=turned)
            assert_close(found, outputs[:, order], f"{variant} {path}")
            expected = as_tuple(select(state, order))
            assert_all_close(as_tuple(ended), expected, f"{variant} {path}: states")


def test_final_states_are_the_last_outputs():
    for variant in CELLS:
        for path, module in paths(variant):
            outputs, state = module(draw(T, B, I))
            assert_close(as_tuple(state)[0][0], outputs[-1], f"{variant} {path}")
    for _, module in paths(next(v for v in LOOPS if v.arguments.get("bidirectional"))):
        outputs, state = module(draw(T, B, I))
        assert_close(state[-2], outputs[-1, :, :H], "top layer forward")
        assert_close(state[-1], outputs[0, :, H:], "top layer backward")


def test_no_batch_at_all():
    for variant in CELLS:
        for path, module in paths(variant):
            outputs, state = module(draw(T, 0, I))
            assert outputs.shape == (T, 0, module.output_size), f"{variant} {path}"
            assert as_tuple(state)[0].shape == (1, 0, module.state_sizes[0]), f"{variant} {path}"


def test_detach_cuts_the_graph_and_keeps_the_values():
    for layer in (LSTM, GRU):
        _, state = layer(I, H)(torch.randn(T, B, I))
        cut = detach(state)
        assert type(cut) is type(state)
        for one, other in zip(as_tuple(cut), as_tuple(state), strict=True):
            assert other.requires_grad
            assert not one.requires_grad
            assert torch.equal(one, other)


def test_truncated_gradients_stop_at_the_cut():
    module = LSTM(I, H, dtype=torch.float64)
    first, second = draw(T, B, I).requires_grad_(), draw(T, B, I, seed=1).requires_grad_()
    _, state = module(first)
    module(second, detach(state))[0].sum().backward()
    assert first.grad is None
    assert second.grad is not None
    _, state = module(first)
    module(second, state)[0].sum().backward()
    assert first.grad.abs().sum() > 0


def test_select_and_fork():
    h, c = draw(2, B, 4), draw(2, B, 3, seed=1)
    for rows in (
        torch.tensor([2, 0]),
        torch.tensor([1, 1, 1]),
        [0, 2],
        torch.tensor([], dtype=int),
    ):
        found = select((h, c), rows)
        assert isinstance(found, tuple)
        for one, state in zip(found, (h, c), strict=True):
            assert one.shape == (2, len(rows), state.shape[-1])
            for k, row in enumerate(rows):
                assert torch.equal(one[:, k], state[:, row])
    assert torch.equal(select(h, torch.tensor([1])), h[:, 1:2])
    forked = fork((h, c), 2)
    for one, state in zip(forked, (h, c), strict=True):
        assert torch.equal(one, torch.stack([state[:, b // 2] for b in range(2 * B)], dim=1))


def test_forked_streams_go_their_own_way():
    module = GRU(I, H, dtype=torch.float64)
    _, state = module(draw(T, 1, I))
    following = draw(4, 3, I, seed=8)
    together, _ = module(following, fork(state, 3))
    for b in range(3):
        alone, _ = module(following[:, b : b + 1], state)
        assert_close(together[:, b : b + 1], alone, f"stream {b}")
