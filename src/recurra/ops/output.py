"""A layer's outputs, which its backward pass may read, while whoever has them may write to them.

torch's layers return copies of what their backward passes read, so that people drop out, mask and
zero outputs in place. Where our kernels read outputs again (where units fill whole vectors), a copy
would cost memory and time in every training step, for the few that are written to. So the outputs
themselves are kept, under their version counter, and computed once more where that has moved.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_autograd = torch._C._autograd
_keeps_graph: Callable[[], bool] = getattr(
    _autograd, "_get_current_graph_task_keep_graph", lambda: True
)
_hooks: Callable[[bool], Any] = getattr(
    _autograd, "_top_saved_tensors_default_hooks", lambda _: None
)


def hooked() -> bool:
    """Whether hooks see what is saved, and may give back something else."""
    return _hooks(False) is not None


def keep(ctx: Any, y: Tensor | None) -> Tensor | None:
    """Keep outputs that autograd's function of context `ctx` is about to return.

    Args:
        ctx: the context.
        y: the outputs; None where nothing will read them.

    Returns:
        What is to be saved for the backward pass: nothing, since an attribute has the output, which
        autograd would refuse to give back once it was written to. A copy where hooks of saved
        tensors are at work (checkpoints, memory of the host): those must see everything that is
        kept, and look at no version.
    """
    ctx.output = None
    if y is None:
        return None
    if hooked():
        return y.clone()
    # Of the same memory and version counter, but no part of the graph, whose cycle would leak.
    ctx.output = y.detach()
    ctx.version = ctx.output._version
    return None


def kept(ctx: Any, saved: Tensor | None, compute: Callable[[], Tensor]) -> Tensor | None:
    """Return the outputs as they were, in the backward pass; None where nothing reads them.

    Args:
        ctx: the context.
        saved: what `keep` returned.
        compute: makes the outputs anew.
    """
    y: Tensor | None = ctx.output
    if saved is not None or y is None:
        return saved
    if not _keeps_graph():
        ctx.output = None
    return y if y._version == ctx.version else compute()
