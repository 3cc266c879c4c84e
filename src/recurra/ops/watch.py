"""What looks on while a tensor is computed, besides plain autograd."""

import torch
from torch import Tensor
from torch.autograd import forward_ad

_PLAIN = (Tensor, torch.nn.Parameter)


def traced(x: Tensor) -> bool:
    """Whether a mode, a subclass or a tracer has to see the operator."""
    watched = torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state()
    return type(x) not in _PLAIN or bool(watched)


def special() -> bool:
    """Whether a transformation of `torch.func` or forward-mode differentiation is under way."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def plain() -> bool:
    """Whether calls are eager, want no gradients, and nothing casts or looks at their tensors."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or special()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
    )


def eager(x: Tensor) -> bool:
    """Whether nothing but autograd looks on."""
    return not (torch.compiler.is_compiling() or special() or traced(x))


def batched(*tensors: Tensor | None) -> bool:
    """Whether `torch.func` or `is_grads_batched` hands over many tensors as one."""
    functorch = torch._C._functorch
    return torch._C._are_functorch_transforms_active() or any(
        [functorch.is_legacy_batchedtensor(t) for t in tensors if t is not None]
    )
