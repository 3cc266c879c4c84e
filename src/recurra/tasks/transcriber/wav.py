"""Sound from wav files: whole numbers of 8 to 32 bits or floats, any rate, any number of channels.

The layout is that of "Multimedia Programming Interface and Data Specifications 1.0" (IBM and
Microsoft 1991), with the extensible header of 2001 and the larger files of EBU Tech 3306.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.bounded import read_whole
from recurra.checked import checked
from recurra.errors import InputError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_NAMES = {
    2: "Microsoft ADPCM",
    6: "A-law",
    7: "mu-law",
    17: "IMA ADPCM",
    49: "GSM 6.10",
    85: "MP3",
    255: "AAC",
}
#: Every subformat of an extensible header ends so; the two bytes before it say which it is.
_GUID = bytes.fromhex("000000001000800000aa00389b71")
#: Rates that sound is recorded at. A header with another is damaged.
_RATES = (100, 1_000_000)
#: What recorders write for a length that they did not know, and above.
_UNKNOWN = 0x7FFF0000
_OTHERS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"FORM": "AIFF", b".snd": "AU"}


@dataclass(frozen=True, eq=False)
class Sound:
    """One channel of sound: samples (N,) float32, of which 1 is full scale, `rate` a second."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class _Layout:
    """What the chunk `fmt ` says."""

    code: int
    channels: int
    rate: int
    block: int
    bits: int


@checked
def read_wav(source: str | Path | bytes, *, name: str | None = None) -> Sound:
    """Read a wav file; several channels are averaged.

    Args:
        source: its path, or its bytes.
        name: what errors call it; by default the path.

    Returns:
        Samples as they are stored: at the file's rate, whole numbers divided by 2 ** (bits - 1).

    Raises:
        InputError: it cannot be read, is no wav file, is cut short, or holds a compressed format.
    """
    if isinstance(source, bytes):
        content, shown = source, name or "wav"
    else:
        shown = name or str(source)
        try:
            content = read_whole(Path(source))
        except (OSError, ValueError) as error:  # a zero in the path is a ValueError
            why = error.strerror if isinstance(error, OSError) else None
            raise InputError(f"{shown}: cannot be read: {why or error}") from None
    try:
        return _read(content)
    except _WavError as error:
        raise InputError(f"{shown}: {error}") from None


@checked
def write_wav(path: str | Path, sound: Sound) -> None:
    """Write 16-bit mono; samples beyond full scale are cut to it.

    Raises:
        InputError: the file cannot be written.
    """
    scaled = np.clip(np.rint(sound.samples.astype(np.float64) * 32768), -32768, 32767)
    data = scaled.astype("<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE"),
        *(b"fmt ", 16, _PCM, 1, sound.rate, 2 * sound.rate, 2, 16),
        *(b"data", len(data)),
    )
    try:
        Path(path).write_bytes(head + data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


class _WavError(Exception):
    """What is wrong, without the name of the file."""


def _read(content: bytes) -> Sound:
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise _WavError(f"expected a wav file (RIFF … WAVE), {_what(content)}: {_CONVERT}")
    layout, start = None, 12
    while start + 8 <= len(content):
        kind = content[start : start + 4]
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        start += 8
        if kind == b"fmt ":
            layout = _read_layout(content[start : start + size])
        elif kind == b"data":
            if layout is None:
                raise _WavError("its sound comes before the chunk that says how it is stored")
            return _decode(content, start, size, layout)
        start += size + size % 2
    raise _WavError(f"cut short: the file ends after {len(content)} bytes, before any sound")


_CONVERT = "convert it, as with ffmpeg -i IN -c:a pcm_s16le OUT.wav"


def _what(content: bytes) -> str:
    if not content:
        return "received an empty file"
    known = [name for magic, name in _OTHERS.items() if content.startswith(magic)]
    return f"received {known[0]}" if known else f"received {content[:4]!r} …"


def _read_layout(chunk: bytes) -> _Layout:
    if len(chunk) < 16:
        raise _WavError(f"expected a format of 16 bytes or more, received {len(chunk)}")
    code, channels, rate, _, block, bits = struct.unpack("<HHIIHH", chunk[:16])
    if code == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _GUID:
        code = int.from_bytes(chunk[24:26], "little")
    if code not in (_PCM, _FLOAT):
        named = _NAMES.get(code, f"number {code:#06x}")
        raise _WavError(f"expected PCM or float samples, received the format {named}: {_CONVERT}")
    widths = (8, 16, 24, 32) if code == _PCM else (32, 64)
    if bits not in widths:
        raise _WavError(f"expected samples of {', '.join(map(str, widths))} bits, received {bits}")
    if not channels or not _RATES[0] <= rate <= _RATES[1]:
        raise _WavError(
            f"expected channels, at {_RATES[0]} to {_RATES[1]} Hz, received {channels} at {rate} Hz"
        )
    if block != channels * bits // 8:
        raise _WavError(
            f"{channels} channels of {bits} bits need {channels * bits // 8} bytes a frame, "
            f"the file says {block}"
        )
    return _Layout(code, channels, rate, block, bits)


def _decode(content: bytes, start: int, size: int, layout: _Layout) -> Sound:
    there = len(content) - start
    if size >= _UNKNOWN and size > there:
        size = there - there % layout.block
    if size > there:
        raise _WavError(f"cut short: {there} of {size} bytes of sound are there")
    if size % layout.block:
        raise _WavError(
            f"expected frames of {layout.block} bytes, {size} bytes of sound are no whole number"
        )
    raw = np.frombuffer(content, np.uint8, count=size, offset=start)
    frames = _numbers(raw, layout).reshape(-1, layout.channels)
    with np.errstate(over="ignore", invalid="ignore"):
        mono = (frames[:, 0] if layout.channels == 1 else frames.mean(1)).astype(np.float32)
    if not np.isfinite(mono).all():
        at = int(np.flatnonzero(~np.isfinite(mono))[0])
        raise _WavError(f"sample {at} is not a finite number")
    return Sound(mono, layout.rate)


def _numbers(raw: np.ndarray, layout: _Layout) -> np.ndarray:
    """Bytes to float64, full scale 1."""
    if layout.code == _FLOAT:
        return raw.view(f"<f{layout.bits // 8}").astype(np.float64)
    if layout.bits == 8:  # the one width without a sign
        return (raw.astype(np.float64) - 128) / 128
    if layout.bits == 24:
        # Three bytes above an empty one are the number times 256.
        wide = np.zeros((raw.size // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.reshape(-1).view("<i4") / float(1 << 31)
    return raw.view(f"<i{layout.bits // 8}") / float(1 << (layout.bits - 1))
