"""A character-level language model, with nothing hidden: read this file from top to bottom.

    python examples/char_rnn.py input.txt

It learns to predict the next character of a text (Karpathy 2015, "The Unreasonable Effectiveness
of Recurrent Neural Networks"), and then writes some. `recurra train lm` does the same with more
options and checkpoints; here every step of it can be seen and changed.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from recurra.nn import LSTM

B, T = 32, 64  # streams side by side; steps that the gradient travels back


class CharRNN(nn.Module):
    """Embedding, one LSTM, and a linear layer that gives a logit to each of V characters."""

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.lstm = LSTM(64, hidden)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, ids, state=None):
        """Read ids (T, B) from a state (h, c); return logits (T, B, V) and the new state."""
        outputs, state = self.lstm(self.embedding(ids), state)
        return self.head(outputs), state


def cut_streams(ids, streams):
    """Lay a text of N characters out as (N / streams, streams): each column is a part of it."""
    length = len(ids) // streams
    return ids[: length * streams].view(streams, length).T


def mean_loss(logits, targets):
    """-ln P(target), averaged over all characters: nats per character."""
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


@torch.no_grad()
def validate(model, ids):
    """Return the nats per character of a text the model has not learnt from."""
    model.eval()
    total, state = 0.0, None
    streams = cut_streams(ids, min(B, len(ids) // 2))
    for start in range(0, len(streams) - 1, T):
        inputs = streams[start : min(start + T, len(streams) - 1)]
        targets = streams[start + 1 : start + 1 + len(inputs)]
        logits, state = model(inputs, state)
        total += mean_loss(logits, targets).item() * len(inputs)
    model.train()
    return total / (len(streams) - 1)


def train(model, train_ids, valid_ids, *, steps, every):
    """Truncated back-propagation through time: the state is carried on, the gradient is not."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    streams = cut_streams(train_ids, B)
    place, state, losses = 0, None, []
    for step in range(1, steps + 1):
        if place + 1 >= len(streams):  # the end of the text: once more from its beginning
            place, state = 0, None
        inputs = streams[place : min(place + T, len(streams) - 1)]
        targets = streams[place + 1 : place + 1 + len(inputs)]
        place += len(inputs)

        logits, state = model(inputs, state)
        state = tuple(s.detach() for s in state)  # the next segment's gradient stops here
        loss = mean_loss(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # gradients through time can explode
        optimizer.step()

        losses.append(loss.item())
        if step % every == 0 or step == steps:
            recent = sum(losses[-every:]) / len(losses[-every:])
            valid = validate(model, valid_ids)
            print(f"step {step:5}  train {recent:.3f}  validation {valid:.3f} nats per character")
    return losses


@torch.no_grad()
def sample(model, characters, *, length, temperature):
    """Write text: read one character, draw the next from what the model expects, repeat."""
    model.eval()
    id, state, text = torch.tensor([[0]]), None, ""
    for _ in range(length):
        logits, state = model(id, state)  # the state is all the model knows of what it wrote
        probabilities = torch.softmax(logits[-1, 0] / temperature, dim=-1)
        id = torch.multinomial(probabilities, 1).view(1, 1)
        text += characters[int(id)]
    return text


def main(argv=None):
    """Read a text, learn from nine tenths of it, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the text to learn from (UTF-8)")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--hidden", type=int, default=256, help="units of the LSTM")
    parser.add_argument("--every", type=int, default=100, help="steps between validations")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)

    torch.manual_seed(options.seed)
    text = options.file.read_text(encoding="utf-8")
    characters = sorted(set(text))
    number = {character: id for id, character in enumerate(characters)}
    ids = torch.tensor([number[character] for character in text])
    cut = len(ids) * 9 // 10
    if cut < 2 * B:
        parser.error(f"{options.file}: {len(text)} characters are too few: give {3 * B} or more")
    print(f"{len(text):,} characters, {len(characters)} different ones; ", end="")
    print(f"guessing costs {math.log(len(characters)):.3f} nats per character")

    model = CharRNN(len(characters), options.hidden)
    losses = train(model, ids[:cut], ids[cut:], steps=options.steps, every=options.every)
    print(sample(model, characters, length=500, temperature=0.8))
    return losses


if __name__ == "__main__":
    main()
