"""Each measure against an independent computation."""

import numpy as np
import pytest
from scipy import integrate, stats

from recurra.errors import InputError
from recurra.tasks.forecaster import figures as m

RNG = np.random.default_rng(7)


def test_point_errors_by_hand():
    forecast, truth = np.array([1.0, 3.0, 0.0, -2.0]), np.array([2.0, 3.0, 0.0, 2.0])
    assert m.mae(forecast, truth) == pytest.approx((1 + 0 + 0 + 4) / 4)
    assert m.mse(forecast, truth) == pytest.approx((1 + 0 + 0 + 16) / 4)
    assert m.smape(forecast, truth) == pytest.approx((200 / 3 + 0 + 0 + 200) / 4)


def test_missing_truths_do_not_count():
    truth = np.array([2.0, np.nan])
    assert m.mae(np.array([1.0, 5.0]), truth) == 1
    assert m.coverage(np.zeros(2), np.full(2, 3.0), truth) == 1
    assert np.isnan(m.mae(np.array([1.0]), np.array([np.nan])))


def test_mase_in_a_loop():
    history, truth, forecast = RNG.normal(size=60), RNG.normal(size=9), RNG.normal(size=9)
    scale = sum(abs(history[t] - history[t - 7]) for t in range(7, 60)) / 53
    error = sum(abs(a - b) for a, b in zip(forecast, truth, strict=True)) / 9
    assert m.mase(forecast, truth, history, season=7) == pytest.approx(error / scale)
    assert np.isnan(m.mase(forecast, truth, history[:7], season=7))
    assert np.isnan(m.mase(forecast, truth, np.ones(60), season=7))


def test_the_seasonal_naive_of_m4_is_as_published(data_dir):
    """sMAPE 13.912 and MASE 1.193 of the hourly series: Makridakis et al. 2020, Naive S."""
    from recurra.tasks.forecaster.series import read_series

    train, test = (read_series(data_dir / f"m4-hourly/Hourly-{k}.csv") for k in ("train", "test"))
    found = []
    for one, after in zip(train.series, test.series, strict=True):
        history, truth = one.values[:, 0], after.values[:, 0]
        naive = np.tile(history[-24:], 2)
        found.append((m.smape(naive, truth), m.mase(naive, truth, history, season=24)))
    assert np.round(np.mean(found, axis=0), 3).tolist() == [13.912, 1.193]


def test_crps_of_samples_is_the_integral():
    for _ in range(20):
        draws, truth = RNG.normal(size=15), float(RNG.normal())
        points = np.concatenate([draws, [truth]])
        grid = np.linspace(points.min() - 0.1, points.max() + 0.1, 200_001)
        cdf = np.searchsorted(np.sort(draws), grid, side="right") / len(draws)
        expected = integrate.trapezoid((cdf - (grid >= truth)) ** 2, grid)
        assert m.crps_from_samples(draws[:, None], np.array([truth])) == pytest.approx(
            expected, abs=2e-4
        )
        pairs = np.abs(draws[:, None] - draws[None]).mean()
        direct = np.abs(draws - truth).mean() - pairs / 2
        assert m.crps_from_samples(draws[:, None], np.array([truth])) == pytest.approx(direct)


def test_crps_of_many_quantiles_is_that_of_the_distribution():
    levels = (np.arange(2000) + 0.5) / 2000
    truth = np.array([0.3, -1.7, 2.5])
    quantiles = np.tile(stats.norm.ppf(levels), (3, 1))
    z, density = stats.norm.cdf(truth), stats.norm.pdf(truth)
    expected = (truth * (2 * z - 1) + 2 * density - 1 / np.sqrt(np.pi)).mean()
    assert m.crps_from_quantiles(quantiles, truth, levels) == pytest.approx(expected, abs=1e-3)


def test_pinball_by_hand_and_least_at_the_quantile():
    assert m.pinball(np.array([[1.0, 4.0]]), np.array([3.0]), [0.1, 0.9]) == pytest.approx(
        (0.1 * 2 + 0.1 * 1) / 2
    )
    draws = RNG.exponential(size=20_001)
    tried = np.linspace(0, 4, 81)
    losses = [m.pinball(np.full((draws.size, 1), q), draws, [0.8]) for q in tried]
    assert tried[np.argmin(losses)] == pytest.approx(np.quantile(draws, 0.8), abs=0.05)


def test_coverage_counts_the_edges():
    low, high = np.zeros(4), np.ones(4)
    assert m.coverage(low, high, np.array([0.0, 1.0, 1.01, 0.5])) == 0.75


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: m.mae(np.zeros(3), np.zeros(2)),
        lambda: m.pinball(np.zeros((3, 2)), np.zeros(3), [0.5]),
        lambda: m.pinball(np.zeros((3, 1)), np.zeros(3), [1.0]),
        lambda: m.seasonal_error(np.zeros(3), 0),
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(InputError):
        wrong()
