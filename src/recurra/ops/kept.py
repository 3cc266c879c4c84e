"""Weights in the kernels' order, kept from call to call while the parameters stay what they are.

Putting weights in order costs several times what one step of one sequence does. What was put in
order is used again only for the very same parameters, at the same place, of the same version by
autograd's counter (which optimizers, `load_state_dict` and every in-place operation move on), not
shared with other processes, and with the same values as far as `native.watched` compares them: that
notices what `.data` and views of numpy hide from the counter, unless it is a few elements of a
large matrix. `forget` is for those.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra import native
from recurra.ops.programs import named

#: Steps times rows of a call above which ordering the weights is a small part of it.
MOST_ROWS = 128

Key = tuple[Any, ...]


class Held(NamedTuple):
    """Weights in order, and what they were made of."""

    packed: native.Packed
    watched: Any


class KeptWeights:
    """The ordered weights of one direction of one layer; safe to ask from several threads.

    The first call with some parameters orders them for itself alone, and the second keeps them, so
    that a training loop, where each call has other weights, keeps nothing. They take the memory of
    the weights once more.
    """

    __slots__ = ("_held", "_seen")

    def __init__(self) -> None:
        self._held: Held | None = None
        self._seen: Key | None = None

    def forget(self) -> None:
        """Drop what is kept, by whoever has it: the next calls read the parameters."""
        held, self._held, self._seen = self._held, None, None
        if held is not None:
            held.watched.forget()

    @property
    def held(self) -> Held | None:
        """What is kept, as it was at the latest call that asked for it."""
        return self._held

    @property
    def nbytes(self) -> int:
        """Bytes that are kept, not counting padding."""
        held = self._held
        return 0 if held is None else held.packed.nbytes

    def ordered(self, kernel: str, parameters: Sequence[Tensor]) -> Any:
        """Return what `forward` takes as `packed`: the weights in order, or None.

        Args:
            kernel: the program's name.
            parameters: in the order of `program.parameters`.
        """
        held = self._held
        if held is not None:
            if held.watched.same(parameters):
                return held.packed.handle
            self._held = None
        key = _key(parameters)
        if key is None or key != self._seen:
            self._seen = key
            return None
        return self._keep(kernel, parameters)

    def _keep(self, kernel: str, parameters: Sequence[Tensor]) -> Any:
        self._seen = None
        if not all([_lasts(p) for p in parameters]):
            return None
        watched = native.watched(parameters)
        given = [p.detach() for p in parameters]
        packed = native.Packed(named(kernel), given, threads=torch.get_num_threads())
        if not watched.same(parameters):  # another thread changed them meanwhile
            return None
        self._held = Held(packed, watched)
        return packed.handle


def _key(parameters: Sequence[Tensor]) -> Key | None:
    """What changes when a parameter does; None for what has no versions."""
    try:
        return (native.isa(), *[(p.data_ptr(), p._version) for p in parameters])
    except RuntimeError:  # made in inference mode
        return None


def _lasts(parameter: Tensor) -> bool:
    """Whether nobody changes it unseen: another process could write to shared memory."""
    return (
        type(parameter) is nn.Parameter
        and parameter.is_contiguous()
        and not parameter.is_shared()
        and parameter.untyped_storage().filename is None
    )
