"""The operators that stand around recurrent ones in ONNX files, over numpy.

Each is a function of its inputs (None where absent) and its attributes. What later versions of
ONNX moved from the attributes to the inputs is looked for in both.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.interop.onnx.graph import library
from recurra.interop.onnx.read import DTYPES
from recurra.native import matmul

Array = Any  # numpy.ndarray, or None where a node leaves an input out
Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Array], Attributes], Any]

#: Names under which attributes have what else of a node an operator has to know.
OUTPUTS, OPSET = "·outputs", "·opset"

#: Elements an operator may make of small inputs: a few bytes must not ask for all memory.
MOST = 1 << 28


def _pick(inputs: Sequence[Array], place: int, attributes: Attributes, name: str) -> Any:
    """An argument that is an input in later versions and an attribute in earlier ones."""
    if len(inputs) > place and inputs[place] is not None:
        found = inputs[place]
        if found.size > 1 << 16:
            raise InputError(f"{name}: expected a few numbers, received {found.size:,}")
        return found.tolist() if found.ndim else found.item()
    return attributes.get(name)


def _made(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) > 64:
        raise InputError(f"asks for an array of {len(shape):,} axes, expected at most 64")
    found = tuple(int(n) for n in shape)
    if any(n < 0 for n in found) or math.prod(found) > MOST:
        raise InputError(
            f"asks for an array of shape {found}, expected sizes from 0 on, {MOST:,} numbers at "
            "most"
        )
    return found


def _axes(inputs: Sequence[Array], attributes: Attributes) -> tuple[int, ...] | None:
    axes = _pick(inputs, 1, attributes, "axes")
    return tuple(axes) if axes else None


def _reshape(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value = inputs[0]
    shape = list(_pick(inputs, 1, attributes, "shape"))
    if not attributes.get("allowzero", 0):
        shape = [value.shape[k] if n == 0 else n for k, n in enumerate(shape)]
    return value.reshape(shape)


def _squeeze(inputs: Sequence[Array], attributes: Attributes) -> Array:
    return inputs[0].squeeze(_axes(inputs, attributes))


def _unsqueeze(inputs: Sequence[Array], attributes: Attributes) -> Array:
    return np.expand_dims(inputs[0], tuple(_pick(inputs, 1, attributes, "axes")))


def _slice(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value = inputs[0]
    starts, ends = _pick(inputs, 1, attributes, "starts"), _pick(inputs, 2, attributes, "ends")
    axes = _pick(inputs, 3, attributes, "axes") or range(len(starts))
    steps = _pick(inputs, 4, attributes, "steps") or [1] * len(starts)
    cut = [slice(None)] * value.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # Going backwards, an end before the first element includes it.
        size = value.shape[axis]
        cut[axis] = slice(start, None if step < 0 and end < -size else end, step)
    return value[tuple(cut)]


def _split(inputs: Sequence[Array], attributes: Attributes) -> list[Array]:
    value, axis = inputs[0], attributes.get("axis", 0)
    sizes = _pick(inputs, 1, attributes, "split")
    if sizes is None:
        parts = attributes[OUTPUTS]
        size = -(-value.shape[axis] // parts)
        sizes = [size] * (parts - 1) + [value.shape[axis] - size * (parts - 1)]
    if sum(sizes) != value.shape[axis] or min(sizes) < 0:
        raise InputError(f"expected parts that make {value.shape[axis]}, received {sizes}")
    return np.split(value, np.cumsum(sizes)[:-1], axis)


def _gather(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value, indices = inputs
    axis = attributes.get("axis", 0)
    size = value.shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise InputError(
            f"expected indices from {-size} to {size - 1}, "
            f"received {indices.min()} to {indices.max()}"
        )
    return value.take(indices, axis)


def _shape(inputs: Sequence[Array], attributes: Attributes) -> Array:
    part = slice(attributes.get("start", 0), attributes.get("end"))
    return np.array(inputs[0].shape[part], np.int64)


def _expand(inputs: Sequence[Array], attributes: Attributes) -> Array:
    shape = np.broadcast_shapes(inputs[0].shape, _made(inputs[1]))
    return np.broadcast_to(inputs[0], _made(shape))


def _constant_of_shape(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.full(_made(inputs[0]), value.reshape(()), value.dtype)


def _range(inputs: Sequence[Array], attributes: Attributes) -> Array:
    start, limit, step = (v.item() for v in inputs[:3])
    if not step:
        raise InputError("expected a step other than 0, received 0")
    _made([max(0, math.ceil((limit - start) / step))])
    found: Array = np.arange(start, limit, step)
    return found.astype(inputs[0].dtype)


def _one_hot(inputs: Sequence[Array], attributes: Attributes) -> Array:
    indices, (off, on) = inputs[0], inputs[2]
    depth, axis = int(inputs[1].reshape(()).item()), attributes.get("axis", -1)
    _made([indices.size, depth])
    rows = np.arange(depth)
    hot = np.where(indices < 0, indices + depth, indices)[..., None] == rows
    return np.moveaxis(np.where(hot, on, off).astype(inputs[2].dtype), -1, axis)


def _constant(inputs: Sequence[Array], attributes: Attributes) -> Array:
    given = {n: v for n, v in attributes.items() if n not in (OUTPUTS, OPSET)}
    if len(given) != 1:
        raise InputError(f"expected one value, received {', '.join(given) or 'none'}")
    name, value = next(iter(given.items()))
    dtype = {"value_f": np.float32, "value_floats": np.float32}.get(name, np.int64)
    return value if name == "value" else np.array(value, dtype)


def _gemm(inputs: Sequence[Array], attributes: Attributes) -> Array:
    a = inputs[0].T if attributes.get("transA", 0) else inputs[0]
    b = inputs[1].T if attributes.get("transB", 0) else inputs[1]
    found = attributes.get("alpha", 1.0) * matmul(a, b)
    if len(inputs) > 2 and inputs[2] is not None:
        found = found + attributes.get("beta", 1.0) * inputs[2]
    return found.astype(a.dtype)


def _softmax(inputs: Sequence[Array], attributes: Attributes) -> Array:
    return np.exp(_log_softmax(inputs, attributes))


def _log_softmax(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value, axis = inputs[0], attributes.get("axis", -1)
    if attributes[OPSET] < 13:  # over all axes from one on, as if they were one
        value, axis = _flatten(inputs, attributes), 1
    raised = value - value.max(axis, keepdims=True)
    return (raised - np.log(np.exp(raised).sum(axis, keepdims=True))).reshape(inputs[0].shape)


def _dropout(inputs: Sequence[Array], attributes: Attributes) -> Array:
    if len(inputs) > 2 and inputs[2] is not None and inputs[2]:
        raise InputError("training_mode: expected false, received true: nothing is trained here")
    return inputs[0]


def _clip(inputs: Sequence[Array], attributes: Attributes) -> Array:
    low, high = _pick(inputs, 1, attributes, "min"), _pick(inputs, 2, attributes, "max")
    value = inputs[0] if low is None else np.maximum(inputs[0], np.asarray(low, inputs[0].dtype))
    return value if high is None else np.minimum(value, np.asarray(high, value.dtype))


def _layer_norm(inputs: Sequence[Array], attributes: Attributes) -> list[Array]:
    value, axis = inputs[0], attributes.get("axis", -1)
    if not -value.ndim <= axis < value.ndim:
        raise InputError(f"axis: expected one of {value.ndim} axes, received {axis}")
    axes = tuple(range(axis % value.ndim, value.ndim))
    mean = value.mean(axes, keepdims=True)
    centred = value - mean
    variance = (centred * centred).mean(axes, keepdims=True)
    scale = (1 / np.sqrt(variance + attributes.get("epsilon", 1e-5))).astype(value.dtype)
    found = centred * scale * inputs[1]
    shifted = len(inputs) > 2 and inputs[2] is not None
    return [found + inputs[2] if shifted else found, mean, scale]


def _cast(inputs: Sequence[Array], attributes: Attributes) -> Array:
    try:
        dtype = library().helper.tensor_dtype_to_np_dtype(attributes["to"])
    except KeyError:
        dtype = np.dtype(object)
    if dtype.name not in DTYPES:
        raise InputError(f"to: expected {', '.join(DTYPES)}, received type {attributes['to']}")
    return inputs[0].astype(dtype)


def _reduced(function: Callable[..., Array]) -> Operator:
    def reduce(inputs: Sequence[Array], attributes: Attributes) -> Array:
        axes, value = _axes(inputs, attributes), inputs[0]
        if axes is None and attributes.get("noop_with_empty_axes", 0):
            return value
        found = function(value, axis=axes, keepdims=bool(attributes.get("keepdims", 1)))
        return found.astype(value.dtype)

    return reduce


def _pointwise(function: Callable[..., Array]) -> Operator:
    return lambda inputs, attributes: function(*inputs)


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    if not b.all():
        raise InputError("a whole number divided by 0")
    return (np.sign(a) * np.sign(b) * (abs(a) // abs(b))).astype(a.dtype)  # towards zero


def _many(function: Callable[[Array, Array], Array]) -> Operator:
    """An operator of one input or more, taken two by two."""
    return lambda inputs, attributes: functools.reduce(function, inputs)


def _flatten(inputs: Sequence[Array], attributes: Attributes) -> Array:
    axis = attributes.get("axis", 1)
    return inputs[0].reshape(math.prod(inputs[0].shape[:axis]), -1)


def _transpose(inputs: Sequence[Array], attributes: Attributes) -> Array:
    return inputs[0].transpose(attributes.get("perm"))


def _hard_sigmoid(inputs: Sequence[Array], attributes: Attributes) -> Array:
    slope, middle = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return np.clip(inputs[0] * slope + middle, 0, 1).astype(inputs[0].dtype)


def _leaky(inputs: Sequence[Array], attributes: Attributes) -> Array:
    value = inputs[0]
    return np.where(value >= 0, value, attributes.get("alpha", 0.01) * value).astype(value.dtype)


#: How many outputs those have that may have more than one.
MANY = {"LayerNormalization": 3, "Split": 1 << 16}

#: By name; those with a graph inside and the recurrent ones are the model's own.
OPERATORS: dict[str, Operator] = {
    "Abs": _pointwise(np.abs),
    "Add": _pointwise(np.add),
    "And": _pointwise(np.logical_and),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda inputs, attributes: np.concatenate(inputs, attributes["axis"]),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Cos": _pointwise(np.cos),
    "Div": _pointwise(_divide),
    "Dropout": _dropout,
    "Equal": _pointwise(np.equal),
    "Exp": _pointwise(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _pointwise(np.floor),
    "Gather": _gather,
    "Gemm": _gemm,
    "Greater": _pointwise(np.greater),
    "HardSigmoid": _hard_sigmoid,
    "Identity": _pointwise(lambda value: value),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky,
    "Less": _pointwise(np.less),
    "Log": _pointwise(np.log),
    "LogSoftmax": _log_softmax,
    "MatMul": _pointwise(matmul),
    "Max": _many(np.maximum),
    "Min": _many(np.minimum),
    "Mul": _pointwise(np.multiply),
    "Neg": _pointwise(np.negative),
    "Not": _pointwise(np.logical_not),
    "OneHot": _one_hot,
    "Or": _pointwise(np.logical_or),
    "Pow": lambda inputs, attributes: np.power(*inputs).astype(inputs[0].dtype),
    "Range": _range,
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Relu": _pointwise(lambda value: np.maximum(value, 0)),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _pointwise(lambda v: (0.5 * (np.tanh(0.5 * v) + 1)).astype(v.dtype)),
    "Sin": _pointwise(np.sin),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _pointwise(lambda value: np.logaddexp(value, 0).astype(value.dtype)),
    "Softsign": _pointwise(lambda value: value / (1 + np.abs(value))),
    "Split": _split,
    "Sqrt": _pointwise(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _pointwise(np.subtract),
    "Tanh": _pointwise(np.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _pointwise(np.where),
}
