"""exp, tanh, sigmoid and the rest against float64, over all of float32's exponents and signs."""

import numpy as np
import pytest

from recurra import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

#: Units in the last place; what native/functions.h states.
ULP = {"float32": 3, "float64": 4}

EXACT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x))),
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


@pytest.fixture(params=native.isas())
def _isa(request):
    before = native.isa()
    native.use_isa(request.param)
    yield
    native.use_isa(before)


def every_float32() -> np.ndarray:
    """Each 4999th bit pattern: every exponent with both signs 1,678 times."""
    bits = np.arange(0, 2**32, 4999, dtype=np.uint64).astype(np.uint32)
    return bits.view(np.float32)


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("name", EXACT)
def test_float32(name: str):
    x = every_float32()
    x = x[np.isfinite(x)]
    found = native.function(name, x).astype(np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        rounded = exact.astype(np.float32)
    normal = (np.abs(rounded) >= np.finfo(np.float32).tiny) & np.isfinite(rounded)
    spacing = np.spacing(np.abs(rounded[normal])).astype(np.float64)
    assert np.max(np.abs(found[normal] - exact[normal]) / spacing) <= ULP["float32"]
    small = np.abs(rounded) < np.finfo(np.float32).tiny
    assert np.all(np.abs(found[small]) <= np.finfo(np.float32).tiny)
    assert np.all(np.isinf(found[np.isinf(rounded)]))


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("name", EXACT)
def test_float64(name: str):
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.normal(0, s, 20_000) for s in (1e-8, 1e-3, 1, 10, 200)])
    x = np.clip(x, -700, 700)
    found = native.function(name, x)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
    normal = np.abs(exact) >= np.finfo(np.float64).tiny
    spacing = np.spacing(np.abs(exact[normal]).astype(np.float64))
    assert np.max(np.abs(found[normal] - exact[normal]) / spacing) <= ULP["float64"]


@pytest.mark.usefixtures("_isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype: type):
    x = np.array([np.nan, np.inf, -np.inf], dtype=dtype)
    expected = {"exp": (np.inf, 0), "tanh": (1, -1), "sigmoid": (1, 0)}
    for name, (high, low) in expected.items():
        found = native.function(name, x)
        assert np.isnan(found[0])
        assert found[1:].tolist() == [high, low]


@pytest.mark.usefixtures("_isa")
def test_hard_sigmoid():
    x = np.linspace(-4, 4, 10_001)
    np.testing.assert_allclose(
        native.function("hard_sigmoid", x), np.clip(x / 6 + 0.5, 0, 1), atol=2e-16, rtol=0
    )


@pytest.mark.usefixtures("_isa")
def test_unknown_function():
    with pytest.raises(LookupError):
        native.function("gamma", np.zeros(1, np.float32))
