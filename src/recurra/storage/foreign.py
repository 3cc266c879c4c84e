"""What a file looks like that is not what it was taken for."""

import re

_PICKLE = "a Python pickle, which can run code when it is loaded"
# Protocols 0 and 1 have no magic: a class by module and name, or the start of a list or dict.
_TEXT_PICKLE = re.compile(rb"\(?c[\w.]+\n[\w.]+\n|\([ld]p\d+\n|[\]}]q[\x00-\xff]|\(i[\w.]+\n")
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive, as torch.save (with a pickle inside), Keras and numpy make"),
    (b"PK\x05\x06", "an empty zip archive"),
    *((bytes([0x80, protocol]), _PICKLE) for protocol in range(2, 6)),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras makes"),
    (b"GGUF", "a GGUF file, as llama.cpp makes"),
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"{", "JSON"),
)


def looks_like(head: bytes) -> str:
    """What a file is by its first bytes, of which 300 serve; "" if unknown."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[257:262] == b"ustar":
        return "a tar archive, as old torch.save made (with pickles inside)"
    # ONNX is protobuf: field 1 (the version of its format), then field 2, 7 or 8.
    if len(head) > 2 and head[0] == 0x08 and head[1] < 0x20 and head[2] in (0x12, 0x3A, 0x42):
        return "an ONNX model"
    if _TEXT_PICKLE.match(head):
        return _PICKLE
    return ""
