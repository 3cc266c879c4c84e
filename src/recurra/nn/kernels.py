"""Which kernels a layer runs on, wherever its weights go."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn

from recurra import ops
from recurra.cells import Program


class OnKernels(nn.Module):
    """A module that knows the name of its program, and of its kernels, None without any.

    It keeps the program that it was made with, whatever its cell's name stands for later. Kernels
    of a user's cell are compiled when its weights are first where those run: not for a layer on
    another device.
    """

    program: Program
    _name: str
    _kernel: str | None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._find_kernels()  # it may come from a machine with others

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._find_kernels()
        return self

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        super()._load_from_state_dict(*arguments, **named)
        self._find_kernels()  # with assign=True the weights are others, of another device or dtype

    def _find_kernels(self) -> None:
        self._name = ops.program_name(self.program)
        self.program = ops.named(self._name)  # the object that look-ups know, not a copy of it
        self._kernel = ops.kernel_name(self.program, next(self.parameters()))
