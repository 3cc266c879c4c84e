"""ONNX files, read as data from strangers: parsed, checked, and made plain before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from recurra.bounded import limit
from recurra.errors import FormatError, InputError
from recurra.interop.onnx.external import read_external
from recurra.interop.onnx.graph import library
from recurra.storage.disk import read_file
from recurra.storage.foreign import looks_like
from recurra.storage.tensors import AXES_LIMIT

#: Of the numbers that may be in a file.
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)

#: The first version whose operators mean what those of today do.
_OLDEST = 7

#: Graphs inside graphs: more than anything that was written on purpose.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a graph: its dtype, and an axis for each number, name or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. Absent inputs are ""; attributes are numbers, strings, arrays and graphs."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"node {self.name} ({self.op})"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which they can run, constants, and what comes in and goes out."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A file: its graph, the version of its operators, and what it says of itself."""

    path: Path
    graph: Graph
    opset: int
    notes: Mapping[str, str]


def read_onnx(path: str | Path, *, known: Sequence[str] | None = None) -> OnnxFile:
    """Read an ONNX file.

    Weights beside the file are read only from regular files in its own folder.

    Args:
        path: the file.
        known: the operators that may occur; None: all.

    Raises:
        InputError: the package `onnx` is not installed, or the file may not be read.
        FormatError: it is damaged, foreign, or has operators, attributes or types not known here;
            one line says where, what was expected and what was found.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return _Reader(path, known).read()


class _Reader:
    """Carries where we are, for the errors."""

    def __init__(self, path: Path, known: Sequence[str] | None) -> None:
        self._path, self._known, self._onnx = path, known, library()
        self._opset = 0

    def read(self) -> OnnxFile:
        data = read_file(self._path, limit=limit("onnx"))
        model = self._onnx.ModelProto()
        try:
            model.ParseFromString(data)
        except Exception as error:  # protobuf's own, of another class in each of its versions
            raise self._foreign(data) from error
        if not model.ir_version or not model.HasField("graph"):
            raise self._foreign(data)
        newest = self._onnx.defs.onnx_opset_version()
        versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        if len(versions) != 1 or not _OLDEST <= versions[0] <= newest:
            raise self._error(
                f"expected operators of one version from {_OLDEST} to {newest}, "
                f"found {versions or 'none'}"
            )
        self._opset = versions[0]
        graph = self._graph(model.graph, set(), 0)
        notes = {p.key: p.value for p in model.metadata_props}
        return OnnxFile(self._path, graph, self._opset, notes)

    def _foreign(self, data: bytes) -> FormatError:
        look = looks_like(data[:300])
        seems = f": it looks like {look}" if look and "ONNX" not in look else ""
        return self._error(f"no ONNX model, or a damaged one{seems}")

    def _error(self, text: str) -> FormatError:
        return FormatError(f"{self._path}: {text}")

    def _graph(self, graph: Any, outer: set[str], depth: int) -> Graph:
        if depth > _DEEPEST:
            raise self._error(f"graphs inside graphs, more than {_DEEPEST} deep")
        if graph.sparse_initializer:
            raise self._error("sparse constants, which are not supported")
        constants = {t.name: self._array(t, f"constant {t.name!r}") for t in graph.initializer}
        # What a constant provides need not be given; files before version 4 list both.
        inputs = tuple(self._value(v) for v in graph.input if v.name not in constants)
        here = [v.name for v in inputs] + list(constants)
        if len(set(here)) < len(here) or "" in here:
            raise self._error("two values, or a constant and an input, of one name")
        defined = outer | set(here)
        nodes = []
        for index, proto in enumerate(graph.node):
            where = f"node {proto.name or index} ({proto.op_type})"
            missing = [n for n in proto.input if n and n not in defined]
            if missing:
                raise self._error(f"{where}: reads {missing[0]!r}, which nothing before it makes")
            made = [n for n in proto.output if n]
            if len(set(made)) < len(made) or set(made) & defined:
                raise self._error(f"{where}: makes a value whose name is taken: {made}")
            attributes = self._attributes(proto, where, defined, depth)
            name = proto.name or str(index)
            nodes.append(
                Node(proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes)
            )
            defined |= set(made)
        outputs = tuple(self._value(v) for v in graph.output)
        missing = [v.name for v in outputs if v.name not in defined]
        if missing:
            raise self._error(f"the output {missing[0]!r} is made by no node")
        return Graph(inputs, outputs, tuple(nodes), constants)

    def _attributes(self, proto: Any, where: str, defined: set[str], depth: int) -> dict[str, Any]:
        """The attributes of a node, which with its inputs and outputs is what the standard says."""
        foreign = proto.domain not in ("", "ai.onnx")
        if foreign and self._known is None:
            return {}
        if foreign or (self._known is not None and proto.op_type not in self._known):
            shown = f"{proto.domain}.{proto.op_type}" if foreign else proto.op_type
            known = f"; known are {', '.join(self._known)}" if self._known else ""
            raise self._error(f"{where}: the operator {shown} is not known here{known}")
        defs = self._onnx.defs
        try:
            schema = defs.get_schema(proto.op_type, self._opset, "")
        except defs.SchemaError as error:
            raise self._error(f"{where}: version {self._opset} has no such operator") from error
        counts = (
            ("inputs", proto.input, schema.min_input, schema.max_input),
            ("outputs", proto.output, schema.min_output, schema.max_output),
        )
        for what, names, least, most in counts:
            if not least <= len(names) <= most:
                many = f"{least} to {most}" if least < most else str(least)
                raise self._error(f"{where}: expected {many} {what}, found {len(names)}")
        for place, name in enumerate(proto.input[: len(schema.inputs)]):
            wanted = schema.inputs[place]
            if not name and wanted.option != schema.FormalParameterOption.Optional:
                raise self._error(f"{where}: its input {wanted.name!r} is missing")
        attributes: dict[str, Any] = {}
        for given in proto.attribute:
            kind = schema.attributes.get(given.name)
            if kind is None or given.name in attributes:
                has = ", ".join(sorted(schema.attributes)) or "none"
                what = "unknown attribute" if kind is None else "twice the attribute"
                raise self._error(f"{where}: {what} {given.name!r} (it has {has})")
            if int(kind.type) != int(given.type) or given.ref_attr_name:
                raise self._error(
                    f"{where}, {given.name}: expected {kind.type.name}, found a value of type "
                    f"{self._onnx.AttributeProto.AttributeType.Name(given.type)}"
                )
            attributes[given.name] = self._attribute(given, where, defined, depth)
        missing = [n for n, k in schema.attributes.items() if k.required and n not in attributes]
        if missing:
            raise self._error(f"{where}: the attribute {missing[0]!r} is missing")
        return attributes

    def _attribute(self, given: Any, where: str, defined: set[str], depth: int) -> Any:
        value = self._onnx.helper.get_attribute_value(given)
        if isinstance(value, self._onnx.GraphProto):
            return self._graph(value, defined, depth + 1)
        if isinstance(value, self._onnx.TensorProto):
            return self._array(value, f"{where}, {given.name}")
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, int | float):
            return value
        if not isinstance(value, Sequence) or not all(
            isinstance(v, bytes | int | float) for v in value
        ):
            kind = self._onnx.AttributeProto.AttributeType.Name(given.type)
            raise self._error(f"{where}, {given.name}: values of type {kind} are not supported")
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]

    def _value(self, value: Any) -> Value:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            if value.type.WhichOneof("value") is not None:
                raise self._error(
                    f"{value.name!r} is no array, but {value.type.WhichOneof('value')}"
                )
            return Value(value.name, "", None)
        shape = None
        if kind.HasField("shape"):
            shape = tuple(
                d.dim_value if d.HasField("dim_value") else d.dim_param or None
                for d in kind.shape.dim
            )
        dtype = self._dtype(kind.elem_type, repr(value.name)) if kind.elem_type else ""
        return Value(value.name, dtype, shape)

    def _dtype(self, number: int, where: str) -> str:
        try:
            name = self._onnx.helper.tensor_dtype_to_np_dtype(number).name
        except KeyError:
            name = f"type {number}"
        if name not in DTYPES:
            raise self._error(f"{where}: expected numbers of {', '.join(DTYPES)}, found {name}")
        return str(name)

    def _array(self, tensor: Any, where: str) -> np.ndarray:
        name, shape = self._dtype(tensor.data_type, where), tuple(tensor.dims)
        dtype = self._onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if any(n < 0 for n in shape) or tensor.HasField("segment"):
            raise self._error(f"{where}: expected a whole array, found the shape {shape}")
        # An axis of 0 makes the size 0 and hides the others, which numpy still multiplies.
        if len(shape) > AXES_LIMIT or prod(n or 1 for n in shape) * dtype.itemsize >= 1 << 63:
            raise self._error(f"{where}: no array can have its {len(shape):,} axes")
        size = prod(shape) * dtype.itemsize
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            entries = {e.key: e.value for e in tensor.external_data}
            raw = read_external(self._path, entries, size, where)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            try:
                return np.asarray(self._onnx.numpy_helper.to_array(tensor)).reshape(shape)
            except (ValueError, TypeError, OverflowError) as error:
                raise self._error(f"{where}: its numbers do not make {name} {shape}") from error
        if len(raw) != size:
            raise self._error(
                f"{where}: expected {size:,} bytes for {name} {shape}, found {len(raw):,}"
            )
        # As numpy_helper does: the file is little-endian.
        return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
