"""How many threads our kernels run on, and how training keeps its sums independent of that number.

torch splits sums and matrix products by its number of threads: the CTC loss, `bmm`, gradients of
`Linear`, embeddings, layer norm and others end in other bits on two threads than on one. Our
kernels do not. Training therefore runs torch's own operations on one thread, and the kernels, where
nearly all of the time of a recurrent model goes, on as many as the user asks for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_of_kernels: ContextVar[int | None] = ContextVar("threads of kernels", default=None)


def threads() -> int:
    """The number of threads of a kernel call: that of `fixed_order`, elsewhere torch's."""
    return _of_kernels.get() or torch.get_num_threads()


@contextmanager
def fixed_order(count: int | None = None) -> Iterator[None]:
    """Inside the block torch computes on one thread and our kernels on `count`.

    Results inside do not depend on `count`. None keeps what `threads` returns. torch's number of
    threads is restored at the end.
    """
    before = torch.get_num_threads()
    token = _of_kernels.set(count or threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _of_kernels.reset(token)
