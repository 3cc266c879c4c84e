"""Changes of files by their structure: of sounds, archives, arrays, weights, graphs."""

import gzip
import io
import json
import struct
import tarfile
import warnings
import zipfile
import zlib

from fuzz.mutations import VALUES, change, places, some_bytes

SIZES = (0, 1, 2, 3, 4, 7, 8, 16, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def wav(data, chance):
    """Fields of a wav file's chunks, their sizes, order and number."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append([data[at : at + 4], size, data[at + 8 : at + 8 + size]])
        at += 8 + size + size % 2
    head = [data[:4], len(data) - 8, data[8:12]]
    for _ in range(1 + chance.randrange(3)):
        how = chance.randrange(8)
        one = chunks[chance.randrange(len(chunks))] if chunks else head
        if how == 0:
            one[1] = chance.choice(SIZES)
        elif how == 1:
            one[0] = chance.choice((b"fmt ", b"data", b"LIST", b"fact", b"ds64", b"\0\0\0\0"))
        elif how == 2:
            head[chance.choice((0, 2))] = chance.choice(
                (b"RIFF", b"RF64", b"RIFX", b"WAVE", b"AVI ")
            )
        elif how == 3:
            chunks.insert(chance.randrange(len(chunks) + 1), list(one))
        elif how == 4 and len(chunks) > 1:
            chunks.remove(one)
        elif how == 5:
            one[2] = some_bytes(one[2], chance)
        elif how == 6 and len(one[2]) >= 16:
            rates = (0, 1, 99, 8000, 1_000_000, 1_000_001, 0xFFFFFFFF)
            code = chance.choice((0, 1, 2, 3, 6, 7, 85, 0xFFFE, 0xFFFF))
            channels = chance.choice((0, 1, 2, 3, 255, 0x7FFF, 0xFFFF))
            bits = chance.choice((0, 1, 7, 8, 12, 16, 24, 32, 64, 0xFFFF))
            block = chance.choice((channels * bits // 8 & 0xFFFF, 0, 1, 0xFFFF))
            fields = struct.pack("<HHIIHH", code, channels, chance.choice(rates), 0, block, bits)
            one[2] = fields + one[2][16:]
        else:
            chance.shuffle(chunks)
    body = b"".join(
        bytes(k) + (s & 0xFFFFFFFF).to_bytes(4, "little") + c + b"\0" * (len(c) % 2)
        for k, s, c in chunks
    )
    made = bytes(head[0]) + (head[1] & 0xFFFFFFFF).to_bytes(4, "little") + bytes(head[2]) + body
    return made[: chance.randrange(len(made) + 1)] if chance.random() < 0.05 else made


def packed(data, chance):
    """Gzip of something: in parts, doubled, within itself, cut, with another head."""
    how = chance.randrange(9)
    if how == 0:
        return gzip.compress(gzip.compress(data))
    if how == 1:
        return gzip.compress(data) + gzip.compress(data[::-1])
    if how == 2:
        return gzip.compress(data) + chance.choice((b"\0" * 512, b"rest", b"\x1f\x8b"))
    if how == 3:
        return gzip.compress(b"\0" * (1 << chance.randrange(10, 24)))
    if how == 4:
        return some_bytes(gzip.compress(data), chance)
    if how == 5:
        return zlib.compress(data)
    if how == 6:
        made = gzip.compress(data)
        return made[: chance.randrange(len(made))]
    if how == 7:
        made = bytearray(gzip.compress(data))
        made[3] = chance.randrange(256)  # which fields its head has
        return bytes(made)
    return gzip.compress(some_bytes(data, chance))


def archive(data, chance):
    """Members of a tar archive: kinds, names, sizes, fields of their heads, how it is packed."""
    members = []
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        for info in file:
            part = file.extractfile(info) if info.isreg() else None
            members.append((info, part.read() if part else b""))
    out = io.BytesIO()
    style = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode="w", format=style, errors="surrogateescape") as file:
        for info, content in members:
            for _ in range(1 + (chance.random() < 0.1)):
                how = chance.randrange(8)
                if how == 0:
                    names = (
                        "../a.wav",
                        "/etc/passwd.wav",
                        "a" * 300 + ".wav",
                        ".wav",
                        "a\udcff.wav",
                        "./a.wav",
                    )
                    info.name = chance.choice(names)
                elif how == 1:
                    info.type = chance.choice(b"01234567gxLKSDNV").to_bytes(1, "little")
                    info.linkname = chance.choice(("", "a.wav", "/etc/passwd"))
                elif how == 2:
                    info.pax_headers = {
                        chance.choice(PAX): chance.choice(("1", "-1", "x", "9" * 30, ""))
                    }
                elif how == 3:
                    content = some_bytes(content, chance)
                    info.size = len(content)
                elif how == 4:
                    content = wav(content, chance) if content[:4] == b"RIFF" else content
                    info.size = len(content)
                try:
                    file.addfile(
                        info, io.BytesIO(content + b"\0" * max(0, info.size - len(content)))
                    )
                except (ValueError, OverflowError, OSError, UnicodeError):
                    continue
    made = out.getvalue()
    if chance.random() < 0.4:
        at = 512 * chance.randrange(max(1, len(made) // 512))
        made = made[:at] + _head(some_bytes(made[at : at + 512], chance)) + made[at + 512 :]
    how = chance.randrange(6)
    if how == 0:
        return gzip.compress(made)
    if how == 1:
        return packed(made, chance)
    return made


PAX = (
    "size", "path", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.map", "GNU.sparse.size",
    "GNU.sparse.realsize", "GNU.sparse.name", "mtime", "uid", "hdrcharset",
)  # fmt: skip


def _head(block):
    """A block of 512 bytes with the right sum, as the head of a member."""
    block = bytearray(block[:512].ljust(512, b"\0"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) & 0o777777)
    return bytes(block)


def arrays(data, chance):
    """Members of an .npz file, the heads of their arrays, how they are packed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(info.filename, file.read(info)) for info in file.infolist()]
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(out, "w", chance.choice(ways)) as file:
        for name, content in members:
            how = chance.randrange(10)
            if how < 5:
                content = _array(content, chance)
            elif how == 5:
                content = some_bytes(content, chance)
            elif how == 6:
                name = chance.choice(("x.npy", "y.npy", "lengths.npy", "x", "y", "../x.npy"))
            elif how == 7:
                content = b"\x93NUMPY\x01\0v\0" + b"0" * (1 << chance.randrange(8, 22))
            elif how == 8:
                continue
            with warnings.catch_warnings():  # of a name that is there
                warnings.simplefilter("ignore")
                file.writestr(name, content)
    made = out.getvalue()
    return some_bytes(made, chance) if chance.random() < 0.25 else made


DESCRIBED = (
    *("'<f4'", "'<f8'", "'>f8'", "'|O'", "'<M8[ns]'", "'<U4'", "'|S3'", "'|V8'", "'<c16'", "'?'"),
    *("'<i8'", "'<u8'", "'<f2'", "[('a', '<f4')]", "[('a', '|O')]", "'<f4,<f4'", "'<U1000000000'"),
    *("'<f16'", "None", "''"),
)
SHAPES = (
    *("()", "(0,)", "(1,)", "(2, 3)", "(-1,)", "(0, 4611686018427387904, 4)", "(1,) * 40", "[2]"),
    *("(True,)", "(2.0,)", "(4611686018427387904, 4)", "(9223372036854775808,)", "(2, 3, 4, 5)"),
    "None",
)


def _array(content, chance):
    end = content.find(b"\n")
    body = content[end + 1 :] if end >= 0 else content
    order = chance.choice(("True", "False", "False", "1", "None"))
    kind, shape = chance.choice(DESCRIBED), chance.choice(SHAPES)
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if chance.random() < 0.1:
        text = chance.choice(
            ("{", "1", "[" * 200, "__import__('os')", text[:-2], text + "#", "\0" + text)
        )
    raw = text.encode() + b"\n"
    version = chance.choice((b"\x01\0", b"\x01\0", b"\x02\0", b"\x03\0", b"\xff\xff"))
    size = len(raw).to_bytes(2 if version == b"\x01\0" else 4, "little")
    return b"\x93NUMPY" + version + size + raw + body


def weights(data, chance):
    """The head of a safetensors file: its values, offsets, lengths."""
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    for _ in range(1 + chance.randrange(2)):
        how = chance.randrange(6)
        name = chance.choice(sorted(head))
        if how < 3:
            head = change(head, chance.choice(list(places(head))[1:] or [()]), chance)
        elif how == 3 and isinstance(head[name], dict):
            kinds = (
                "F64",
                "F32",
                "F16",
                "BF16",
                "I64",
                "U8",
                "BOOL",
                "F8_E4M3",
                "C64",
                "f32",
                None,
            )
            head[name]["dtype"] = chance.choice(kinds)
        elif how == 4 and isinstance(head[name], dict):
            offsets = head[name].get("data_offsets")
            if isinstance(offsets, list) and offsets:
                offsets[chance.randrange(len(offsets))] = chance.choice(
                    (*SIZES, 1 << 63, 1 << 64, -1)
                )
        else:
            head[chance.choice(("", "__metadata__", "\0", "a" * 500))] = chance.choice(VALUES)
        if not isinstance(head, dict) or not head:
            head = {"a": chance.choice(VALUES)}
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    size = len(text) if chance.random() < 0.85 else chance.choice((*SIZES, 1 << 63, (1 << 64) - 1))
    made = size.to_bytes(8, "little") + text + body
    return some_bytes(made, chance) if chance.random() < 0.15 else made


def table_of_columns(chance):
    """A small Parquet file with columns of any type."""
    import pyarrow as pa
    from pyarrow import parquet

    count = chance.choice((0, 1, 2, 3, 17))
    names = chance.choice(
        (("text", "label"), ("x", "y"), ("t", "y"), ("x", "x"), ("source", "target"), ("",))
    )
    columns = []
    for _ in names:
        kind = chance.randrange(len(KINDS))
        typed, values = KINDS[kind]
        rows = [chance.choice(values) if chance.random() < 0.9 else None for _ in range(count)]
        try:
            columns.append(pa.array(rows, typed(pa)))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            columns.append(pa.nulls(count))
    out = io.BytesIO()
    made = pa.table(columns, names=list(names))
    ways = chance.choice(("none", "snappy", "gzip", "zstd", "lz4"))
    parquet.write_table(made, out, compression=ways, use_dictionary=chance.random() < 0.5)
    return out.getvalue()


KINDS = (
    (lambda pa: pa.string(), ("a", "", "2024-01-01", "1", "é" * 50, "x" * 3000)),
    (lambda pa: pa.large_string(), ("a", "b")),
    (lambda pa: pa.float64(), (0.0, 1.5, float("nan"), float("inf"), 1e308)),
    (lambda pa: pa.float32(), (0.0, 1.5)),
    (lambda pa: pa.int64(), (0, 1, -1, (1 << 63) - 1, -(1 << 63))),
    (lambda pa: pa.uint64(), (0, (1 << 64) - 1)),
    (lambda pa: pa.bool_(), (True, False)),
    (lambda pa: pa.binary(), (b"a", b"\xff")),
    (lambda pa: pa.list_(pa.float64()), ([1.0, 2.0], [], [None], [float("nan")] * 3)),
    (lambda pa: pa.list_(pa.list_(pa.float64())), ([[1.0], [2.0, 3.0]], [[]], [])),
    (lambda pa: pa.struct([("a", pa.int64())]), ({"a": 1}, {"a": None})),
    (lambda pa: pa.map_(pa.string(), pa.int64()), ([("a", 1)], [])),
    (lambda pa: pa.timestamp("ns", tz="UTC"), (0, 1, -(1 << 62), (1 << 63) - 1)),
    (lambda pa: pa.timestamp("s"), (0, 1, 1 << 40, -(1 << 50))),
    (lambda pa: pa.date32(), (0, 19000, -(1 << 31), (1 << 31) - 1)),
    (lambda pa: pa.date64(), (0, 86_400_000, (1 << 63) - 1)),
    (lambda pa: pa.time64("ns"), (0, 86_399_999_999_999)),
    (lambda pa: pa.duration("us"), (0, -1, 1 << 62)),
    (lambda pa: pa.decimal128(38, 10), ("1.5", "-99999999999.1")),
    (lambda pa: pa.decimal256(76, 0), ("1", "9" * 70)),
    (lambda pa: pa.dictionary(pa.int32(), pa.string()), ("a", "b")),
    (lambda pa: pa.null(), (None,)),
)


def graph(data, chance):
    """A protobuf message of ONNX with some fields changed, doubled, exchanged or left out."""
    import onnx

    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(1 + chance.randrange(4)):
        every = list(_fields(model))
        message, field = every[chance.randrange(len(every))]
        try:
            _change(message, field, chance)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    made = bytes(model.SerializeToString())
    return some_bytes(made, chance) if chance.random() < 0.05 else made


def _many(field):
    # Newer versions of protobuf have the first alone.
    return (
        field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
    )


def _fields(message):
    for field, value in message.ListFields():
        yield message, field
        if field.type == field.TYPE_MESSAGE:
            for inner in value if _many(field) else (value,):
                yield from _fields(inner)


_STRINGS = (
    *("", "x", "y", "h", "c", "k", "a", "b", "s", "Scan", "LSTM", "GRU", "RNN", "Add", "Concat"),
    *("Gather", "MatMul", "Reshape", "Expand", "ConstantOfShape", "Range", "Split", "Slice"),
    *("Loop", "If", "Constant", "reverse", "bidirectional", "Tanh", "../w", "\0", "é" * 99),
)
_WHOLE = (
    0,
    1,
    -1,
    2,
    3,
    7,
    16,
    17,
    255,
    1 << 20,
    1 << 31,
    -(1 << 31),
    (1 << 62) + 1,
    (1 << 63) - 1,
    -(1 << 63),
)


def _other(field, value, chance):
    if field.type == field.TYPE_STRING:
        return chance.choice(_STRINGS)
    if field.type == field.TYPE_BYTES:
        return some_bytes(value, chance)
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return chance.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), value * 2))
    return chance.choice((*_WHOLE, value + 1, value - 1))


def _change(message, field, chance):
    value = getattr(message, field.name)
    if not _many(field):
        if field.type == field.TYPE_MESSAGE or chance.random() < 0.15:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other(field, value, chance))
        return
    at, how = chance.randrange(len(value)), chance.randrange(4)
    if how == 0:
        del value[at]
    elif how == 1 and field.type == field.TYPE_MESSAGE:
        value.add().CopyFrom(value[chance.randrange(len(value))])
    elif how == 1:
        value.append(value[at])
    elif field.type == field.TYPE_MESSAGE:
        other = chance.randrange(len(value))
        kept = type(value[at])()
        kept.CopyFrom(value[at])
        value[at].CopyFrom(value[other])
        value[other].CopyFrom(kept)
    else:
        value[at] = _other(field, value[at], chance)
