"""Student's t against SciPy and numerical integration."""

import numpy as np
import pytest
from scipy import integrate, stats

from recurra.tasks.forecaster import student_t
from recurra.tasks.forecaster.described import PointForecast, QuantileForecast, StudentTForecast

RNG = np.random.default_rng(3)
DF = np.concatenate([RNG.uniform(1, 30, 500), 10 ** RNG.uniform(0, 4, 500), [1.0, 2.0, 3.0]])
X = RNG.standard_t(2, DF.size) * RNG.choice([0.1, 1, 3], DF.size)


def test_cdf_and_density():
    expected = stats.t.cdf(X, DF)
    np.testing.assert_allclose(student_t.cdf(X, DF), expected, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(student_t.log_density(X, DF), stats.t.logpdf(X, DF), rtol=1e-10)
    assert student_t.cdf(np.array(0.0), np.array(5.0)) == pytest.approx(0.5)


@pytest.mark.parametrize("p", [0.001, 0.005, 0.05, 0.25, 0.5, 0.6, 0.9, 0.999])
def test_quantile(p):
    np.testing.assert_allclose(student_t.quantile(p, DF), stats.t.ppf(p, DF), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("z", "df"), [(0.3, 2.1), (-2.0, 5.0), (1.0, 30.0), (6.0, 3.0)])
def test_crps_is_the_integral(z, df):
    below = integrate.quad(lambda u: stats.t.cdf(u, df) ** 2, -np.inf, z)[0]
    above = integrate.quad(lambda u: stats.t.sf(u, df) ** 2, z, np.inf)[0]
    assert student_t.crps(np.array(z), np.array(df)) == pytest.approx(below + above, abs=1e-8)


def test_quantiles_are_sorted_and_interpolated():
    forecast = QuantileForecast((0.1, 0.5, 0.9))
    numbers = np.array([[3.0, 1.0, 2.0]])  # crossed
    assert forecast.quantiles(numbers, [0.1, 0.3, 0.9]).tolist() == [[1.0, 1.5, 3.0]]
    assert forecast.median(numbers).tolist() == [2.0]
    # The area under the quantile function: constant, two slopes, constant.
    assert forecast.mean(numbers)[0] == pytest.approx(0.1 * 1 + 0.4 * 1.5 + 0.4 * 2.5 + 0.1 * 3)
    assert QuantileForecast((0.5,)).mean(np.array([[7.0]])) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("forecast", "numbers"),
    [
        (QuantileForecast((0.1, 0.3, 0.5, 0.7, 0.9)), [0.0, 1.0, 3.0, 4.0, 9.0]),
        (StudentTForecast(), [1.5, 0.3, 4.0]),
    ],
)
def test_draws_have_the_quantiles(forecast, numbers):
    many = np.tile(np.array(numbers), (40_000, 1))
    draws = forecast.draw(many, np.random.default_rng(0))
    levels = (0.1, 0.3, 0.5, 0.7, 0.9)
    expected = forecast.quantiles(many[:1], levels)[0]
    np.testing.assert_allclose(np.quantile(draws, levels), expected, atol=0.12)


def test_members_are_joined_in_what_they_mean():
    student = StudentTForecast()
    numbers = np.random.default_rng(0).normal(size=(3, 5, 3))
    each = student.parameters(numbers)
    for found, expected in zip(student.parameters(student.joined(numbers)), each, strict=True):
        np.testing.assert_allclose(found, expected.mean(axis=0), rtol=1e-6)
    assert PointForecast().joined(np.array([[[1.0]], [[3.0]]])).tolist() == [[2.0]]
