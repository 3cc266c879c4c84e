"""What looking inside costs: `python -m bench inspect`.

A language model of 2 layers of 512 LSTM units over 96 characters and a text of 2,000, with the
threads that are there. `seconds` is the middle of three; `budget` what it may take; `of_scoring`
the ratio to scoring the text once, timed in the same turns.
"""

import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from recurra import inspect, nn
from recurra.runtime import Architecture
from recurra.tasks.language_model.runtime import RuntimeLM

V, HIDDEN, TOKENS = 96, 512, 2000


def model() -> Any:
    """The model; its tokens have no text."""
    torch.manual_seed(0)
    rnn = nn.Recurrent("lstm", 128, HIDDEN, 2)
    tensors = {f"rnn.{n}": p.detach().numpy() for n, p in rnn.named_parameters()}
    tensors["embedding.weight"] = torch.randn(V, 128).numpy()
    tensors["head.weight"] = (torch.randn(V, HIDDEN) * 0.05).numpy()
    tensors["head.bias"] = np.zeros(V, np.float32)
    steps = RuntimeLM(Architecture("lstm", 2, False, (0.0, 0.0), {}), tensors)
    decoder = SimpleNamespace(push=lambda i: chr(32 + i % 95), finish=lambda: "")
    tokenizer = SimpleNamespace(decoder=lambda **_: decoder, token=str)
    return SimpleNamespace(runtime=steps, tokenizer=tokenizer)


def measure() -> list[dict[str, Any]]:
    """Return a row for each measure."""
    lm = model()
    ids = np.random.default_rng(0).integers(0, V, TOKENS)

    def score() -> None:
        lm.runtime.log_probabilities(ids[None, :-1], ids[None, 1:], lm.runtime.start(1))

    calls: list[tuple[str, Callable[[], Any], float | None]] = [
        ("gates", lambda: inspect.gates(lm, ids), None),  # twice a pass
        ("saturation", lambda: inspect.saturation(lm, ids), None),
        ("time_constant", lambda: inspect.time_constant(lm, ids), None),
        ("gradient_by_lag", lambda: inspect.gradient_by_lag(lm, ids, lags=128, anchors=32), 2.0),
        ("memory", lambda: inspect.memory(lm, ids), 1.0),
        ("context_needed", lambda: inspect.context_needed(lm, ids), None),
        ("memory_signature", lambda: inspect.memory_signature(lm, ids), None),
        ("neuron_finder", lambda: inspect.neuron_finder(lm, ids), 2.0),
        ("effective_rank", lambda: inspect.effective_rank(lm, ids), None),
        ("ablation", lambda: inspect.ablation(lm, ids, top=8), None),
        ("saliency", lambda: inspect.saliency(lm, ids), None),
    ]
    rows = []
    for name, call, budget in calls:
        times: list[tuple[float, float]] = []
        for _ in range(4):
            begun = time.perf_counter()
            score()
            middle = time.perf_counter()
            call()
            times.append((middle - begun, time.perf_counter() - middle))
        scoring, own = (statistics.median(t) for t in zip(*times[1:], strict=True))
        row = {"measure": name, "seconds": own, "budget": budget, "of_scoring": own / scoring}
        rows.append(row)
        print(f"  {name:18}{own:7.2f} s  {own / scoring:5.1f} × scoring", flush=True)
    return rows
