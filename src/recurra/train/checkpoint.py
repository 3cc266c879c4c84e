"""The state of a run as tensors and JSON, and back: all that an exact resume needs, no pickle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from torch import Tensor, nn

from recurra.errors import FormatError, InputError
from recurra.given import shown
from recurra.storage import dump_json, parse_json
from recurra.train import random_state
from recurra.train.distributed import World
from recurra.train.metrics import decode, encode
from recurra.train.optim import Updater
from recurra.train.recorded import record
from recurra.train.task import State

_JSON = "json"
_BFLOAT16 = "@bfloat16"  # numpy lacks it: kept as int16 under a marked name


@dataclass
class Position:
    """Where a run is, and what it has found so far. Written as JSON."""

    step: int = 0
    epoch: int = 0
    index: int = 0  # of the next batch in the epoch
    place: float = 0.0  # epochs done
    tokens: int = 0
    seconds: float = 0.0  # in all
    train_seconds: float = 0.0  # in steps
    loss: float = 0.0  # of the last step, as the next two
    lr: float = 0.0
    grad_norm: float = 0.0
    line_sum: float = 0.0  # of the loss since the last line of the metrics, as the next four
    line_count: float = 0.0
    line_tokens: int = 0
    line_seconds: float = 0.0
    line_skipped: int = 0
    logged: int = 0  # step of the last line
    validated: int = 0  # step of the last validation
    skipped: int = 0
    bad_in_row: int = 0
    vain: int = 0  # validations since the best
    factor: float = 1.0  # of the plateau schedule
    waited: int = 0
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    stopped: str | None = None


@dataclass
class RunState:
    """All that changes while a run trains, on one rank."""

    module: nn.Module
    updater: Updater
    position: Position
    carried: State = None
    best: dict[str, Tensor] | None = None  # the weights of the best validation


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, each storage once."""
    kept = module.state_dict(keep_vars=True)
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items() if name in kept}


def set_weights(module: nn.Module, values: Mapping[str, Tensor], where: str) -> None:
    """Copy values into the module's tensors; FormatError unless names and shapes are the same."""
    own = weights(module)
    _check_like(own, values, where)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(values[name])


def _check_like(own: Mapping[str, Tensor], values: Mapping[str, Tensor], where: str) -> None:
    """FormatError unless names, shapes and dtypes are the same."""
    wrong = sorted(own.keys() ^ values.keys()) or sorted(
        name
        for name in own
        if own[name].shape != values[name].shape or own[name].dtype != values[name].dtype
    )
    if wrong:
        raise FormatError(f"{where}: holds another model: {', '.join(wrong[:3])} differ")


def capture(state: RunState, world: World) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The whole state as arrays and JSON on rank 0; the other ranks give their part."""
    own: dict[str, Tensor] = {}
    generators, generator_values = random_state.snapshot()
    own.update({f"random/{name}": tensor for name, tensor in generators.items()})
    layout = _flatten(state.carried, "carried", own)
    own_values = {"random": generator_values, "carried": layout}
    parts = world.gather(_pack(_arrays(own), own_values))
    if not world.first:
        return {}, {}
    arrays = _arrays(
        {f"weights/{name}": tensor for name, tensor in weights(state.module).items()}
        | {f"optimizer/{name}": tensor for name, tensor in state.updater.state().items()}
        | {f"best/{name}": tensor for name, tensor in (state.best or {}).items()}
    )
    ranks = []
    for rank, part in enumerate(parts):
        part_arrays, values = _unpack(part)
        arrays.update({f"rank{rank}/{name}": array for name, array in part_arrays.items()})
        ranks.append(values)
    return arrays, {"position": encode(asdict(state.position)), "ranks": ranks}


def restore(
    state: RunState,
    world: World,
    checkpoint: tuple[Mapping[str, np.ndarray], Mapping[str, Any]] | None,
    where: str,
) -> None:
    """Set the state, on every rank, to what `capture` returned on rank 0 (elsewhere None)."""
    if world.size > 1:
        packed = b"" if checkpoint is None else _pack(*checkpoint)
        checkpoint = _unpack(world.tell_bytes(packed))
    assert checkpoint is not None
    arrays, values = checkpoint
    ranks = values.get("ranks")
    if not isinstance(ranks, list) or not all(
        isinstance(rank, dict) and {"random", "carried"} <= rank.keys() for rank in ranks
    ):
        raise FormatError(f"{where}: its checkpoint has no states of processes: use --fresh")
    if len(ranks) != world.size:
        raise InputError(
            f"{where}: was written by {len(ranks)} processes, this run has {world.size}: "
            "resume with as many, or start over with --fresh"
        )
    tensors = _tensors(arrays)
    set_weights(state.module, _below(tensors, "weights/"), where)
    state.updater.load_state(_below(tensors, "optimizer/"), where)
    best = {k: t.to(world.device) for k, t in _below(tensors, "best/").items()} or None
    if best is not None:
        _check_like(weights(state.module), best, where)
    state.best = best
    state.position = record(Position, decode(values.get("position")), f"{where}: position")
    for name in ("best", "last"):
        _check_figures(getattr(state.position, name), f"{where}: position.{name}")
    if (state.position.best is None) is not (state.best is None):
        raise FormatError(
            f"{where}: its checkpoint has a best validation without its weights, "
            "or weights without it: start over with --fresh"
        )
    own = _below(tensors, f"rank{world.rank}/")
    state.carried = _unflatten(ranks[world.rank]["carried"], own, world.device, where)
    random_state.restore(_below(own, "random/"), ranks[world.rank]["random"], where)


def _check_figures(figures: Mapping[str, Any] | None, where: str) -> None:
    """FormatError unless these are the figures of a validation: numbers, its step and its loss."""
    if figures is None:
        return
    for name in ("step", "loss", *figures):
        value = figures.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FormatError(
                f"{where}: {shown(name)} is {shown(value)}, not a number: start over with --fresh"
            )


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _flatten(state: State, name: str, tensors: dict[str, Tensor]) -> Any:
    """Put the tensors of a nested state into `tensors`; returns its layout as JSON."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        tensors[name] = state
        return name
    if isinstance(state, dict):
        named = {key: _flatten(item, f"{name}.{key}", tensors) for key, item in state.items()}
        return {"dict": named}
    items = [_flatten(item, f"{name}.{i}", tensors) for i, item in enumerate(state)]
    return {"tuple" if isinstance(state, tuple) else "list": items}


def _unflatten(
    layout: Any, tensors: Mapping[str, Tensor], device: torch.device, where: str
) -> State:
    if layout is None:
        return None
    if isinstance(layout, str) and layout in tensors:
        return tensors[layout].to(device)
    kind, items = next(iter(layout.items())) if isinstance(layout, dict) and layout else ("", None)
    if kind == "dict" and isinstance(items, dict):
        return {key: _unflatten(item, tensors, device, where) for key, item in items.items()}
    if kind in ("tuple", "list") and isinstance(items, list):
        parts = [_unflatten(item, tensors, device, where) for item in items]
        return tuple(parts) if kind == "tuple" else parts
    raise FormatError(
        f"{where}: its checkpoint carries {shown(layout)}, which is no state: start over with "
        "--fresh"
    )


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.dtype == torch.bfloat16:
            name, tensor = name + _BFLOAT16, tensor.view(torch.int16)
        arrays[name] = tensor.numpy()
    return arrays


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    tensors = {}
    for name, array in arrays.items():
        tensor = torch.tensor(array)
        if name.endswith(_BFLOAT16) and tensor.dtype == torch.int16:
            name, tensor = name.removesuffix(_BFLOAT16), tensor.view(torch.bfloat16)
        tensors[name] = tensor
    return tensors


def _pack(arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> bytes:
    text = np.frombuffer(dump_json(values), np.uint8)
    return save_tensors({**arrays, _JSON: text})


def _unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays = load_tensors(data)
    text = arrays.pop(_JSON).tobytes()
    return arrays, parse_json(text, "state of a rank")
