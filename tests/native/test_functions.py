"""exp, tanh, sigmoid and the rest against wider arithmetic: the bounds of native/functions.h."""

from functools import lru_cache

import numpy as np
import pytest

from recurra import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

#: Units in the last place, float32 and float64; what native/functions.h states.
ULP = {
    "exp": (1.1, 1.1),
    "tanh": (3, 3.5),
    "sigmoid": (2.5, 2.5),
    "relu": (0, 0),
    "softsign": (1.5, 1.5),
    "softplus": (3, 3),
    "abs": (0, 0),
    "sqrt": (0.5, 0.5),
    "log": (1, 1),
    "sin": (1, 1),
    "cos": (1, 1),
}


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


EXACT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    **{"abs": np.abs, "sqrt": np.sqrt, "log": np.log, "sin": np.sin, "cos": np.cos},
}

#: Where a function is clamped, or its formula changes.
EDGES = (0.0, 1.0, 3.0, 9.02, 19.1, 87.336544, 88.722839, 708.39641853226408, 709.78271289338397)


@pytest.fixture(autouse=True)
def _restore_isa():
    before = native.isa()
    yield
    native.use_isa(before)


def by_isa(name: str, x: np.ndarray) -> dict[str, np.ndarray]:
    """The function's values on every instruction set."""
    found = {}
    for isa in native.isas():
        native.use_isa(isa)
        found[isa] = native.function(name, x)
    return found


def neighbours(dtype: type, count: int = 200) -> np.ndarray:
    """Values around the edges, each `count` to either side, with both signs."""
    whole = {np.float32: np.int32, np.float64: np.int64}[dtype]
    bits = np.array(EDGES, dtype=dtype).view(whole)[:, None] + np.arange(-count, count + 1)
    values = bits[bits >= 0].astype(whole).view(dtype)
    return np.concatenate([values, -values])


@lru_cache
def every_float32() -> np.ndarray:
    """Each 1999th bit pattern: every exponent with both signs 4,196 times, denormals, NaN."""
    bits = np.arange(0, 2**32, 1999, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([bits.view(np.float32), neighbours(np.float32)])


def check(name: str, x: np.ndarray, wide: type, bound: float) -> None:
    """Finite values within the bound where results are normal numbers, NaN where x is."""
    narrow = x.dtype.type
    tiny = np.finfo(narrow).tiny
    finite = np.isfinite(x)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(wide))
        rounded = exact.astype(narrow)
    normal = finite & (np.abs(exact) >= tiny) & np.isfinite(rounded)
    small = finite & (np.abs(exact) < tiny)
    spacing = np.spacing(np.abs(rounded[normal])).astype(wide)
    for isa, found in by_isa(name, x).items():
        errors = np.abs(found[normal].astype(wide) - exact[normal]) / spacing
        worst = int(errors.argmax())
        assert errors[worst] <= bound, f"{isa}: {errors[worst]:.2f} ULP at {x[normal][worst]!r}"
        assert np.all(np.abs(found[small].astype(wide) - exact[small]) <= tiny), isa
        assert np.all(np.isposinf(found[finite & np.isposinf(rounded)])), isa
        assert np.array_equal(np.isnan(found), np.isnan(exact)), isa


@pytest.mark.parametrize("name", ULP)
def test_float32(name: str):
    x = every_float32()
    assert np.isnan(x).any()
    check(name, x, np.float64, ULP[name][0])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="nothing wider than float64 here")
@pytest.mark.parametrize("name", ULP)
def test_float64(name: str):
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    scales = [draw.normal(0, s, 20_000) for s in (1e-8, 1e-3, 1, 10, 200)]
    x = np.concatenate([bits, *scales, neighbours(np.float64)])
    check(name, x, np.longdouble, ULP[name][1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype: type):
    x = np.array([np.inf, -np.inf, np.nan, -np.nan], dtype=dtype)
    limits = {
        "exp": (np.inf, 0),
        "tanh": (1, -1),
        "sigmoid": (1, 0),
        "relu": (np.inf, 0),
        "softsign": (np.nan, np.nan),  # as torch's and numpy's quotient
        "softplus": (np.inf, 0),
        "hard_sigmoid": (1, 0),
        "abs": (np.inf, np.inf),
        "sqrt": (np.inf, np.nan),
        "log": (np.inf, np.nan),
        "sin": (np.nan, np.nan),
        "cos": (np.nan, np.nan),
    }
    assert limits.keys() == EXACT.keys()
    for name, limit in limits.items():
        for isa, found in by_isa(name, x).items():
            np.testing.assert_array_equal(found, [*limit, np.nan, np.nan], err_msg=f"{name} {isa}")


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "hard_sigmoid", "softsign"])
def test_bounded_functions_stay_in_their_range(name: str):
    """An ULP above 1 would turn the sign of a derivative such as y (1 - y)."""
    x = every_float32()
    least = 0.0 if "sigmoid" in name else -1.0
    for isa, found in by_isa(name, x[np.isfinite(x)]).items():
        assert found.min() == least, isa
        assert found.max() == 1, isa


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_sigmoid(dtype: type):
    """Near -3 its terms cancel: the error is of the size of one of them, not of the result."""
    draw = np.random.default_rng(1)
    x = np.concatenate([draw.uniform(-4, 4, 100_000).astype(dtype), neighbours(dtype)])
    exact = EXACT["hard_sigmoid"](x.astype(np.longdouble))
    for isa, found in by_isa("hard_sigmoid", x).items():
        assert np.abs(found - exact).max() <= np.finfo(dtype).eps, isa


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("count", [0, 1, 3, 17])
def test_any_number_of_values(name: str, count: int):
    x = np.linspace(-2, 2, 17, dtype=np.float32)
    whole = by_isa(name, x)
    for isa, found in by_isa(name, x[:count].copy()).items():
        np.testing.assert_array_equal(found, whole[isa][:count], err_msg=isa)


def test_unknown_function():
    with pytest.raises(LookupError):
        native.function("gamma", np.zeros(1, np.float32))
