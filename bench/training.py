"""Training a language model: `LanguageModel.fit` against the same model written by hand in torch.

Both run in one process, in turn, on the same text, sizes, optimizer and number of steps; the ratio
is taken pair by pair, so that a drift of the machine's speed does not count.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from recurra import LanguageModel

#: Characters of the text, V: there is nothing to learn in it, but as much to do.
TEXT, SYMBOLS = 400_000, 65
STEPS, ROUNDS = 60, 7
SIZES = {  # hidden, embedding, batch, bptt
    "char, 256 units": (256, 128, 32, 64),
    "char, 512 units": (512, 128, 32, 64),
}


def measure() -> list[dict[str, object]]:
    """Return a row for each size: tokens per second of both, and the median ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        ids = torch.randint(SYMBOLS, (TEXT,), generator=torch.Generator().manual_seed(0))
        path.write_text("".join(chr(0x4E00 + i) for i in ids.tolist()), encoding="utf-8")
        return [_compare(name, path, ids, *sizes) for name, sizes in SIZES.items()]


def _compare(
    name: str, path: Path, ids: torch.Tensor, hidden: int, embedding: int, batch: int, bptt: int
) -> dict[str, object]:
    by_hand = _by_hand(ids, hidden, embedding, batch, bptt)
    ours = _ours(path, hidden, embedding, batch, bptt)
    rates: list[tuple[float, float]] = []
    for turn in range(ROUNDS + 1):
        pair = (ours(), by_hand()) if turn % 2 else (by_hand(), ours())[::-1]
        if turn:  # the first round warms up
            rates.append(pair)
    return {
        "what": f"training, {name}",
        "unit": "tokens/s",
        "recurra": round(statistics.median(r[0] for r in rates)),
        "torch by hand": round(statistics.median(r[1] for r in rates)),
        "ratio": round(statistics.median(r[0] / r[1] for r in rates), 3),
    }


def _ours(path: Path, hidden: int, embedding: int, batch: int, bptt: int) -> Callable[[], float]:
    def run() -> float:
        times: list[float] = []

        class Watch:
            def on_start(self, event: object) -> None: ...
            def on_step(self, event: object) -> None:
                times.append(time.perf_counter())

            def on_validation(self, event: object) -> None: ...
            def on_end(self, result: object) -> None: ...

        model = LanguageModel(hidden=hidden, embedding=embedding)
        model.fit(
            path,
            steps=STEPS + 5,
            batch=batch,
            bptt=bptt,
            valid_share=0.01,
            eval_every=STEPS + 5,
            callbacks=(Watch(),),
            progress=False,
        )
        # From the fifth step to the last but one: without set-up and the validation at the end.
        return (len(times) - 6) * batch * bptt / (times[-2] - times[4])

    return run


class _Model(nn.Module):
    """What one would write."""

    def __init__(self, hidden: int, embedding: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS + 1, embedding)
        self.rnn = nn.LSTM(embedding, hidden)
        self.head = nn.Linear(hidden, SYMBOLS + 1)

    def forward(self, tokens: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        outputs, state = self.rnn(self.embedding(tokens), state)
        return self.head(functional.dropout(outputs, 0.2, self.training)), state


def _by_hand(
    ids: torch.Tensor, hidden: int, embedding: int, batch: int, bptt: int
) -> Callable[[], float]:
    model = _Model(hidden, embedding)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    length = (len(ids) - 1) // batch
    streams = ids[: length * batch].view(batch, length).T.contiguous()

    def run() -> float:
        state, begin = None, 0.0
        for step in range(STEPS + 5):
            if step == 5:
                begin = time.perf_counter()
            first = step * bptt % (length - bptt - 1)
            inputs, targets = streams[first : first + bptt], streams[first + 1 : first + bptt + 1]
            logits, state = model(inputs, state)
            state = tuple(s.detach() for s in state)
            loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item()
        return STEPS * batch * bptt / (time.perf_counter() - begin)

    return run
