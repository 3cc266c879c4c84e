"""Weights that an ONNX file keeps in a file beside it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from recurra.errors import FormatError
from recurra.given import brief

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def read_external(model: Path, entries: Mapping[str, str], size: int, where: str) -> bytes:
    """Read `size` bytes from the file that `entries` name, which must be the model's neighbour.

    A path that leads out of the model's folder, by `..`, as an absolute path or over a link, is
    refused, and so is a file with a second name, which may be one of another's.

    Raises:
        FormatError: it is refused, is not there, or is too short.
    """
    location = entries.get("location", "")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        offset, length = -1, -1
    if not location or offset < 0 or length != size:
        raise FormatError(
            f"{model}: {where}: expected a location, an offset and a length of {size:,} bytes, "
            f"received {brief(dict(entries))}: write the file anew with onnx.save"
        )
    folder = model.parent.resolve()
    try:
        target = (folder / location).resolve()
    except (OSError, ValueError, RuntimeError):
        target = Path(os.sep)
    if Path(location).is_absolute() or not target.is_relative_to(folder) or target == folder:
        raise FormatError(
            f"{model}: {where}: keeps its numbers in {location!r}, outside the model's folder: "
            "such files are not followed: put it beside the model and name it alone"
        )
    try:
        # Not a pipe, which would be waited for; and the very file that is looked at is read.
        descriptor = os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINKS)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise FormatError(
                    f"{model}: {where}: {location!r} is no regular file with one name: "
                    "such files are not followed: copy its contents there"
                )
            if status.st_size < offset + size:
                raise FormatError(
                    f"{model}: {where}: expected {offset + size:,} bytes in {location!r}, "
                    f"found {status.st_size:,}: copy it again, whole"
                )
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise FormatError(
            f"{model}: {where}: {location!r} cannot be read: check that it lies "
            "beside the model, and its permissions"
        ) from error
