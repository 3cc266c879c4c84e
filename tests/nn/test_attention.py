"""Attention against its equations, step by step over numpy."""

import numpy as np
import pytest
import torch

from recurra.errors import InputError
from recurra.nn.attention import SCORES, Attention
from tolerances import assert_close

T, S, B, Q, M = 4, 5, 3, 6, 7


def made(score, dtype=torch.float32):
    torch.manual_seed(0)
    layer = Attention(score, Q, Q if score == "dot" else M, hidden=None if score == "dot" else 8)
    return (
        layer.to(dtype),
        torch.randn(T, B, Q, dtype=dtype),
        torch.randn(S, B, layer.memory_size, dtype=dtype),
    )


def energy(layer, q, m):
    """How a query (Q) and a step of the memory (M) go together."""
    weights = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
    if layer.score == "dot":
        return q @ m
    if layer.score == "general":
        return q @ (weights["key.weight"] @ m)
    inner = weights["query.weight"] @ q + weights["key.weight"] @ m + weights["key.bias"]
    return weights["energy"] @ np.tanh(inner)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("lengths", [None, [5, 2, 1], [5, 0, 3]], ids=str)
def test_it_is_the_equations(score, lengths):
    layer, queries, memory = made(score)
    valid = None if lengths is None else torch.arange(S)[:, None] < torch.tensor(lengths)
    contexts, weights = layer(queries, memory, valid=valid)
    assert (contexts.shape, weights.shape) == ((T, B, layer.memory_size), (T, B, S))
    for b in range(B):
        steps = S if lengths is None else lengths[b]
        for t in range(T):
            q, m = queries[t, b].numpy(), memory[:steps, b].numpy()
            wanted = np.zeros(S, np.float32)
            if steps:
                scores = np.exp([energy(layer, q, step) for step in m])
                wanted[:steps] = scores / scores.sum()
            assert_close(weights[t, b], wanted, f"weights {t} {b}")
            assert_close(contexts[t, b], wanted[:steps] @ m, f"context {t} {b}")


@pytest.mark.parametrize("score", SCORES)
def test_gradients_are_those_of_finite_differences(score):
    layer, queries, memory = made(score, torch.float64)
    valid = torch.arange(S)[:, None] < torch.tensor([5, 2, 0])
    leaves = (queries.requires_grad_(), memory.requires_grad_())
    assert torch.autograd.gradcheck(lambda q, m: layer(q, m, valid=valid)[0], leaves)


def test_what_is_behind_the_end_does_not_count():
    layer, queries, memory = made("additive")
    valid = torch.arange(S)[:, None] < torch.tensor([5, 2, 1])
    before = layer(queries, memory, valid=valid)[0]
    memory[~valid] = 1e6
    assert torch.equal(layer(queries, memory, valid=valid)[0], before)


def test_mistakes_are_told():
    with pytest.raises(InputError, match="score must be one of additive, general, dot"):
        Attention("cosine", 3, 3)
    with pytest.raises(InputError, match="as wide as the memory"):
        Attention("dot", 3, 4)
    layer, queries, memory = made("general")
    for q, m, valid in [
        (queries, memory[:, :2], None),
        (queries[..., :2], memory, None),
        (queries, memory, torch.ones(S, 2, dtype=torch.bool)),
    ]:
        with pytest.raises(InputError, match="expected queries"):
            layer(q, m, valid=valid)
