"""States as files that another server of the same model reads: safetensors, bounded and hashed."""

import hashlib
import json
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recurra.generate import Carried
from recurra.serve.errors import ApiError, invalid
from recurra.serve.sessions import Kept

FORMAT = "recurra-state-1"
MEDIA = "application/octet-stream"
_HEADER = 1 << 16


def write_state(kept: Kept) -> bytes:
    """The bytes of a state, without the way to it."""
    tensors = {"ids": kept.carried.ids.astype(np.int32)}
    for layer, states in enumerate(kept.carried.state):
        for number, state in enumerate(states):
            tensors[f"state.{layer}.{number}"] = np.ascontiguousarray(state)
    about = {
        "format": FORMAT,
        "model_sha256": kept.digest,
        "drawn": str(kept.carried.drawn),
        "written": json.dumps([list(part) for part in kept.carried.written]),
    }
    return save(tensors, {**about, "sha256": _hash(tensors, about)})


def read_state(data: bytes, digest: str, start: Any, vocabulary: int) -> Carried:
    """The state in bytes that `write_state` made, of a model of that digest.

    Args:
        data: the bytes.
        digest: of the model.
        start: a state of this model, which says the shapes.
        vocabulary: V.

    Raises:
        ApiError: it is of another model, damaged, or no such file.
    """
    about = _metadata(data)
    if about.get("format") != FORMAT:
        raise _bad("it is no state of this server")
    if about.get("model_sha256") != digest:
        raise ApiError(
            400, "the state is of another model", code="state_of_another_model", param="body"
        )
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _bad(str(error)) from None
    told = about.pop("sha256", "")
    if _hash(tensors, about) != told:
        raise _bad("its hash is another: it was damaged on the way")
    shapes = {
        f"state.{layer}.{number}": (state.shape, state.dtype)
        for layer, states in enumerate(start)
        for number, state in enumerate(states)
    }
    ids = tensors.pop("ids", np.empty(0, np.int32))
    if {name: (t.shape, t.dtype) for name, t in tensors.items()} != shapes:
        raise _bad("its arrays are not those of this model")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise _bad("it holds NaN or infinity")
    if ids.dtype != np.int32 or ids.ndim != 1 or not len(ids):
        raise _bad("its ids are no row of int32")
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise _bad("its ids are not those of this model")
    drawn, written = _counts(about, len(ids))
    state = tuple(
        tuple(tensors[f"state.{layer}.{number}"] for number in range(len(states)))
        for layer, states in enumerate(start)
    )
    return Carried(state, ids, drawn, written)


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or length > min(_HEADER, len(data) - 8):
        raise _bad("it is no safetensors file, or cut short")
    try:
        found = json.loads(data[8 : 8 + length])["__metadata__"]
        return {str(key): str(value) for key, value in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _bad("its header cannot be read") from None


def _counts(about: dict[str, str], tokens: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """How many numbers were drawn, and which parts were written."""
    try:
        drawn, parts = int(about["drawn"][:20]), json.loads(about["written"])
        written = tuple((start, stop) for start, stop in parts)
        places = [place for part in written for place in part]
        whole = all(type(place) is int for place in places)
        ordered = whole and places == sorted(places)
        inside = not places or (ordered and places[0] >= 0 and places[-1] <= tokens)
        if ordered and inside and 0 <= drawn < 1 << 62:
            return drawn, written
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise _bad("its counts cannot be read")


def _hash(tensors: dict[str, np.ndarray], about: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype.str} {tensor.shape}\0".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _bad(reason: str) -> ApiError:
    return invalid(f"body: not a state that can be read: {reason}", "body", "invalid_state")
