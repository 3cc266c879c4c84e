"""Small ONNX models, for tests of what runs them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def value(name, shape=None, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def floats(*numbers):
    return np.array(numbers, np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


def model(nodes, constants=(), *, inputs=(), outputs=("y",), opset=17):
    graph = helper.make_graph(
        nodes, "g", [value(n, None, k) for n, k in inputs], [value(n) for n in outputs], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def body(nodes, constants=(), *, inputs=("h", "a"), shapes=((1,), (1,))):
    """A state and a row to a state and a row; ONNX Runtime wants to know the shapes of these."""
    outputs = [value(n, shape) for n, shape in zip(("k", "b"), shapes, strict=True)]
    return helper.make_graph(nodes, "body", [value(n) for n in inputs], outputs, constants)


def scan(inner, inputs=("s", "x"), outputs=("last", "y")):
    return node("Scan", inputs, outputs, body=inner, num_scan_inputs=1, name="scan")


START = constant("s", floats(0))
H = 2
