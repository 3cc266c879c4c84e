"""The kernel of the output layer and its loss against torch's own computation in float64."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recurra import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the kernels are not compiled")

#: Relative to the largest value of an array: the roundings of a sum of 33,278 terms, in one chain,
#: add up to some sqrt(33,278) times half an eps of 1.2e-7 or 2.2e-16.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 2e-14}

#: N, H, V: one of each kind of end that rows, features, tokens, chunks and slices can have.
SIZES = [
    (0, 5, 7),
    (1, 3, 1),
    (1, 16, 2),
    (7, 20, 65),
    (33, 48, 1000),
    (70, 33, 253),
    (300, 17, 504),
    (1100, 7, 300),
    (9, 4700, 40),
]


@pytest.fixture(autouse=True)
def _same_isa():
    before = native.isa()
    yield
    native.use_isa(before)


class Problem:
    """Rows to score, and the gradients of some loss by the scores."""

    def __init__(self, rows, features, tokens, *, dtype=torch.float32, bias=True, counted=False):
        draw = torch.Generator().manual_seed(rows + features + tokens)

        def normal(*shape, scale=1.0):
            values = torch.randn(shape, generator=draw, dtype=torch.float64) * scale
            return values.to(dtype)

        self.x, self.weight = normal(rows, features), normal(tokens, features)
        self.weight /= features**0.5
        self.bias = normal(tokens) if bias else None
        self.targets = torch.randint(tokens, (rows,), generator=draw)
        self.counted = torch.rand(rows, generator=draw) < 0.7 if counted else None
        self.dloss = normal(rows)
        if counted:
            self.x[~self.counted] = torch.nan
            self.targets[~self.counted] = -5

    def run(self, *, threads=1, wanted=(True, True, True), half=False):
        """Losses, and the gradients by x, weight and bias; everything starts out as NaN."""
        x, weight, bias, targets, counted = (
            self.x,
            self.weight,
            self.bias,
            self.targets,
            self.counted,
        )
        inputs = native.LossInputs(x, weight, bias, targets, counted, threads, half)
        loss, spread = x.new_full((len(x),), torch.nan), x.new_full((len(x), 2), torch.nan)
        assert native.loss_forward(inputs, loss, spread) is None
        leaves = (x, weight, bias)
        made = [
            torch.full(leaf.shape, torch.nan, dtype=x.dtype) if leaf is not None and w else None
            for leaf, w in zip(leaves, wanted, strict=True)
        ]
        dx, dweight, dbias = made
        native.loss_backward(inputs, spread, self.dloss, dx=dx, dweight=dweight, dbias=dbias)
        return [loss, *made]

    def expected(self):
        """The same by torch, in float64."""
        bias = self.bias if self.bias is not None else torch.zeros(len(self.weight))
        leaves = [v.double().requires_grad_() for v in (self.x, self.weight, bias)]
        x, weight, bias = leaves
        rows = slice(None) if self.counted is None else self.counted
        found = functional.cross_entropy(
            x[rows] @ weight.T + bias, self.targets[rows], reduction="none"
        )
        loss = torch.zeros(len(x), dtype=torch.float64)
        loss[rows] = found.detach()
        gradients = torch.autograd.grad(found, leaves, self.dloss.double()[rows])
        return [loss, gradients[0], gradients[1], gradients[2] if self.bias is not None else None]


def compare(found: list[Tensor | None], expected: list[Tensor | None], dtype: torch.dtype) -> None:
    wrong = []
    for name, value, want in zip(("loss", "dx", "dW", "db"), found, expected, strict=True):
        assert (value is None) == (want is None), name
        if value is None or not value.numel():
            continue
        error = float((value.double() - want).abs().max()) / max(1.0, float(want.abs().max()))
        if not error <= TOLERANCE[dtype]:
            wrong.append(f"{name}: {error:.1e}")
    assert not wrong, ", ".join(wrong)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_torch(size, dtype, isa):
    native.use_isa(isa)
    for bias, counted, threads in itertools.product((True, False), (False, True), (1, 2)):
        problem = Problem(*size, dtype=dtype, bias=bias, counted=counted)
        compare(problem.run(threads=threads), problem.expected(), dtype)


in_half = pytest.mark.skipif(not native.half_products(), reason="no products in bfloat16 here")


@in_half
@pytest.mark.parametrize("size", [s for s in SIZES if s[0]] + [(71, 40, 33_278)], ids=str)
def test_products_in_bfloat16(size):
    """Against float64 on arguments rounded beforehand; a gradient is rounded once more within."""
    for bias, counted, threads in itertools.product((True, False), (False, True), (1, 2)):
        problem = Problem(*size, bias=bias, counted=counted)
        problem.x, problem.weight = (v.bfloat16().float() for v in (problem.x, problem.weight))
        loss, *gradients = problem.run(threads=threads, half=True)
        want, *expected = problem.expected()
        compare([loss, None, None, None], [want, None, None, None], torch.float32)
        for value, right in zip(gradients, expected, strict=True):
            if right is not None:  # eps is 2^-8; errors of the terms of a sum are independent
                error = float((value.double() - right).abs().max())
                assert error <= 2**-8 * max(1.0, float(right.abs().max()))


@in_half
def test_bits_in_bfloat16_depend_on_the_row_alone():
    problem = Problem(1100, 20, 600)
    problem.bias[:] = 200.0  # what is beyond the last row must not overflow
    loss, dx, *sums = problem.run(half=True)
    for again in (problem.run(half=True), problem.run(threads=2, half=True)):
        torch.testing.assert_close(again, [loss, dx, *sums], rtol=0, atol=0)
    part = Problem(1, 20, 600)
    part.weight, part.bias = problem.weight, problem.bias
    part.x, part.targets = problem.x[517:518], problem.targets[517:518]
    part.dloss = problem.dloss[517:518]
    alone, dx_alone, *_ = part.run(half=True)
    assert torch.equal(alone, loss[517:518])
    assert torch.equal(dx_alone, dx[517:518])


def test_of_words():
    """As many tokens as a word model has, on rows that fill no vector."""
    problem = Problem(71, 40, 33_278)
    compare(problem.run(threads=2), problem.expected(), torch.float32)


def test_rows_that_lie_apart():
    problem, plain = Problem(30, 21, 300), Problem(30, 21, 300)
    space = torch.full((30, 29), torch.nan)
    space[:, 3:24] = problem.x
    problem.x = space[:, 3:24]
    torch.testing.assert_close(problem.run(), plain.run(), rtol=0, atol=0)


@pytest.mark.parametrize("wanted", list(itertools.product((True, False), repeat=3)))
def test_only_gradients_that_are_wanted(wanted):
    problem = Problem(40, 30, 300)
    for value, whole in zip(problem.run(wanted=wanted), problem.run(), strict=True):
        assert value is None or torch.equal(value, whole)


@pytest.mark.parametrize("isa", native.isas())
def test_bits_depend_on_the_row_alone(isa):
    """Not on other rows, nor how many; and those of sums not on the threads, nor the run."""
    native.use_isa(isa)
    problem = Problem(1100, 20, 600)
    loss, dx, *sums = problem.run()
    for again in (problem.run(), problem.run(threads=2), problem.run(threads=3)):
        torch.testing.assert_close(again, [loss, dx, *sums], rtol=0, atol=0)
    for rows in (slice(0, 1), slice(517, 518), slice(1000, 1100), slice(3, 1100, 7)):
        part = Problem(1, 20, 600)
        part.weight, part.bias = problem.weight, problem.bias
        part.x, part.targets = problem.x[rows].contiguous(), problem.targets[rows].contiguous()
        part.dloss = problem.dloss[rows].contiguous()
        alone, dx_alone, *_ = part.run()
        assert torch.equal(alone, loss[rows])
        assert torch.equal(dx_alone, dx[rows])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_large_logits(dtype):
    """What would overflow without taking the greatest away."""
    problem = Problem(50, 20, 700, dtype=dtype)
    problem.weight[:, 0], problem.x[:, 0] = problem.weight[:, 0] * 1000, 30.0
    expected = problem.expected()
    assert float(expected[0].max()) > 1e4
    loss, *gradients = problem.run()
    # of a logit of 10,000 the last bit is 0.001
    limit = {torch.float32: 1e-3, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(loss.double(), expected[0], rtol=limit, atol=limit)
    for value, want in zip(gradients, expected[1:], strict=True):
        scale = float(want.abs().max())
        assert float((value.double() - want).abs().max()) <= 3 * limit * scale


def test_what_is_not_finite_stays_in_its_row():
    problem = Problem(40, 20, 600)
    clean, clean_dx, *_ = problem.run()
    problem.x[5, 3], problem.x[20, 0] = math.nan, math.inf
    loss, dx, dweight, dbias = problem.run()
    bad = torch.zeros(40, dtype=torch.bool)
    bad[[5, 20]] = True
    assert loss[bad].isnan().all()
    assert dx[bad].isnan().all()
    assert torch.equal(loss[~bad], clean[~bad])
    assert torch.equal(dx[~bad], clean_dx[~bad])
    assert dweight.isnan().all()
    assert dbias.isnan().all()


def test_tokens_that_a_bias_forbids():
    """Of -infinity, also all of a chunk; and a target of that kind has infinite loss."""
    problem = Problem(20, 8, 600)
    problem.bias[:400] = -math.inf
    problem.targets[:] = 450
    problem.targets[3] = 7
    loss, *gradients = problem.run()
    expected = problem.expected()
    assert loss[3] == expected[0][3] == math.inf
    loss[3] = expected[0][3] = 0
    compare([loss, *gradients], expected, torch.float32)


@pytest.mark.parametrize("target", [-1, 30, 2**40, -(2**40)])
def test_a_target_that_is_no_token_is_found_before_anything_is_read(target):
    problem = Problem(9, 4, 30)
    problem.targets[6] = target
    inputs = native.LossInputs(problem.x, problem.weight, problem.bias, problem.targets)
    loss, spread = torch.full((9,), 3.0), torch.full((9, 2), 3.0)
    assert native.loss_forward(inputs, loss, spread) == 6
    assert (loss == 3).all()
    assert (spread == 3).all()
