"""One direction of one layer on the kernels, forward and backward."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from recurra.cells.graph import Program
from recurra.cells.limits import PAD, padded
from recurra.native import library
from recurra.native.arrays import Array, hidden_and_projection, is_double, order
from recurra.native.library import index_of
from recurra.native.packed import Packed


class Inputs(NamedTuple):
    """What a call computes, and from what.

    Attributes:
        program: the cell, one that `find` knows.
        x: inputs (T, B, I); only the last axis must be contiguous. With `tokens` the rows (V, I)
            that they choose from, whose products are computed once: worth it where V is well below
            T · B.
        parameters: in the order of `program.parameters`, contiguous.
        initial: per state (B, R) or (B, H), contiguous; None: zeros.
        valid: booleans (T, B), contiguous; None: every step of every row counts.
        recurrent_mask: factors (B, R), contiguous, on what enters a recurrent product.
        keep: per state None, or the share of its old value that stays: a number, or factors
            (T, B, R or H), contiguous.
        reverse: from the last step to the first.
        threads: how many threads to use; below 0: at most so many, where there is enough work for
            them. Results do not depend on it.
        half: compute products in bfloat16 with sums in float32; float32 only, where `half_products`
            has a name.
        tokens: int64 (T, B), contiguous, each below V; None: the inputs are x itself. Not for a
            program that normalizes the input's product.
        reset: booleans (T, B), contiguous: before which steps, by their place in x, a row's states
            are replaced by its `start`; None: before none.
        start: per state (B, R) or (B, H), contiguous; None or empty: zeros.
    """

    program: Program
    x: Array
    parameters: Sequence[Array]
    initial: Sequence[Array | None]
    valid: Array | None = None
    recurrent_mask: Array | None = None
    keep: Sequence[Array | float | None] = ()
    reverse: bool = False
    threads: int = 1
    half: bool = False
    tokens: Array | None = None
    reset: Array | None = None
    start: Sequence[Array | None] = ()

    @property
    def sizes(self) -> list[int]:
        """T, B, I, H, P, and V where there are tokens."""
        hidden = hidden_and_projection(self.program, self.parameters)
        if self.tokens is None:
            return [*self.x.shape, *hidden]
        return [*self.tokens.shape, self.x.shape[1], *hidden, self.x.shape[0]]


def sized(
    program: Program,
    sizes: Sequence[int],
    *,
    double: bool,
    reverse: bool = False,
    half: bool = False,
    masked: bool = False,
    rates: Sequence[float] = (),
    factors: Sequence[bool] = (),
) -> Any:
    """Return the kernels of a program for certain sizes and options: what calls need not say again.

    It has `forward` and `backward`, which take what the functions below do, in this order and
    checking nothing, as arrays of numpy or torch (`keep` has factors alone; torch's that are only
    read need not be contiguous); `saved_size`, of elements; and `saved_states()`. Making it costs
    more than the call of a short sequence.

    Args:
        program: the cell, one that `find` knows.
        sizes: as `Inputs.sizes`.
        double: whether arrays hold float64.
        reverse, half: as in `Inputs`.
        masked: whether calls have `valid`.
        rates: per state the share of its old value that stays, 0 where calls have factors.
        factors: per state whether they have.
    """
    make = library.compiled().Sized64 if double else library.compiled().Sized32
    places = [-1 if place is None else place for place in order(program).places]
    mixed = [given or rate != 0 for given, rate in zip(factors, rates, strict=True)]
    options = (reverse, half, list(rates), masked, mixed)
    return make(index_of(program), list(sizes), places, *options)


@library.for_one_isa
def _sized(
    program: Program,
    sizes: tuple[int, ...],
    double: bool,
    reverse: bool,
    half: bool,
    masked: bool,
    rates: tuple[float, ...],
    factors: tuple[bool, ...],
) -> Any:
    return sized(
        program,
        sizes,
        double=double,
        reverse=reverse,
        half=half,
        masked=masked,
        rates=rates,
        factors=factors,
    )


def sized_for(inputs: Inputs) -> Any:
    """Return what `sized` does: a call shares it with others of its sizes and options."""
    return _sized(
        inputs.program,
        # A compiler's sizes are symbols until they are asked for their value.
        tuple(map(int, inputs.sizes)),
        is_double(inputs.x),
        inputs.reverse,
        inputs.half,
        inputs.valid is not None,
        tuple([float(k) if isinstance(k, int | float) else 0.0 for k in inputs.keep]),
        tuple([k is not None for k in _factors(inputs)]),
    )


def reads_output(run: Any) -> bool:
    """Whether backward reads the outputs again: of what `sized` returns."""
    return bool(run.saved_states()[0] < 0)


def saved_size(inputs: Inputs) -> int:
    """Return how many elements forward has to leave for backward."""
    return int(sized_for(inputs).saved_size)


def forward(
    inputs: Inputs,
    y: Array,
    last: Sequence[Array | None],
    *,
    saved: Array | None = None,
    packed: Packed | None = None,
) -> None:
    """Run a layer in one direction.

    Args:
        inputs: see `Inputs`.
        y: outputs (T, B, R), written; only the last axis must be contiguous.
        last: per state (B, R) or (B, H), written, contiguous; None: not wanted.
        saved: flat, of `saved_size(inputs)` elements, written; None: no backward pass will follow.
        packed: the parameters, where they were packed beforehand.
    """
    sized_for(inputs).forward(
        inputs.x,
        inputs.parameters,
        inputs.initial,
        y,
        last,
        saved,
        *_noise(inputs),
        inputs.threads,
        packed.handle if packed else None,
        inputs.reset,
        inputs.start,
    )


def backward(
    inputs: Inputs,
    y: Array | None,
    saved: Array,
    dy: Array | None,
    dlast: Sequence[Array | None],
    *,
    dx: Array | None,
    dparameters: Sequence[Array | None],
    dinitial: Sequence[Array | None],
    dstates: Sequence[Array | None] = (),
    fresh: bool = False,
    dstart: Sequence[Array | None] = (),
) -> None:
    """Compute the gradients of a layer in one direction.

    Args:
        inputs: those of the forward call.
        y: what it computed; read, and not None, where `reads_output` says so.
        saved: what it saved; not changed, so that backward can run again.
        dy: dL/dy (T, B, R), last axis contiguous; None: zeros.
        dlast: per state dL/d(last), contiguous; None: zeros.
        dx: dL/dx, of the shape of x, written, last axis contiguous; None: not wanted.
        dparameters: in the order of `program.parameters`, contiguous; *added to*, or with `fresh`
            written; None: not wanted.
        dinitial: per state, written, contiguous; None: not wanted.
        dstates: per state dL/d(its value after each step), all that follows from it included,
            (T, B, R or H rounded up as by `padded`), written, contiguous; zeros at steps that do
            not count; None: not wanted.
        dstart: per state, written, contiguous; None: not wanted.
    """
    sized_for(inputs).backward(
        inputs.x,
        inputs.parameters,
        inputs.initial,
        y,
        saved,
        dy,
        dlast,
        dx,
        dparameters,
        dinitial,
        dstates,
        *_noise(inputs),
        inputs.threads,
        fresh,
        inputs.reset,
        inputs.start,
        dstart,
    )


def kept(inputs: Inputs, saved: Array) -> dict[str, Array]:
    """Return copies (T, B, H) of the gates that a training call saved, by name."""
    found = library.compiled().kept(index_of(inputs.program))
    visible = inputs.program.visible  # those of cells of one's own are places in this
    names = [visible[int(name)][0] if name.isdigit() else name for name in found]
    steps, batch, _, hidden = inputs.sizes[:4]
    panels = padded(hidden) // PAD
    part = saved[: steps * panels * batch * len(names) * PAD]
    part = part.reshape(steps, panels, batch, len(names), PAD).swapaxes(1, 2)
    return {
        name: part[:, :, :, k].reshape(steps, batch, panels * PAD)[:, :, :hidden]
        for k, name in enumerate(names)
        if name
    }


def recorded(inputs: Inputs, y: Array, saved: Array) -> dict[str, Array] | None:
    """Return arrays (T, B, ·) of all that the cell names, from what a training call computed.

    States are as the equations give them, before zoneout. At steps that do not count, values are
    without meaning. None: the kernels do not keep all of it.
    """
    program, gates = inputs.program, kept(inputs, saved)
    computed = states(inputs, y, saved, computed=True)
    found: dict[str, Array] = {}
    for name, node in program.visible:
        if name in gates:
            found[name] = gates[name]
        elif node in program.next:
            found[name] = computed[program.next.index(node)]
        else:
            return None
    return found


def states(inputs: Inputs, y: Array, saved: Array, *, computed: bool = False) -> list[Array]:
    """Return views (T, B, R or H) of the states after the steps, from what a training call left.

    With `computed` they are as the equations give them, before zoneout, and without meaning at
    steps that do not count.
    """
    starts = sized_for(inputs).saved_states()
    starts = starts[len(starts) // 2 :] if computed else starts
    steps, batch, _, hidden, projection = inputs.sizes[:5]
    found = []
    for state, start in zip(range(len(inputs.program.states)), starts, strict=False):
        units = (projection or hidden) if state == 0 else hidden
        rows = padded(units)
        part = saved[start : start + steps * batch * rows] if start >= 0 else None
        found.append(y if part is None else part.reshape(steps, batch, rows)[:, :, :units])
    return found


def _noise(inputs: Inputs) -> tuple[Any, ...]:
    """What is not there in most calls."""
    return inputs.valid, inputs.recurrent_mask, _factors(inputs), inputs.tokens


def _factors(inputs: Inputs) -> list[Array | None]:
    """Zoneout's shares that are arrays."""
    return [None if isinstance(k, int | float) else k for k in inputs.keep]
