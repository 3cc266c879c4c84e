"""Slopes of all functions, as backward passes compute them: the bounds of native/functions.h."""

from functools import lru_cache

import mpmath
import numpy as np
import pytest
import torch

from native.own import made
from native.test_functions import neighbours
from recurra import native
from recurra.cells import FUNCTIONS, exp, hard_sigmoid, relu, sigmoid, softplus, softsign, tanh
from recurra.reference import Interpreter

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

#: Units in the last place of the slope, float32 and float64; what native/functions.h states.
ULP = {
    "exp": (1.1, 1.1),
    "relu": (0, 0),
    "identity": (0, 0),
    "softsign": (4, 4),
    "softplus": (4, 4),
    "hard_sigmoid": (0.5, 0.5),
}
#: Distances from 1 to the next number: slopes that are products of the value (torch's are, too).
EPS = {"tanh": (3.5, 4), "sigmoid": (1, 1)}

#: A row of them in the cell: what it is applied to, and the function.
NAMES = ("tanh", "sigmoid", "relu", "identity", "softsign", "softplus", "exp", "hard_sigmoid")
WIDTH = 16  # units of the layer, so that a row holds many values


def all_functions(x, u, h, opt):
    bounded = tanh(x.a) + sigmoid(x.b) + softsign(x.e) + hard_sigmoid(x.i)
    return dict(h=bounded + relu(x.c) + x.d + softplus(x.f) + exp(x.g))


PROGRAM = made(all_functions, "", "a b c d e f g i").program(bias=False)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


EXACT = {
    "tanh": lambda x: 4 * np.exp(-2 * np.abs(x)) / (1 + np.exp(-2 * np.abs(x))) ** 2,
    "sigmoid": lambda x: np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2,
    "relu": lambda x: (x > 0).astype(x.dtype),
    "identity": np.ones_like,
    "softsign": lambda x: 1 / (1 + np.abs(x)) / (1 + np.abs(x)),
    "softplus": _sigmoid,
    "exp": np.exp,
    "hard_sigmoid": lambda x: (np.abs(x) < 3) / x.dtype.type(6),
}


def slopes(x: np.ndarray, interpreted: bool) -> np.ndarray:
    """The slope of every function at x, (functions, len(x))."""
    rows = len(x) // WIDTH
    whole = torch.from_numpy(x[: rows * WIDTH].copy()).reshape(1, rows, WIDTH)
    size = len(NAMES) * WIDTH
    given = whole.repeat(1, 1, len(NAMES)).requires_grad_()
    # Where the exponential would be infinite, its product with a zero of the weights is NaN.
    most = float(np.log(np.finfo(x.dtype).max)) - 1e-3
    where = NAMES.index("exp") * WIDTH
    with torch.no_grad():
        given[..., where : where + WIDTH].clamp_(max=most)
    eye, none = torch.eye(size, dtype=whole.dtype), torch.zeros(size, WIDTH, dtype=whole.dtype)
    start = torch.zeros(rows, WIDTH, dtype=whole.dtype)
    weights = {"weight_ih": eye, "weight_hh": none}
    if interpreted:
        y = Interpreter(PROGRAM, weights).run(given, (start,)).outputs
        (found,) = torch.autograd.grad(y, given, torch.ones_like(y))
        return by_function(found)
    plain = given.detach()
    inputs = native.Inputs(PROGRAM, plain, [eye, none], [start])
    y, last = torch.empty_like(whole), torch.empty_like(start)
    saved = plain.new_empty(native.saved_size(inputs))
    native.forward(inputs, y, [last], saved=saved)
    found = torch.empty_like(plain)
    parameters = [None, None]
    native.backward(
        inputs,
        y,
        saved,
        torch.ones_like(y),
        [None],
        dx=found,
        dparameters=parameters,
        dinitial=[None],
    )
    return by_function(found)


def by_function(gradient: torch.Tensor) -> np.ndarray:
    return gradient.reshape(-1, len(NAMES), WIDTH).transpose(0, 1).reshape(len(NAMES), -1).numpy()


def exact(name: str, x: np.ndarray, wide: type) -> np.ndarray:
    with np.errstate(all="ignore"):
        return EXACT[name](x.astype(wide))


def measure(
    x: np.ndarray, wide: type, column: int, interpreted: bool
) -> dict[str, tuple[float, float]]:
    """The worst error of every function's slope, and its bound."""
    narrow = x.dtype.type
    tiny, eps = np.finfo(narrow).tiny, np.finfo(narrow).eps
    x = x[np.isfinite(x)]
    x = x[: len(x) // WIDTH * WIDTH]
    most = np.log(np.finfo(narrow).max) - 1e-3
    computed = slopes(x, interpreted)
    worst = {}
    for name, found in zip(NAMES, computed, strict=True):
        at = np.minimum(x, narrow(most)) if name == "exp" else x
        right = exact(name, at, wide)
        if name == "hard_sigmoid":  # at its corners, and at the numbers beside them
            near = np.abs(np.abs(at) - 3) <= 2 * np.spacing(narrow(3))
            found, right = found[~near], right[~near]
        if name == "relu":
            found, right = found[at != 0], right[at != 0]
        errors = np.abs(found.astype(wide) - right)
        if name in EPS:
            worst[name] = float((errors / eps).max()), EPS[name][column]
            continue
        normal = np.abs(right) >= tiny
        assert np.all(errors[~normal] <= tiny), name
        spacing = np.spacing(right[normal].astype(narrow)).astype(wide)
        worst[name] = float((errors[normal] / spacing).max()), ULP[name][column]
    return worst


def check(x: np.ndarray, wide: type, column: int, interpreted: bool) -> None:
    worst = measure(x, wide, column, interpreted)
    wrong = {k: w for k, w in worst.items() if not w[0] <= w[1]}
    assert not wrong, wrong


@pytest.fixture(autouse=True)
def _restore_isa():
    before = native.isa()
    yield
    native.use_isa(before)


@lru_cache
def every_float32() -> np.ndarray:
    """Each 4999th bit pattern: every exponent with both signs 1,678 times; and around the edges."""
    bits = np.arange(0, 2**32, 4999, dtype=np.uint64).astype(np.uint32)
    ramp = np.linspace(-110, 110, 1 << 17, dtype=np.float32)
    return np.concatenate([bits.view(np.float32), ramp, neighbours(np.float32)])


@lru_cache
def float64() -> np.ndarray:
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 2**64, 50_000, dtype=np.uint64).view(np.float64)
    scales = [draw.normal(0, s, 10_000) for s in (1e-8, 1e-3, 1, 10, 200)]
    ramp = np.linspace(-750, 750, 1 << 15)
    return np.concatenate([bits, *scales, ramp, neighbours(np.float64)])


WAYS = [*native.isas(), "reference"]


def test_all_functions_are_here():
    assert set(NAMES) == set(FUNCTIONS) == set(ULP) | set(EPS) == set(EXACT)


@pytest.mark.parametrize("way", WAYS)
def test_float32(way: str):
    if way != "reference":
        native.use_isa(way)
    check(every_float32(), np.float64, 0, way == "reference")


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="nothing wider than float64 here")
@pytest.mark.parametrize("way", WAYS)
def test_float64(way: str):
    if way != "reference":
        native.use_isa(way)
    check(float64(), np.longdouble, 1, way == "reference")


@pytest.mark.parametrize("name", NAMES)
def test_the_judge_agrees_with_fifty_digits(name: str):
    """`EXACT` in extended precision against mpmath's derivative of the function itself."""
    functions = {
        "tanh": mpmath.tanh,
        "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
        "relu": lambda v: max(v, mpmath.mpf(0)),
        "identity": lambda v: v,
        "softsign": lambda v: v / (1 + abs(v)),
        "softplus": lambda v: mpmath.log1p(mpmath.exp(v)),
        "exp": mpmath.exp,
        "hard_sigmoid": lambda v: min(max(v / 6 + mpmath.mpf(1) / 2, 0), 1),
    }
    x = np.array([-80.5, -18.0, -16.0, -2.5, -0.125, 0.25, 1.5, 7.0, 16.0, 30.0])
    found = exact(name, x, np.longdouble)
    with mpmath.workdps(120):
        for at, value in zip(x, found, strict=True):
            right = mpmath.diff(functions[name], mpmath.mpf(float(at)), h=mpmath.mpf(10) ** -60)
            assert abs(mpmath.mpf(str(value)) - right) <= abs(right) * mpmath.mpf(10) ** -15, at


def test_softplus_where_its_slope_was_zero():
    x = np.array([-18.0, -16.0, -30.0, -80.0] * 4, np.float32)
    for isa in native.isas():
        native.use_isa(isa)
        found = slopes(x, False)[NAMES.index("softplus")]
        np.testing.assert_allclose(found, _sigmoid(x.astype(np.float64)), rtol=3e-7)
