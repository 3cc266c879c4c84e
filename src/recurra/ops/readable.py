"""Tensors whose address can be taken: what torch keeps lazily is made plain, the rest is refused.

A tensor's memory need not hold its values. It may hold their negatives (`x.conj().imag`), stand for
zeros without having any, be a wrapper around others, lie on another device, or in another layout.
The kernels know addresses alone, so that every operator asks here before it takes one.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from recurra.errors import InputError

_PLAIN = frozenset((Tensor, torch.nn.Parameter))


def are_plain(*tensors: Tensor | None) -> bool:
    """Whether the memory of each tensor, strided and on the CPU, holds its values."""
    return all(
        t is None
        or (
            type(t) in _PLAIN
            and t.is_cpu
            and t.layout is torch.strided
            and not t.is_nested
            and not t.is_quantized
            and not t.is_neg()
            and not t._is_zerotensor()
            and _has_memory(t)
        )
        for t in tensors
    )


def settled(where: str, *tensors: Tensor | None) -> list[Tensor | None]:
    """Return tensors of the same values that are plain: themselves, or copies.

    Args:
        where: what reads them, for the error.
        tensors: any; None stays.

    Raises:
        InputError: the values of one are not in memory here; says what it is and what to do.
    """
    return [None if t is None else _settled(where, t) for t in tensors]


def _settled(where: str, tensor: Tensor) -> Tensor:
    if are_plain(tensor):
        return tensor
    for applies, what, cure in _REFUSED:
        if applies(tensor):
            raise InputError(f"{where}: expected tensors in memory, received {what}: {cure}")
    if tensor._is_zerotensor():
        tensor = torch.zeros_like(tensor)
    # Types of other libraries that add nothing but methods: their memory holds their values.
    plain = tensor.resolve_conj().resolve_neg().as_subclass(Tensor)
    if not are_plain(plain):
        raise InputError(
            f"{where}: expected tensors in memory, received a {type(tensor).__name__} that has "
            "none of its own: use the tensor it was made from"
        )
    return plain


def _has_memory(tensor: Tensor) -> bool:
    """Whether there is any; some tensors raise where they are asked."""
    try:
        return tensor.data_ptr() != 0 or tensor.numel() == 0
    except RuntimeError:
        return False


def _wraps(tensor: Tensor) -> bool:
    functorch = torch._C._functorch
    return bool(
        functorch.is_functorch_wrapped_tensor(tensor)
        or functorch.is_legacy_batchedtensor(tensor)
        or torch._is_functional_tensor(tensor)
    )


def _was_freed(tensor: Tensor) -> bool:
    return type(tensor) in _PLAIN and not tensor._is_zerotensor() and not _has_memory(tensor)


#: What cannot be read, what it is called, and the cure.
_REFUSED: tuple[tuple[Callable[[Tensor], bool], str, str], ...] = (
    (lambda t: t.is_nested, "a nested one", "pad it with .to_padded_tensor(0), and give lengths"),
    (
        _wraps,
        "one of a transformation (torch.func) outside it",
        "give it to the layer inside the function that is transformed",
    ),
    (lambda t: t.is_quantized, "a quantized one", "use .dequantize()"),
    (lambda t: t.layout is torch._mkldnn, "one in oneDNN's layout", "use .to_dense()"),
    (lambda t: t.layout is not torch.strided, "a sparse one", "use .to_dense()"),
    (lambda t: t.is_meta, "one on the device meta", "it has no values: make one on the CPU"),
    (lambda t: not t.is_cpu, "one on another device", "use .cpu()"),
    (_was_freed, "one whose storage was freed", "give it memory before the call"),
)


def check_together(where: str, *tensors: Tensor | None) -> None:
    """Refuse what torch's own operators would, with a line that says why.

    Raises:
        InputError: tensors on several devices, nested or quantized ones.
    """
    given = [t for t in tensors if t is not None]
    for tensor in given:
        if tensor.is_nested or tensor.is_quantized:
            _settled(where, tensor)
    devices = {str(t.device) for t in given}
    if len(devices) > 1:
        raise InputError(
            f"{where}: expected tensors on one device, received some on "
            f"{' and '.join(sorted(devices))}: use .to(), or for meta tensors with values"
        )


def plain_types(tensors: Iterable[Tensor]) -> bool:
    """Whether all are tensors and parameters, and none of a class that computes by itself."""
    return _PLAIN.issuperset(map(type, tensors))
