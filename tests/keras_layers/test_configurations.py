"""Our layers beside Keras' over random configurations of all arguments: results and gradients."""

import random
from collections import Counter

import pytest
import torch

from keras_layers.configurations import Pair, arguments, call, refused_by_keras
from recurra.cells import gru, lstm, rnn
from recurra.keras import loop, recurrent
from tolerances import TOLERANCES

FLOAT32 = TOLERANCES[torch.float32]


def configurations(count):
    """Seeds of configurations that Keras itself computes."""
    found = []
    for seed in range(10 * count):
        draw = random.Random(seed)
        if not refused_by_keras(*arguments(draw), call(draw)):
            found.append(seed)
    return found[:count]


@pytest.mark.parametrize("seed", configurations(150))
def test_ours_is_keras(seed):
    compare(seed)


def test_ours_is_keras_where_nothing_can_be_compiled(monkeypatch):
    """Masks a gate, and functions beside the default: gate by gate."""
    name = loop.ops.kernel_name
    come = {c.program(bias=b) for c in (rnn, lstm, gru) for b in (True, False)}
    come |= {gru.program(bias=b, reset="before") for b in (True, False)}
    monkeypatch.setattr(loop.ops, "kernel_name", lambda p: name(p) if p in come else None)
    recurrent._plan.cache_clear()
    ran = Counter()
    run = loop.gatewise
    monkeypatch.setattr(loop, "gatewise", lambda call: ran.update([call.program.cell]) or run(call))
    for seed in configurations(60):
        compare(seed)
    recurrent._plan.cache_clear()
    assert min(ran[cell] for cell in ("lstm", "gru", "rnn")) > 3


def compare(seed):
    """Two calls of the configuration of that seed, by Keras and by ours."""
    draw = random.Random(seed)
    (kind, given), asked = arguments(draw), call(draw)
    pair = Pair(kind, given, features=asked["shape"][2], batch=asked["shape"][0])
    for turn in range(2):  # states kept and seeds drawn by the first call show in the second
        theirs, ours = pair.outcomes(asked, 2 * seed + turn)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(
                ours[name],
                value,
                rtol=FLOAT32.relative,
                atol=FLOAT32.absolute,
                msg=lambda m, name=name: f"{kind}({given}), {asked}, {name}: {m}",
            )


def test_the_table_has_every_kind_of_call():
    seen = set()
    for seed in configurations(150):
        draw = random.Random(seed)
        (kind, given), asked = arguments(draw), call(draw)
        seen |= {(kind, name, repr(value)) for name, value in (given | asked).items()}
    for kind in ("SimpleRNN", "LSTM", "GRU"):
        for name in ("return_sequences", "stateful", "go_backwards", "use_bias", "training"):
            assert {(kind, name, "True"), (kind, name, "False")} <= seen
        assert {(kind, "mask", repr(m)) for m in (None, "right", "left", "any", "column")} <= seen
        assert (kind, "recurrent_dropout", "0.4") in seen
    assert {("GRU", "reset_after", v) for v in ("True", "False")} <= seen
