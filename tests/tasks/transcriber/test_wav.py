"""Wav files: every width against values by hand and against scipy, and files that are bad."""

import io
import struct
import wave

import numpy as np
import pytest
import scipy.io.wavfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.tasks.transcriber.wav import Sound, read_wav, write_wav

RANDOM = np.random.default_rng(0)
VALUES = np.array([-1.0, -0.5, 0.0, 0.25, 0.5])


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks, size=None):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def fmt(code=1, channels=1, rate=8000, bits=16, block=None, more=b""):
    block = channels * bits // 8 if block is None else block
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits) + more
    )


def extensible(code, bits):
    guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
    return fmt(0xFFFE, bits=bits, more=struct.pack("<HHI", 22, bits, 4) + guid)


def integers(bits):
    scaled = (VALUES * (1 << (bits - 1))).astype(np.int64)
    if bits == 8:
        return (scaled + 128).astype(np.uint8).tobytes()
    return b"".join(int(v).to_bytes(bits // 8, "little", signed=True) for v in scaled)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("head", [lambda bits: fmt(bits=bits), lambda bits: extensible(1, bits)])
def test_whole_numbers(bits, head):
    found = read_wav(riff(head(bits), chunk(b"data", integers(bits))))
    assert found.samples.dtype == np.float32
    assert found.samples.tolist() == VALUES.tolist()
    assert (found.rate, found.seconds) == (8000, 5 / 8000)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("head", [lambda bits: fmt(3, bits=bits), lambda bits: extensible(3, bits)])
def test_floats(bits, head):
    data = (VALUES * 1.5).astype(f"<f{bits // 8}").tobytes()
    assert (
        read_wav(riff(head(bits), chunk(b"data", data))).samples.tolist() == (VALUES * 1.5).tolist()
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_what_scipy_writes(dtype, channels):
    kind = np.dtype(dtype)
    shape = (101, channels)
    if kind.kind == "f":
        values = RANDOM.uniform(-1, 1, shape).astype(kind)
        expected = values.astype(np.float64)
    else:
        limits = np.iinfo(kind)
        values = RANDOM.integers(limits.min, limits.max, shape, endpoint=True).astype(kind)
        middle = 128 if dtype == "uint8" else 0
        expected = (values.astype(np.float64) - middle) / 2 ** (8 * kind.itemsize - 1)
    file = io.BytesIO()
    scipy.io.wavfile.write(file, 44100, values if channels > 1 else values[:, 0])
    found = read_wav(file.getvalue())
    assert found.rate == 44100
    np.testing.assert_allclose(found.samples, expected.mean(1), rtol=1e-6, atol=1e-7)


def test_what_the_standard_library_writes(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(48000)
        file.writeframes(b"\x00\x00\x40" * 2 + b"\x00\x00\x80\x00\x00\x00")
    assert read_wav(path).samples.tolist() == [0.5, -0.5]


def test_written_and_read_again(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, Sound(np.array([0, 0.5, -1, 2, -3], np.float32), 8000))
    found = read_wav(path)
    assert found.samples.tolist() == [0, 0.5, -1, 32767 / 32768, -1]
    rate, values = scipy.io.wavfile.read(path)
    assert (rate, values.tolist()) == (8000, [0, 16384, -32768, 32767, -32768])


def test_chunks_in_between_and_after_and_of_odd_length():
    data = chunk(b"data", integers(16))
    content = riff(
        chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", b"1234"), data, chunk(b"id3 ", b"x")
    )
    assert read_wav(content).samples.tolist() == VALUES.tolist()


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_length_that_the_recorder_did_not_know(size):
    content = riff(fmt(), b"data" + struct.pack("<I", size) + integers(16) + b"\1", size=size)
    assert read_wav(content).samples.tolist() == VALUES.tolist()
    assert read_wav(b"RF64" + content[4:]).samples.tolist() == VALUES.tolist()


def test_no_sound_at_all_is_a_sound():
    assert read_wav(riff(fmt(), chunk(b"data", b""))).samples.shape == (0,)


WHOLE = riff(fmt(), chunk(b"data", integers(16)))
DATA = chunk(b"data", integers(16))
BAD = {
    "empty": (b"", "received an empty file"),
    "text": (b"hello, this is text", r"expected a wav file .*received b'hell'"),
    "flac": (b"fLaC" + bytes(40), "received FLAC: convert it"),
    "ogg": (b"OggS" + bytes(40), "received Ogg"),
    "big-endian": (b"RIFX" + WHOLE[4:], "received b'RIFX'"),
    "other riff": (b"RIFF\4\0\0\0AVI ", "expected a wav file"),
    "no sound": (riff(fmt()), "cut short: the file ends after 36 bytes"),
    "no format": (riff(chunk(b"data", b"12")), "before the chunk that says how it is stored"),
    "short format": (riff(chunk(b"fmt ", b"1234"), chunk(b"data", b"")), "16 bytes or more"),
    "mu-law": (
        riff(fmt(7, bits=8), chunk(b"data", b"1")),
        "format mu-law: convert it, as with ffmpeg",
    ),
    "unknown": (riff(fmt(0x1234), chunk(b"data", b"12")), "format number 0x1234"),
    "12 bits": (riff(fmt(bits=12, block=2), chunk(b"data", b"12")), "received 12"),
    "16-bit float": (riff(fmt(3), chunk(b"data", b"12")), "samples of 32, 64 bits, received 16"),
    "no channels": (riff(fmt(channels=0), chunk(b"data", b"")), "received 0 at 8000 Hz"),
    "no rate": (riff(fmt(rate=0), chunk(b"data", b"")), "received 1 at 0 Hz"),
    "absurd rate": (
        riff(b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 4_000_000_000, 0, 2, 16), DATA),
        "100 to 1000000 Hz, received 1 at 4000000000 Hz",
    ),
    "block": (riff(fmt(block=3), chunk(b"data", b"123")), "need 2 bytes a frame, the file says 3"),
    "cut short": (WHOLE[:-3], "cut short: 7 of 10 bytes"),
    "half a frame": (riff(fmt(), chunk(b"data", b"123")), "3 bytes of sound are no whole number"),
    "not finite": (
        riff(fmt(3, bits=32), chunk(b"data", np.array([0, np.nan], "<f4").tobytes())),
        "sample 1 is not a finite number",
    ),
    "too large": (
        riff(fmt(3, bits=64), chunk(b"data", np.array([0, 0, 1e300], "<f8").tobytes())),
        "sample 2 is not a finite number",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case, tmp_path):
    content, told = BAD[case]
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        read_wav(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(InputError, match="cannot be written"):
        write_wav(tmp_path / "none" / "a.wav", Sound(np.zeros(1, np.float32), 8000))


pieces = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda head, size, data, places: _spoil(
            riff(head, b"data" + struct.pack("<I", size) + data), places
        ),
        st.sampled_from([fmt(), fmt(3, bits=32), fmt(channels=2, bits=24), extensible(1, 32)]),
        st.integers(0, 60) | st.integers(0, 2**32 - 1),
        st.binary(max_size=60),
        st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=3),
    ),
)


def _spoil(content, places):
    bytes_ = bytearray(content)
    for place, value in places:
        if place < len(bytes_):
            bytes_[place] = value
    return bytes(bytes_)


@settings(max_examples=500, deadline=None)
@given(pieces)
def test_any_bytes_are_a_sound_or_an_input_error(content):
    told, found = "", None
    try:
        found = read_wav(content)
    except InputError as error:
        told = str(error)
    assert "\n" not in told
    if found is not None:
        assert found.samples.dtype == np.float32
        assert found.samples.ndim == 1
        assert np.isfinite(found.samples).all()
        assert found.rate > 0
