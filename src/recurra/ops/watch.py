"""What looks on while a tensor is computed, besides plain autograd."""

import torch
from torch import Tensor
from torch.autograd import forward_ad


def traced(x: Tensor) -> bool:
    """Whether a mode, a subclass or a tracer has to see the operator."""
    plain = type(x) in (Tensor, torch.nn.Parameter)
    watched = torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state()
    return not plain or bool(watched)


def special() -> bool:
    """Whether a transformation of `torch.func` or forward-mode differentiation is under way."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def batched(*tensors: Tensor | None) -> bool:
    """Whether `torch.func` or `is_grads_batched` hands over many tensors as one."""
    functorch = torch._C._functorch
    return torch._C._are_functorch_transforms_active() or any(
        functorch.is_legacy_batchedtensor(t) for t in tensors if t is not None
    )
