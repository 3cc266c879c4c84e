"""Calls of the kernels and of the reference with the same arguments, for the tables of tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from recurra import native
from recurra.cells import Program
from recurra.reference import Interpreter

#: Relative to the largest value of an array. The sums of a product run in another order than the
#: reference's, over up to a few hundred terms and a few steps.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}

#: W v + b of v (·, I), W (O, I), and b (O) or None.
Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Case:
    """A call: sizes, and what else the loop may be asked for."""

    steps: int = 5
    batch: int = 3
    inputs: int = 7
    hidden: int = 20
    projection: int = 9
    dtype: torch.dtype = torch.float64
    masked: str = ""  # "", "lengths" or "gaps"
    reverse: bool = False
    dropout: bool = False
    zoneout: str = ""  # "", "share" or "draw"
    threads: int = 1
    given: bool = True  # whether initial states are
    # "time" first, "batch" first, "loose": neither contiguous nor aligned; or "odd": every array of
    # the call begins one element behind an aligned address
    layout: str = "time"
    half: bool = False  # products in bfloat16
    resets: str = ""  # "", "zeros" or "given": what rows begin anew with

    def but(self, **changes: Any) -> "Case":
        """Return the case with some things changed."""
        return replace(self, **changes)

    def place(self, values: Tensor) -> Tensor:
        """Return the values where the case wants its arrays."""
        if self.layout != "odd":
            return values
        space = values.new_empty(values.numel() + 1)
        return space[1:].view(values.shape).copy_(values)


@dataclass
class Problem:
    """Arguments of both sides."""

    program: Program
    case: Case
    x: Tensor
    parameters: list[Tensor]
    initial: list[Tensor]
    valid: Tensor | None
    mask: Tensor | None
    keep: list[Tensor | float | None]
    reset: Tensor | None
    start: list[Tensor]

    @staticmethod
    def of(program: Program, case: Case, seed: int = 0) -> "Problem":
        """Draw a problem."""
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float = 1.0) -> Tensor:
            values = torch.randn(shape, generator=draw, dtype=torch.float64) * scale
            return case.place(values.to(case.dtype))

        c = case
        names = [p.name for p in program.parameters]
        projection = c.projection if "weight_hr" in names else 0
        sizes = {"gates": len(program.gates), "inputs": c.inputs, "hidden": c.hidden}
        parameters = [
            normal(*p.shape(**sizes, projection=projection), scale=0.3) for p in program.parameters
        ]
        for parameter, values in zip(program.parameters, parameters, strict=True):
            if parameter.name.startswith("learnt_"):  # which equations divide by
                values += 1.5
        x = normal(c.steps, c.batch, c.inputs)
        if c.layout == "batch":
            x = x.transpose(0, 1).contiguous().transpose(0, 1)
        elif c.layout == "loose":
            space = torch.zeros(c.steps, c.batch, c.inputs + 3, dtype=c.dtype)
            space[..., 1:-2] = x
            x = space[..., 1:-2]
        widths = [projection or c.hidden] + [c.hidden] * (len(program.states) - 1)
        initial = [c.place(normal(c.batch, w, scale=0.5) * c.given) for w in widths]
        valid = None
        if c.masked == "lengths":
            lengths = torch.randint(0, c.steps + 1, (c.batch,), generator=draw)
            lengths[: c.batch // 2] = lengths[0]  # ties
            lengths[-1:] = 0
            valid = torch.arange(c.steps)[:, None] < lengths
        elif c.masked == "gaps":
            valid = torch.rand((c.steps, c.batch), generator=draw) < 0.6
        if valid is not None:
            x[~valid] = torch.nan
        mask = None
        if c.dropout:
            kept = torch.rand((c.batch, widths[0]), generator=draw) < 0.7
            mask = c.place(kept.to(c.dtype) / 0.7)
        keep: list[Tensor | float | None] = []
        if c.zoneout == "share":
            keep = [0.2, *([0.35] * (len(widths) - 1))]
        elif c.zoneout == "draw":
            keep = [
                c.place((torch.rand((c.steps, c.batch, w), generator=draw) < 0.3).to(c.dtype))
                for w in widths
            ]
        reset, start = None, []
        if c.resets:
            reset = torch.rand((c.steps, c.batch), generator=draw) < 0.3
            reset[:1] = True  # before a step where some rows do not, too
            reset[:1, : c.batch // 2] = False
            start = [c.place(normal(c.batch, w, scale=0.5)) for w in widths]
            start = start if c.resets == "given" else []
        return Problem(program, c, x, parameters, initial, valid, mask, keep, reset, start)

    def inputs(self) -> native.Inputs:
        """The kernels' arguments."""
        c = self.case
        return native.Inputs(
            self.program,
            self.x,
            self.parameters,
            self.initial if c.given else [None] * len(self.initial),
            self.valid,
            self.mask,
            self.keep,
            c.reverse,
            c.threads,
            c.half,
            reset=self.reset,
            start=self.start,
        )

    def empty(self) -> tuple[Tensor, list[Tensor]]:
        """Outputs and final states to write to, full of NaN."""
        c = self.case
        y = self.nothing(c.steps, c.batch, self.initial[0].shape[1])
        if c.layout in ("batch", "loose"):
            y = y.transpose(0, 1).contiguous().transpose(0, 1)
        return y, [self.nothing(*s.shape) for s in self.initial]

    def nothing(self, *shape: int) -> Tensor:
        """NaN to write over."""
        return self.case.place(self.x.new_full(shape, torch.nan))

    def run(
        self,
        *,
        training: bool = True,
        gradients: tuple[Tensor, list[Tensor]] | None = None,
        packed: native.Packed | None = None,
        fresh: bool = False,
    ) -> dict[str, Tensor]:
        """Outputs, and for training all gradients, by the kernels; from others than its own.

        With `fresh` gradients of parameters are written over NaN, not added to zeros.
        """
        inputs = self.inputs()
        y, last = self.empty()
        saved = None
        if training:
            saved = self.nothing(native.saved_size(inputs))
        native.forward(inputs, y, last, saved=saved, packed=packed)
        found = {"y": y, **{f"last {k}": s for k, s in enumerate(last)}}
        if saved is None:
            return found
        dy, dlast = gradients or self.gradients()
        odd = self.case.layout == "odd"
        dx = self.nothing(*self.x.shape) if odd else torch.full_like(self.x, torch.nan)
        start = torch.nan if fresh else 0
        dparameters = [self.case.place(torch.full_like(p, start)) for p in self.parameters]
        dinitial = [self.nothing(*s.shape) for s in self.initial]
        dstart = [self.nothing(*s.shape) for s in self.start]
        padded = [native.padded(s.shape[1]) for s in self.initial]
        dstates = [self.nothing(*y.shape[:2], size) for size in padded]
        native.backward(
            inputs,
            y,
            saved,
            dy,
            dlast,
            dx=dx,
            dparameters=dparameters,
            dinitial=dinitial,
            dstates=dstates,
            fresh=fresh,
            dstart=dstart,
        )
        found["dx"] = dx
        for k, (gradient, state) in enumerate(zip(dstates, self.initial, strict=True)):
            found[f"dstate {k}"] = gradient[..., : state.shape[1]]
        for parameter, gradient in zip(self.program.parameters, dparameters, strict=True):
            found[f"d{parameter.name}"] = gradient
        if self.case.given:
            found |= {f"dinitial {k}": s for k, s in enumerate(dinitial)}
        return found | {f"dstart {k}": s for k, s in enumerate(dstart)}

    def gradients(self) -> tuple[Tensor, list[Tensor]]:
        """dL/dy and dL/dlast of an arbitrary L."""
        draw = torch.Generator().manual_seed(99)

        def like(t: Tensor) -> Tensor:
            values = torch.randn(t.shape, generator=draw, dtype=torch.float64)
            return self.case.place(values.to(t.dtype))

        y, last = self.empty()
        return like(y), [like(s) for s in last]

    def expected(self, *, linear: Linear | None = None) -> dict[str, Tensor]:
        """The same by the reference and autograd, in float64; with other products than its own."""
        x = torch.nan_to_num(self.x).double().contiguous().requires_grad_()
        parameters = [p.double().requires_grad_() for p in self.parameters]
        initial = [s.double().requires_grad_() for s in self.initial]
        start = [s.double().requires_grad_() for s in self.start]
        by_name = {p.name: v for p, v in zip(self.program.parameters, parameters, strict=True)}
        steps: list[list[Tensor]] = []

        def tap(states: Sequence[Tensor]) -> list[Tensor]:
            steps.append([s.view_as(s) for s in states])  # as they go on, for whoever reads them
            return steps[-1]

        interpreter = Interpreter(self.program, by_name)
        if linear is not None:
            interpreter._library = replace(interpreter._library, linear=linear)
        run = interpreter.run(
            x,
            initial,
            valid=self.valid,
            reverse=self.case.reverse,
            recurrent_mask=None if self.mask is None else self.mask.double(),
            keep=[k.double() if isinstance(k, Tensor) else k for k in self.keep] or None,
            tap=tap,
            reset=self.reset,
            start=start,
        )
        dy, dlast = self.gradients()
        loss = (run.outputs * dy.double()).sum()
        loss = loss + sum((s * d.double()).sum() for s, d in zip(run.states, dlast, strict=True))
        if self.case.reverse:
            steps.reverse()
        wanted = [x, *parameters, *initial, *start, *(s for states in steps for s in states)]
        found = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        names = ["dx", *(f"d{p.name}" for p in self.program.parameters)]
        result = {"y": run.outputs, **{f"last {k}": s for k, s in enumerate(run.states)}}
        result |= dict(zip(names, found, strict=False))
        rest = iter(found[len(names) :])
        dinitial = [next(rest) for _ in initial]
        if self.case.given:
            result |= {f"dinitial {k}": g for k, g in enumerate(dinitial)}
        result |= {f"dstart {k}": next(rest) for k, _ in enumerate(start)}
        dstates = list(zip(*[[next(rest) for _ in initial] for _ in steps], strict=True))
        for k, state in enumerate(initial):
            empty = state.new_zeros(0, *state.shape)
            result[f"dstate {k}"] = torch.stack(dstates[k]) if steps else empty
        return {name: value.detach() for name, value in result.items()}


def compare(found: dict[str, Tensor], expected: dict[str, Tensor], dtype: torch.dtype) -> None:
    """Assert that all arrays agree; the message lists those that do not."""
    wrong = []
    for name, value in found.items():
        want = expected[name]
        assert value.shape == want.shape, name
        if not value.numel():
            continue
        scale = max(1.0, float(want.abs().max()))
        error = float((value.double() - want).abs().max()) / scale
        if not error <= TOLERANCE[dtype]:
            wrong.append(f"{name}: {error:.1e}")
    assert not wrong, ", ".join(wrong)
