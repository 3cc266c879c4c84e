"""Safetensors: the library reads what we write and the reverse; every broken rule is found."""

import json
import os
import random
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from recurra.errors import FormatError, InputError
from recurra.storage import read_metadata, read_tensors, write_tensors

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
SHAPES = [(), (0,), (1,), (3, 5), (2, 0, 3), (7, 1, 2, 1)]


def table_of_arrays():
    rng = np.random.default_rng(0)
    return {
        f"{dtype} {shape}": (rng.standard_normal(shape) * 3).astype(dtype)
        for dtype in DTYPES
        for shape in SHAPES
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def file_of(header, data=b"", *, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_library_reads_what_we_write(tmp_path):
    arrays = table_of_arrays()
    write_tensors(tmp_path / "t", arrays, {"made": "by ‘us’"})
    assert_same(safetensors.numpy.load_file(tmp_path / "t"), arrays)
    with safetensors.safe_open(tmp_path / "t", "np") as file:
        assert file.metadata() == {"made": "by ‘us’"}


def test_we_read_what_the_library_writes(tmp_path):
    arrays = table_of_arrays()
    theirs = {name: np.asarray(array) for name, array in arrays.items()}
    safetensors.numpy.save_file(theirs, tmp_path / "t", {"made": "by them"})
    assert_same(read_tensors(tmp_path / "t"), arrays)
    assert read_metadata(tmp_path / "t") == {"made": "by them"}


@pytest.mark.parametrize("arrays", [{}, table_of_arrays()], ids=["none", "all"])
def test_round_trip(tmp_path, arrays):
    write_tensors(tmp_path / "t", arrays)
    found = read_tensors(tmp_path / "t")
    assert_same(found, arrays)
    assert all(a.flags.writeable and a.flags.aligned for a in found.values())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">f8").reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        np.arange(24, dtype=np.int32)[::-2],
        np.arange(3, dtype=np.longlong),
        np.float32(2.5),
    ],
    ids=["big-endian", "fortran", "strided", "longlong", "scalar"],
)
def test_any_layout_is_written_as_its_values(tmp_path, array):
    write_tensors(tmp_path / "t", {"a": array})
    found = read_tensors(tmp_path / "t")["a"]
    assert found.shape == np.shape(array)
    np.testing.assert_array_equal(found, array)


def test_bfloat16_is_widened(tmp_path):
    # Hand-made: 1.0 is 0x3F80, -2.5 is 0xC020, infinity 0x7F80.
    (tmp_path / "t").write_bytes(
        file_of({"a": entry("BF16", (3,), (0, 6))}, struct.pack("<3H", 0x3F80, 0xC020, 0x7F80))
    )
    found = read_tensors(tmp_path / "t")["a"]
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.5, float("inf")]


def test_unaligned_tensors_of_others_are_copied(tmp_path):
    header = {"a": entry("U8", (1,), (0, 1)), "b": entry("F32", (1,), (1, 5))}
    (tmp_path / "t").write_bytes(file_of(header, b"\x07" + struct.pack("<f", 1.5)))
    found = read_tensors(tmp_path / "t")
    assert found["b"].flags.aligned
    assert (found["a"].tolist(), found["b"].tolist()) == ([7], [1.5])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.array([object()])}, "'a' cannot be stored: dtype object"),
        ({"a": np.zeros(2, np.complex64)}, "dtype complex64"),
        ({"__metadata__": np.zeros(2)}, "that name is reserved"),
        ({str(i) * 500: np.zeros(1) for i in range(1000)}, "more than the 1,048,576"),
    ],
)
def test_what_cannot_be_written_is_an_input_error(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words):
        write_tensors(tmp_path / "t", arrays)
    assert list(tmp_path.iterdir()) == []


EIGHT = bytes(8)
ATTACKS = {
    "empty": (b"", "empty"),
    "seven bytes": (bytes(7), "not a safetensors file"),
    "length beyond the file": (file_of({}, length=50), "not a safetensors file, or cut short"),
    "length near 2**64": (file_of({}, length=2**64 - 1), "not a safetensors file, or cut short"),
    "header beyond the limit": (file_of(b"{" + b" " * (1 << 20) + b"}"), "more than the 1,048,576"),
    "no brace": (file_of(b' {"a":0}'), "not a safetensors file"),
    "not JSON": (file_of(b'{"a":}'), "header: line 1 column 6: not JSON"),
    "not UTF-8": (file_of(b'{"\xff":1}'), "another byte at offset 2"),
    "bytes after the JSON": (file_of(b"{}{}"), "not JSON"),
    "deep": (file_of(b'{"a":' + b"[" * 5 + b"]" * 5 + b"}"), "nested deeper than 4"),
    "very deep": (file_of(b'{"a":' + b"[" * 100_000), "nested deeper than 4"),
    "same name twice": (
        file_of(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            EIGHT,
        ),
        'the key "a" stands twice',
    ),
    "same field twice": (
        file_of(b'{"a":{"dtype":"U8","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', EIGHT),
        'the key "dtype" stands twice',
    ),
    "no object": (file_of({"a": 3}), "'a': expected dtype, shape and data_offsets"),
    "field missing": (file_of({"a": {"dtype": "F32", "shape": [0]}}), "'a': expected dtype"),
    "field too many": (file_of({"a": {**entry(), "x": 1}}, EIGHT), "'a': expected dtype"),
    "unknown dtype": (file_of({"a": entry("F31")}, EIGHT), "'a': unknown dtype 'F31'"),
    "dtype a list": (file_of({"a": entry(["F32"])}, EIGHT), "'a': unknown dtype"),
    "negative axis": (file_of({"a": entry(shape=(-2,))}, EIGHT), "'a': the shape"),
    "two negative axes": (file_of({"a": entry(shape=(-2, -1))}, EIGHT), "'a': the shape"),
    "axis a fraction": (file_of({"a": entry(shape=(2.0,))}, EIGHT), "'a': the shape"),
    "axis true": (file_of({"a": entry(shape=(True, 2))}, EIGHT), "'a': the shape"),
    "axis over 63 bits": (file_of({"a": entry(shape=(2**63,))}, EIGHT), "'a': the shape"),
    "33 axes": (file_of({"a": entry(shape=(1,) * 32 + (2,))}, EIGHT), "'a': the shape"),
    # 2**62 · 4 axes · 4 bytes is 0 modulo 2**64: what unchecked arithmetic lets through.
    "product overflows to 0": (
        file_of({"a": entry(shape=(2**62, 4), offsets=(0, 0))}),
        "'a': the product of the shape exceeds 63 bits",
    ),
    "overflow behind a 0": (
        file_of({"a": entry(shape=(0, 2**62, 4), offsets=(0, 0))}),
        "'a': the product of the shape exceeds 63 bits",
    ),
    "terabytes in the shape": (
        file_of({"a": entry(shape=(2**38,), offsets=(0, 2**40))}, EIGHT),
        "holds 8 bytes of data, but tensor 'a' says they end at 1,099,511,627,776",
    ),
    "shape below the extent": (file_of({"a": entry(shape=(1,))}, EIGHT), "'a': F32 of shape"),
    "shape above the extent": (file_of({"a": entry(shape=(3,))}, EIGHT), "'a': F32 of shape"),
    "extent backwards": (file_of({"a": entry(offsets=(8, 0))}, EIGHT), "'a': data_offsets"),
    "extent negative": (file_of({"a": entry(offsets=(-8, 0))}, EIGHT), "'a': data_offsets"),
    "extent of one": (file_of({"a": entry(offsets=(8,))}, EIGHT), "'a': data_offsets"),
    "extent past the end": (file_of({"a": entry()}, bytes(7)), "tensor 'a' says they end at 8"),
    "data no tensor has": (file_of({"a": entry()}, bytes(9)), "holds 9 bytes of data"),
    "data and no tensors": (file_of({}, b"x"), "holds 1 bytes of data, but its header"),
    "first extent after 0": (file_of({"a": entry(offsets=(1, 9))}, bytes(9)), "'a' leaves a gap"),
    "gap": (
        file_of({"a": entry(), "b": entry(offsets=(9, 17))}, bytes(17)),
        "'b' leaves a gap: starts at 9, not 8",
    ),
    "overlap": (
        file_of({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
        "'b' overlaps the one before: starts at 4, not 8",
    ),
    "same extent twice": (file_of({"a": entry(), "b": entry()}, EIGHT), "'b' overlaps"),
    "empty tensor inside another": (
        file_of({"a": entry(), "b": entry(shape=(0,), offsets=(4, 4))}, EIGHT),
        "'b' overlaps",
    ),
    "metadata no object": (file_of({"__metadata__": []}), "__metadata__"),
    "metadata no strings": (file_of({"__metadata__": {"a": 1}}), "__metadata__"),
    "BOOL of 2": (file_of({"a": entry("BOOL", (2,), (0, 2))}, b"\x01\x02"), "'a': a BOOL byte"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_broken_rule_is_told_in_one_line(tmp_path, attack):
    data, words = ATTACKS[attack]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250


def test_a_file_without_attack_is_read(tmp_path):
    """The table above fails for its faults, not for how its files are made."""
    header = {"a": entry(), "b": entry("BOOL", (2,), (8, 10)), "__metadata__": {"k": "v"}}
    (tmp_path / "t").write_bytes(file_of(header, EIGHT + b"\x00\x01"))
    found = read_tensors(tmp_path / "t")
    assert found["a"].tolist() == [0, 0]
    assert found["b"].tolist() == [False, True]


def test_an_empty_tensor_may_be_named_after_the_one_it_precedes(tmp_path):
    data = file_of({"a": entry(), "e": entry(shape=(0,), offsets=(0, 0))}, EIGHT)
    assert len(safetensors.deserialize(data)) == 2
    (tmp_path / "t").write_bytes(data)
    assert {name: a.shape for name, a in read_tensors(tmp_path / "t").items()} == {
        "e": (0,),
        "a": (2,),
    }


def test_the_limit_of_the_header_can_be_moved(tmp_path):
    (tmp_path / "t").write_bytes(file_of({"__metadata__": {"k": "v" * 5000}}))
    assert read_tensors(tmp_path / "t") == {}
    with pytest.raises(FormatError, match="more than the 4,096"):
        read_tensors(tmp_path / "t", header_limit=4096)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_finite_is_checked_on_demand(tmp_path, value, dtype):
    array = np.ones(100, dtype)
    write_tensors(tmp_path / "t", {"ok": array, "n": np.arange(3), "e": array[:0]})
    read_tensors(tmp_path / "t", finite=True)
    array[63] = value
    write_tensors(tmp_path / "t", {"w": array})
    assert read_tensors(tmp_path / "t")["w"][62] == 1
    with pytest.raises(FormatError, match="'w' holds NaN or infinity"):
        read_tensors(tmp_path / "t", finite=True)


@pytest.mark.parametrize(("name", "words"), [("no", "no such file"), (".", "is a directory")])
def test_no_file(tmp_path, name, words):
    with pytest.raises(FormatError, match=words):
        read_tensors(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "t")
    with pytest.raises(FormatError, match="is no regular file"):
        read_tensors(tmp_path / "t")


def mutated(rng, valid):
    """One valid file with some random damage: in any byte, or in the numbers of its header."""
    data = bytearray(valid)
    length = int.from_bytes(data[:8], "little")
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        # Half of the damage goes into the header, which is a small part of the file.
        at = rng.randrange(min(len(data), 8 + length) if rng.random() < 0.5 else len(data))
        match rng.randrange(7):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                del data[at:]
            case 5:
                data += rng.randbytes(rng.randrange(1, 9))
            case 6:
                header = json.loads(valid[8 : 8 + length])
                item = header[rng.choice([name for name in header if name != "__metadata__"])]
                numbers = item[rng.choice(["shape", "data_offsets"])]
                if numbers:
                    numbers[rng.randrange(len(numbers))] = rng.choice(
                        [0, 1, 2, 3, 4, 8, 16, 24, 2**31, 2**62, 2**64, -1]
                    )
                return file_of(header, valid[8 + length :])
        if not data:
            break
    return bytes(data)


def test_2000_mutations_give_what_the_library_gives_or_a_format_error(tmp_path):
    rng = random.Random(5)
    arrays = {
        "w": np.arange(200, dtype=np.float32).reshape(20, 10),
        "b": np.array([True, False]),
        "n": np.arange(3, dtype=np.int64),
        "e": np.zeros((0, 2), np.float16),
    }
    write_tensors(tmp_path / "valid", arrays, {"k": "v"})
    valid = (tmp_path / "valid").read_bytes()
    path = tmp_path / "mutated"
    read = refused = 0
    for _ in range(2000):
        data = mutated(rng, valid)
        path.write_bytes(data)
        try:
            found = read_tensors(path)
        except FormatError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
            continue
        read += 1
        judge = dict(safetensors.deserialize(data))
        assert found.keys() == judge.keys()
        for name, array in found.items():
            assert list(array.shape) == judge[name]["shape"]
            assert array.tobytes() == bytes(judge[name]["data"])
    # Damage in the data alone is for the manifest to find; both outcomes must have been met.
    assert read > 150
    assert refused > 1000
