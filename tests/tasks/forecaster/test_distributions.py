"""Losses of forecasts against SciPy and the metrics."""

import numpy as np
import pytest
import torch
from scipy import stats

from recurra.errors import InputError
from recurra.tasks.forecaster import figures as forecasting
from recurra.tasks.forecaster.described import StudentTForecast
from recurra.tasks.forecaster.distributions import (
    Quantiles,
    StudentT,
    output,
    student_t_log_density,
)

RNG = np.random.default_rng(5)


def test_student_t_log_density_is_scipys():
    x, location, df = RNG.normal(size=(3, 200)) * [[3], [2], [0]] + [[0], [0], [2]]
    df = df + RNG.exponential(5, 200)
    scale = RNG.uniform(0.1, 4, 200)
    found = student_t_log_density(*(torch.from_numpy(a) for a in (x, location, scale, df)))
    np.testing.assert_allclose(found, stats.t.logpdf(x, df, location, scale), rtol=1e-12)


def test_student_t_loss_has_the_parameters_of_the_runtime_and_right_gradients():
    numbers = torch.from_numpy(RNG.normal(size=(7, 3)) * 2).requires_grad_()
    target = torch.from_numpy(RNG.normal(size=7))
    loss = StudentT().loss(numbers, target)
    location, scale, df = StudentTForecast().parameters(numbers.detach().numpy())
    np.testing.assert_allclose(
        loss.detach(), -stats.t.logpdf(target, df, location, scale), rtol=1e-10
    )
    assert torch.autograd.gradcheck(lambda n: StudentT().loss(n, target), numbers)


def test_quantile_loss_is_the_metrics():
    levels, numbers, target = (0.1, 0.5, 0.8), RNG.normal(size=(9, 3)), RNG.normal(size=9)
    found = Quantiles(levels).loss(torch.from_numpy(numbers), torch.from_numpy(target))
    assert found.mean().item() == pytest.approx(
        forecasting.crps_from_quantiles(numbers, target, levels)
    )


def test_points():
    numbers, target = torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 3.0])
    assert output("point", norm="l1").loss(numbers, target).tolist() == [2.0, 1.0]
    assert output("point", norm="l2").loss(numbers, target).tolist() == [4.0, 1.0]


@pytest.mark.parametrize("wrong", [{"norm": "l3"}, {"kind": "quantiles", "levels": (0.0,)}])
def test_what_does_not_exist_is_refused(wrong):
    with pytest.raises(InputError):
        output(**{"kind": "point", **wrong})
