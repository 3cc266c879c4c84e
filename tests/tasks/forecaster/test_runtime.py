"""The runtime without torch says what the torch module says."""

import itertools

import numpy as np
import pytest
import torch

from recurra.errors import FormatError
from recurra.nn import Recurrent
from recurra.runtime import Architecture
from recurra.tasks.forecaster.described import PointForecast
from recurra.tasks.forecaster.network import Forecaster
from recurra.tasks.forecaster.paths import sample_paths
from recurra.tasks.forecaster.runtime import ForecastShape, RuntimeForecaster

STATES = {"rnn": 1, "gru": 1, "lstm": 2}


def shape(*, direct, joint=False, known=2, static=3, highway=False, members=1, numbers=3, lags=()):
    return ForecastShape(
        direct=direct, channels=2, joint=joint, lookback=12, horizon=7, segment=3, embedding=8,
        channel_embedding=0 if joint else 4, known=known, static=static, lags=lags,
        numbers=numbers, highway=highway, shifts_all=numbers != 3, members=members,
    )  # fmt: skip


def both(s, cell="gru", layers=1):
    torch.manual_seed(0)
    module = Forecaster(s, s.members, lambda: Recurrent(cell, 8, 10, layers), 0.1).eval()
    for member in module.members:
        if s.highway:
            torch.nn.init.normal_(member.highway.weight)
    options = {"activation": "tanh", "norm": False}
    architecture = Architecture(cell, layers, False, (0.0,) * STATES[cell], options)
    tensors = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    return module, architecture, tensors


def inputs(s, batch=4):
    rng, steps = np.random.default_rng(1), s.context + s.steps_ahead
    sizes = [(batch, 2, steps), (batch, steps, s.known), (batch, s.static)]
    return [rng.normal(size=size).astype(np.float32) for size in sizes]


@pytest.mark.parametrize(
    ("joint", "known", "static", "members", "cell"),
    list(itertools.product([False, True], [0, 2], [0, 3], [1, 2], ["rnn", "lstm"])),
)
@pytest.mark.parametrize("highway", [False, True])
def test_direct(joint, known, static, members, cell, highway):
    for numbers in (1, 3):
        s = shape(
            direct=True, joint=joint, known=known, static=static, members=members,
            highway=highway, numbers=numbers,
        )  # fmt: skip
        module, architecture, tensors = both(s, cell, layers=2)
        values, known_values, static_values = inputs(s)
        context = values[:, :, : s.context]
        with torch.no_grad():
            expected = module(*map(torch.from_numpy, (context, known_values, static_values)))
        found = RuntimeForecaster(architecture, s, tensors).direct(
            context, known_values, static_values
        )
        assert found.shape == (members, 4, 2, 9, numbers)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(("joint", "lags"), [(False, (3, 5, 8)), (True, ()), (False, ())])
def test_autoregressive_paths_are_the_modules_fed_with_its_own_means(joint, lags):
    s = shape(direct=False, joint=joint, lags=lags, numbers=1)
    module, architecture, tensors = both(s)
    values, known, static = inputs(s)
    runtime = RuntimeForecaster(architecture, s, tensors)
    paths = sample_paths(
        runtime, PointForecast(), values[:, :, : s.context], known, static,
        paths=2, rng=np.random.default_rng(0),
    )  # fmt: skip
    fed = torch.from_numpy(values.copy())
    fed[:, :, s.context :] = 0
    with torch.no_grad():
        for start in range(s.context, s.context + s.steps_ahead, s.segment):
            out = module(fed, torch.from_numpy(known), torch.from_numpy(static))[0, ..., 0]
            first = start - s.reach - s.segment
            fed[:, :, start : start + s.segment] = out[:, :, first : first + s.segment]
    for path in paths:
        np.testing.assert_allclose(path, fed[:, :, s.context :], atol=2e-5)


def test_nothing_after_the_context_is_read():
    s = shape(direct=False, lags=(3,))
    module, _, _ = both(s)
    values, known, static = inputs(s)
    changed = values.copy()
    changed[:, :, s.context :] += 5
    with torch.no_grad():
        a, b = (module(*map(torch.from_numpy, (v, known, static))) for v in (values, changed))
    # The first segment of the horizon is described before its own values are read.
    first = s.context - s.reach - s.segment
    assert torch.equal(a[..., : first + s.segment, :], b[..., : first + s.segment, :])
    assert not torch.equal(a, b)


def test_damaged_files_are_named():
    s = shape(direct=True)
    _, architecture, tensors = both(s)
    del tensors["members.0.positions"]
    with pytest.raises(FormatError, match=r"members\.0\.positions"):
        RuntimeForecaster(architecture, s, tensors)
    with pytest.raises(FormatError):
        ForecastShape.from_json({"direct": True})
    assert ForecastShape.from_json(s.to_json()) == s
