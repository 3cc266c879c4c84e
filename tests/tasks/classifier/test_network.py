"""What the classifier hides in training, and how it makes vectors of forms."""

import math

import pytest
import torch
from torch import nn

from recurra.nn.token_embedding import TokenEmbedding
from recurra.tasks.classifier.network import Classifier, Forms


class Spy(nn.Module):
    """Stands in the place of layers, keeps what it reads, returns it."""

    input_size = output_size = 32
    num_directions = 1

    def forward(self, x, *, lengths):
        self.seen = x
        return x, None


def read(**noise):
    torch.manual_seed(0)
    spy = Spy()
    module = Classifier(spy, 3, pooling="mean", **noise).train()
    x = torch.rand(40, 50, 32) + 1  # nothing is zero
    lengths = torch.full((50,), 40)
    logits = module(x, lengths)
    return module, x, spy.seen, logits, lengths


def test_without_noise_the_input_comes_as_it_is():
    _, x, seen, _, _ = read()
    assert (seen == x).all()


def test_hidden_steps_are_hidden_whole_and_others_left_alone():
    _, x, seen, _, _ = read(token_dropout=0.3)
    hidden = (seen == 0).all(-1)
    assert (seen[~hidden] == x[~hidden]).all()
    assert hidden.float().mean() == pytest.approx(0.3, abs=0.03)
    assert 0 < hidden.float().mean(0).std() < 0.15  # drawn for each step of each sequence


def test_features_are_dropped_for_a_whole_sequence_and_the_rest_scaled():
    _, x, seen, _, _ = read(embedding_dropout=0.5)
    dropped = (seen == 0).all(0)
    assert (dropped == (seen == 0).any(0)).all()
    assert dropped.float().mean() == pytest.approx(0.5, abs=0.05)
    assert not (dropped[0] == dropped[1]).all()  # another mask for another sequence
    torch.testing.assert_close(seen[:, ~dropped], 2 * x[:, ~dropped])


def test_what_is_pooled_is_dropped_in_training_alone():
    module, x, _, logits, lengths = read(dropout=0.5, token_dropout=0.5, embedding_dropout=0.5)
    assert not torch.allclose(module(x, lengths), logits)
    module.eval()
    expected = module.head(x.mean(0))
    torch.testing.assert_close(module(x, lengths), expected)


def test_vectors_of_forms_by_hand():
    torch.manual_seed(0)
    table = TokenEmbedding(5, 4, grams=6).double()
    grams = [[0, 3], [], [5, 5, 1]]
    tokens = torch.tensor([2, 4, 0])
    flat = torch.tensor([gram for row in grams for gram in row])
    found = table(tokens, flat, torch.tensor([2, 0, 3]))
    for row, (token, own) in enumerate(zip(tokens, grams, strict=True)):
        total = table.weight[token] + sum((table.grams[g] for g in own), torch.zeros(4))
        torch.testing.assert_close(found[row], total / math.sqrt(len(own) + 1))
    found.square().sum().backward()
    assert (table.grams.grad[[2, 4]] == 0).all()
    assert (table.grams.grad[[0, 1, 3, 5]] != 0).any(1).all()


def test_forms_stand_at_their_places():
    table = TokenEmbedding(3, 32)
    module = Classifier(Spy(), 2, pooling="max", embedding=table).eval()
    nothing = torch.empty(0, dtype=torch.long)
    forms = Forms(
        torch.tensor([[0, 1], [1, 1], [1, 0]]), torch.tensor([2, 0]), nothing, torch.tensor([0, 0])
    )
    module(forms, torch.tensor([3, 3]))
    expected = table.weight[torch.tensor([[2, 0], [0, 0], [0, 2]])]
    assert (module.rnn.seen == expected).all()
