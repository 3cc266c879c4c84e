"""Where a stream stands, as a message has it: the file of its state in base64."""

import base64
import binascii
import tempfile
from collections.abc import Callable
from pathlib import Path

from recurra.bounded import limit
from recurra.errors import FormatError, InputError
from recurra.runtime.streams import StreamState
from recurra.serve.errors import ApiError, invalid
from recurra.storage.disk import read_file


def encoded(state: StreamState, most: int) -> str:
    """A state as a message has it: its file in base64.

    Raises:
        ApiError: 413, a larger one than could be sent back.
    """
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        data = read_file(state.save(Path(folder) / "state"), limit=limit("stream") + (1 << 21))
    if len(data) > most * 3 // 4 - 1024:
        raise ApiError(
            413,
            f"the state takes {len(data):,} bytes, more than a message holds: raise --body",
            code="state_too_large",
        )
    return base64.b64encode(data).decode()


def decoded(text: str) -> StreamState:
    """The state that `encoded` wrote; ApiError for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("state: expected one as it was sent, in base64", "state") from None
    with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
        path = Path(folder) / "state"
        path.write_bytes(data)
        return _named(path, lambda: StreamState.load(path))


def _named(path: Path, load: Callable[[], StreamState]) -> StreamState:
    try:
        return load()
    except (InputError, FormatError) as error:
        told = str(error).replace(f"{path}: ", "").replace(str(path), "state")
        raise invalid(f"state: {told}", "state", "invalid_state") from None
