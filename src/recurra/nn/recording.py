"""Looking into a recurrent layer: gates of every step, and how far gradients travel back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from torch import Tensor

from recurra import ops
from recurra.nn.arguments import LayerArguments
from recurra.nn.sequences import Sequences

#: By layer, by direction, by name.
Values: TypeAlias = list[list[dict[str, Tensor]]]


@contextmanager
def state_gradients(layer: LayerArguments) -> Iterator[list[Values]]:
    """Keep the gradients of the loss by the states of every step, for calls of a layer in here.

    Yields a list that has one entry for each call, in their order: by layer and by direction a
    dictionary from each state's name (`h`; of an LSTM also `c`) to dL/d(state) (T, B, R or H), in
    the layout of the input. It is empty until a backward pass has gone through the call, which may
    be after the `with`, and every backward pass writes it anew.

    They are total derivatives. dL/dh_t counts what the output of step t adds, in this layer and in
    those above, and all that flows back from later steps; dL/dc_t of an LSTM also what h_t makes of
    it. Zero at steps that do not count. With zoneout, a state is what goes on to the next step.

    Args:
        layer: the layer, in eager mode.

    Raises:
        InputError: by the call, under a compiler, an exporter or `torch.func`.
    """
    calls: list[Values] = []
    layer.watched_by.append(calls)
    try:
        yield calls
    finally:
        layer.watched_by = [other for other in layer.watched_by if other is not calls]


class Recording:
    """What is to be seen of one call of a layer: gates, gradients by states, or both.

    Args:
        batch: the input, whose layout the values get.
        record: whether gates are wanted.
        watchers: lists that want the gradients by states of this call.
    """

    def __init__(self, batch: Sequences, record: bool, watchers: Sequence[list[Values]]) -> None:
        self.gates: Values = []
        self._batch, self._record = batch, record
        self._gradients: Values | None = [] if watchers else None
        for calls in watchers:
            assert self._gradients is not None
            calls.append(self._gradients)

    def run(self, layer: int, call: ops.Call) -> Sequence[Tensor]:
        """Run one direction of the layer of that number: outputs, final states (1, B, ·)."""
        watch = None
        if self._gradients is not None:
            watch = partial(self._write, _new(self._gradients, layer))
        run = ops.recorded(call, record=self._record, watch=watch)
        if self._record:
            self._write(_new(self.gates, layer), run.visible)
        return [run.outputs, *(s.unsqueeze(0) for s in run.states)]

    def _write(self, to: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
        to.update((name, self._batch.write_padded(value)) for name, value in values.items())


def _new(values: Values, layer: int) -> dict[str, Tensor]:
    """Add a direction to the layer of that number, which may be a new one."""
    if layer == len(values):
        values.append([])
    values[layer].append({})
    return values[layer][-1]
