"""Open files, and what is read like one in memory, as paths that can be read again."""

import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

from recurra.errors import InputError


def is_open_file(value: Any) -> bool:
    """Whether it is an open file, or something in memory that is read like one."""
    able = hasattr(value, "read") and hasattr(value, "readline") and hasattr(value, "tell")
    return able and not isinstance(value, type)


def path_of_open(file: Any, what: str, expected: str) -> Path:
    """The path of an open file; of one in memory that of a copy, which goes when the file does."""
    name, at = getattr(file, "name", None), 0
    if name == "<stdin>" or name == 0:
        return Path("-")
    try:
        at = file.tell()
    except (OSError, ValueError):
        at = -1
    if at != 0:
        raise InputError(
            f"{what}: expected {expected}, received an open file that cannot be read from its "
            "beginning: open it anew, or give its path"
        )
    if isinstance(name, str) and os.path.exists(name):
        return Path(name)
    content = file.read()
    file.seek(0)
    data = content.encode() if isinstance(content, str) else bytes(content)
    path = _COPIES.get(file)
    if path is None or path.suffix != _ending(data):
        handle, made = tempfile.mkstemp(prefix="recurra-", suffix=_ending(data))
        os.close(handle)
        path = _COPIES[file] = Path(made)
        weakref.finalize(file, path.unlink, missing_ok=True)
    path.write_bytes(data)  # it may have changed since it was read before
    return path


#: Where copies of files lie that are in memory.
_COPIES: weakref.WeakKeyDictionary[Any, Path] = weakref.WeakKeyDictionary()


def _ending(data: bytes) -> str:
    """How the name of a file with this content ends: what its format is recognised by."""
    for magic, ending in ((b"PAR1", ".parquet"), (b"PK", ".npz"), (b"RIFF", ".wav")):
        if data.startswith(magic):
            return ending
    first = data.lstrip().partition(b"\n")[0]
    if first.startswith(b"{"):
        return ".jsonl"
    signs = {".tsv": first.count(b"\t"), ".csv": max(first.count(b","), first.count(b";"))}
    best = max(signs, key=lambda ending: signs[ending])
    return best if signs[best] else ".txt"
