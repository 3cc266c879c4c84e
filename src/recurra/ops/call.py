"""`Call`: one direction of one layer for one batch, the same for every way to compute it.

A way is a function from a `Call` to the outputs and the final states, a file each; `route.py`
decides between them. What operators take is a `Call`'s fields, in this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recurra.cells import Program
from recurra.errors import InputError
from recurra.ops.kept import KeptWeights
from recurra.ops.programs import named


class Call(NamedTuple):
    """What is computed, from what.

    Attributes:
        name: of the program, as `program_name` gives it.
        x: inputs (T, B, I).
        parameters: in the order of `program.parameters`.
        initial: per state (B, R) or (B, H); or with an axis of layers in front, as a module's are,
            and the final ones have it, too; or empty: zeros of that kind.
        valid: booleans (T, B): which steps count; at others states wait, outputs are zero. None:
            all.
        mask: factors (B, R) on what enters a recurrent product (recurrent dropout), or None.
        keep: per state factors (T, B, ·), the share of the old state that stays (zoneout), or
            None; empty where there are none.
        rates: per state that share as a number, where `keep` has None; empty where there are none.
        reverse: from the last step to the first.
        half: products in bfloat16, sums in float32.
        tokens: int64 (T, B): the input at a step is that row of x, which is (V, I); or None.
        kernels: whether there are kernels of the program. From here on, no operator takes it.
        kept: where weights in the kernels' order are kept between calls of few steps, or None.
        reset: booleans (T, B): before which steps, by their place in x, a row's states are replaced
            by its `start`, forward and backward; None: before none.
        start: per state as `initial`; or empty: zeros.
    """

    name: str
    x: Tensor
    parameters: Sequence[Tensor]
    initial: Sequence[Tensor] = ()
    valid: Tensor | None = None
    mask: Tensor | None = None
    keep: Sequence[Tensor | None] = ()
    rates: Sequence[float] = ()
    reverse: bool = False
    half: bool = False
    tokens: Tensor | None = None
    kernels: bool = True
    kept: KeptWeights | None = None
    reset: Tensor | None = None
    start: Sequence[Tensor] = ()

    @property
    def program(self) -> Program:
        """The program of that name."""
        return named(self.name)

    @property
    def fields(self) -> tuple[Any, ...]:
        """What operators take: see `SCHEMA`."""
        return (*self[: len(SCHEMA) - 2], self.reset, self.start)

    @classmethod
    def of(cls, fields: Sequence[Any]) -> "Call":
        """Return the call that has such `fields`."""
        *most, reset, start = fields
        return cls(*most)._replace(reset=reset, start=start)

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """What there are gradients by: x, parameters, initial states, those after a reset."""
        return (self.x, *self.parameters, *self.initial, *self.start)

    @property
    def steps(self) -> torch.Size:
        """T and B."""
        return (self.x if self.tokens is None else self.tokens).shape[:2]

    @property
    def stacked(self) -> bool:
        """Whether states have an axis of layers in front."""
        return len(self.initial) == 0 or self.initial[0].dim() == 3  # as compilers can read it

    @property
    def shares(self) -> list[Tensor | float | None]:
        """`keep` and `rates` in one list, None for a state without zoneout."""
        return [
            k if k is not None else r or None for k, r in zip(self.keep, self.rates, strict=True)
        ]

    def dense(self) -> "Call":
        """The same on the rows that the tokens choose."""
        if self.tokens is None:
            return self
        return self._replace(x=Lookup(self.x, self.tokens).dense(), tokens=None)

    def started(self) -> "Call":
        """The same with the zeros that missing initial states stand for."""
        if len(self.initial) > 0:
            return self
        program = self.program
        hidden, recurrent = program.widths([p.shape for p in self.parameters])
        widths = [recurrent, *[hidden] * (len(program.states) - 1)]
        return self._replace(initial=[self.x.new_zeros(1, self.steps[1], w) for w in widths])

    def flat(self) -> "Call":
        """The same with states (B, ·), and the inputs themselves: what the reference reads."""
        whole = self.dense().started()
        if not self.stacked:
            return whole
        initial, start = [s[0] for s in whole.initial], [s[0] for s in whole.start]
        return whole._replace(initial=initial, start=start)


#: What operators of a backward pass say they take: the fields up to `tokens`, and the last two.
SCHEMA = (
    "str name",
    "Tensor x",
    "Tensor[] parameters",
    "Tensor[] initial",
    "Tensor? valid",
    "Tensor? mask",
    "Tensor?[] keep",
    "float[] rates",
    "bool reverse",
    "bool half",
    "Tensor? tokens",
    "Tensor? reset",
    "Tensor[] start",
)
#: What those of a forward pass take after a flag: programs exported before there were resets have
#: no such arguments.
LATER = ("Tensor? reset=None", "Tensor[]? start=None")


def arguments(fields: Sequence[Any], flag: bool) -> tuple[Any, ...]:
    """A call's fields, as an operator of a forward pass takes them."""
    *most, reset, start = fields
    return *most, flag, reset, list(start) or None


def read_arguments(given: Sequence[Any], count: int) -> tuple[list[Any], bool]:
    """The fields and the flag; `count` are the fields before it. What is last may be left out."""
    most, flag, later = given[:count], given[count], given[count + 1 :]
    reset, start = (*later, None, None)[:2]
    return [*most, reset, start or []], flag


def packed(
    call: Call, y: Tensor | None, saved: Tensor | None
) -> tuple[tuple[Tensor | None, ...], tuple[Any, ...]]:
    """Return all a backward pass needs, as tensors for autograd to keep, and the rest."""
    one, two = len(call.parameters), len(call.parameters) + len(call.initial)
    single = (y, saved, call.x, call.valid, call.mask, call.tokens, call.reset)
    fixed = (call.name, call.rates, call.reverse, call.half, (one, two, two + len(call.start)))
    return (*single, *call.parameters, *call.initial, *call.start, *call.keep), fixed


def unpacked(tensors: Sequence[Any], fixed: tuple[Any, ...]) -> tuple[Call, Any, Any]:
    """Return what went into `packed`."""
    name, rates, reverse, half, (one, two, three) = fixed
    y, saved, x, valid, mask, tokens, reset, *rest = tensors
    noise = valid, mask, rest[three:], rates
    call = Call(name, x, rest[:one], rest[one:two], *noise, reverse, half, tokens)
    if reset is not None:
        call = call._replace(reset=reset, start=rest[two:three])
    return call, y, saved


def later_gradients(call: Call, gradients: list[Any]) -> tuple[Any, ...]:
    """What is returned for the arguments after the flag: none for those that were left out."""
    if call.start:
        return None, gradients
    return () if call.reset is None else (None,)


@dataclass(frozen=True, slots=True)
class Lookup:
    """An input that tokens choose: at step t row b reads `rows[tokens[t, b]]`.

    It has as much of a tensor as layers ask for.

    rows: (V, I), an embedding, say. tokens: int64 (T, B).
    """

    rows: Tensor
    tokens: Tensor

    @property
    def shape(self) -> torch.Size:
        """T, B, I."""
        return torch.Size((*self.tokens.shape, self.rows.shape[1]))

    @property
    def device(self) -> torch.device:
        """Where the tokens are."""
        return self.tokens.device

    def dim(self) -> int:
        """Return 3."""
        return 1 + self.tokens.dim()

    def transpose(self, first: int, second: int) -> "Lookup":
        """Return the same with T and B exchanged."""
        return Lookup(self.rows, self.tokens.transpose(first, second))

    def unsqueeze(self, axis: int) -> "Lookup":
        """Return tokens (T,) as (T, 1)."""
        return Lookup(self.rows, self.tokens.unsqueeze(axis))

    def new_zeros(self, *shape: int) -> Tensor:
        """Return zeros of the dtype of the rows."""
        return self.rows.new_zeros(*shape)

    def dense(self) -> Tensor:
        """Return the input itself, (T, B, I)."""
        try:
            return functional.embedding(self.tokens, self.rows)
        except IndexError as error:
            last = len(self.rows) - 1
            raise InputError(f"tokens: expected numbers from 0 to {last}") from error
