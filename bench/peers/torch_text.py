"""Text written by the same language model in torch, in the loop one would write."""

import json
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.peers import Forms, Job, threads
from bench.work import Numbers, Text


def forms(spec: dict) -> Forms:
    """Return the loop with `nn.LSTM` and with `nn.LSTMCell`, on one thread and on all."""
    found: Forms = {}
    for count in sorted({1, threads()}):
        for name in ("LSTM", "LSTMCell"):
            label = f"nn.{name}, {count} thread{'s' if count > 1 else ''}"
            found[label] = partial(_job, Text(**spec), getattr(nn, name), count)
    return found


class Model(nn.Module):
    """Embedding, one layer, head; `cell` is the class of the layer."""

    def __init__(self, cell: type[nn.Module], path: Path) -> None:
        super().__init__()
        tensors = load_file(path / "model.safetensors")
        symbols, features = tensors["embedding.weight"].shape
        self.embedding = nn.Embedding(symbols, features)
        self.rnn = cell(features, tensors["rnn.weight_hh_l0"].shape[1])
        self.head = nn.Linear(self.rnn.hidden_size, symbols)
        suffix = "_l0" if cell is nn.LSTMCell else ""
        self.load_state_dict({n.removesuffix(suffix): v for n, v in tensors.items()})

    def forward(self, token: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        """Return the logits (1, V) of the token after `token` (1,), and the state."""
        found = self.rnn(self.embedding(token), state)
        if isinstance(self.rnn, nn.LSTMCell):
            return self.head(found[0]), found
        return self.head(found[0]), found[1]


def _job(text: Text, cell: type[nn.Module], count: int) -> Job:
    path = Path(text.model)
    model = Model(cell, path).eval()
    ids = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    symbols = {number: symbol for symbol, number in ids.items()}

    def write(characters: int, greedy: bool) -> str:
        torch.set_num_threads(count)
        state, written = None, []
        with torch.inference_mode():
            for symbol in text.prompt:
                logits, state = model(torch.tensor([ids[symbol]]), state)
            while True:
                if greedy:
                    token = logits.argmax(-1)
                else:
                    values, likely = torch.topk(logits[0] / text.temperature, text.top_k)
                    token = likely[torch.multinomial(torch.softmax(values, -1), 1)]
                written.append(symbols[token.item()])
                if len(written) == characters:
                    return "".join(written)
                logits, state = model(token, state)

    def result() -> Numbers:
        return text.numbers(write(text.compared, True))

    return Job(lambda: write(text.characters, False), result)
