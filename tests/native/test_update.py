"""The kernel of Adam against its equations in float64."""

import math

import numpy as np
import pytest

from recurra import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

SIZES = (1, 15, 16, 4096, 4097, 10_000)
#: A handful of roundings, of which the one that takes 1 - beta costs most.
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


@pytest.fixture(autouse=True)
def _same_isa():
    before = native.isa()
    yield
    native.use_isa(before)


def drawn(dtype, seed=0):
    """Gradients, weights, both moments and steps of parameters of all sizes."""
    draw = np.random.default_rng(seed)
    found = []
    for k, size in enumerate(SIZES):
        gradient, weight, mean = (draw.normal(size=size).astype(dtype) for _ in range(3))
        square, step = draw.random(size).astype(dtype), np.full(1, k, np.float32)
        found.append(native.Updated(gradient, weight, mean, square, step, 0.1 * (k % 2)))
    return found


def by_hand(p, *, lr, betas, epsilon, decoupled, factor):
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2."""
    g, w, m, v = (a.astype(np.float64) for a in p[:4])
    t = int(p.step[0]) + 1
    g = g * factor
    if decoupled:
        w = w - lr * p.decay * w
    else:
        g = g + p.decay * w
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g**2
    unbiased = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
    return w - lr * unbiased[0] / (np.sqrt(unbiased[1]) + epsilon), m, v


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_is_its_equations(isa, dtype, decoupled, threads):
    native.use_isa(isa)
    how = {
        "lr": 0.02,
        "betas": (0.9, 0.99),
        "epsilon": 1e-8,
        "decoupled": decoupled,
        "factor": 0.3,
    }
    parameters = drawn(dtype)
    expected = [by_hand(p, **how) for p in parameters]
    gradients = [p.gradient.copy() for p in parameters]
    native.adam(parameters, threads=threads, **how)
    for k, (p, want, gradient) in enumerate(zip(parameters, expected, gradients, strict=True)):
        for value, right in zip((p.weight, p.mean, p.square), want, strict=True):
            limit = TOLERANCE[dtype]
            np.testing.assert_allclose(value, right, rtol=limit, atol=limit)
        assert p.step[0] == k + 1
        assert np.array_equal(p.gradient, gradient)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_do_not_depend_on_threads(dtype):
    found = []
    for threads in (1, 2, 3):
        parameters = drawn(dtype)
        total = native.sum_of_squares([p.gradient for p in parameters], threads=threads)
        native.adam(
            parameters, lr=0.1, betas=(0.9, 0.999), epsilon=1e-8, decoupled=True, threads=threads
        )
        found.append((total, [p.weight.tobytes() for p in parameters]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sum_of_squares(isa, dtype):
    native.use_isa(isa)
    arrays = [p.gradient for p in drawn(dtype)]
    expected = math.fsum(float(v) ** 2 for a in arrays for v in a)
    assert native.sum_of_squares(arrays) == pytest.approx(expected, rel=1e-13)
    assert native.sum_of_squares([]) == 0
    assert native.sum_of_squares([np.full(7, 1e30, dtype)]) == pytest.approx(7e60, rel=1e-6)
    for bad in (math.nan, math.inf):
        arrays[3][4000] = bad
        assert not math.isfinite(native.sum_of_squares(arrays))
