"""Training that goes on from a model directory: what has to be the same, and what is taken over."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from recurra.errors import FormatError, InputError
from recurra.settings import Settings
from recurra.storage import ModelFiles
from recurra.train.config import TrainConfig

#: How long the earlier training was, and what it began from: each training says its own.
_OWN = frozenset({"minutes", "epochs", "steps", "plan", "pretrained", "unfreeze"})
#: Settings whose values belong to one optimizer.
_OF_OPTIMIZER = frozenset({"lr", "momentum", "betas", "weight_decay"})


def same_network(config: Settings, wanted: Settings, given: Collection[str], path: Path) -> None:
    """Raise InputError, with all differences, where settings that were given are not the model's.

    Args:
        config: of the model.
        wanted: as given.
        given: names of those that were.
        path: of the model.
    """
    pairs = {name: (getattr(config, name), getattr(wanted, name)) for name in sorted(given)}
    texts = [
        f"{name} {_short(there)} there, {_short(now)} now"
        for name, (there, now) in pairs.items()
        if there != now
    ]
    if texts:
        raise InputError(
            f"{path}: a model that is trained further keeps its network: {'; '.join(texts)}: leave "
            "these out, or train a new one"
        )


def further_settings(
    files: ModelFiles, given: Mapping[str, Any], data: type[Settings]
) -> dict[str, Any]:
    """Settings of data and training: those given, else those that the model was trained with.

    Raises:
        FormatError: the model directory says none that this version knows.
    """
    training = files.config.get("training")
    kept: dict[str, Any] = {}
    for name, table in (("data", data), ("train", TrainConfig)):
        told = training.get(name) if isinstance(training, Mapping) else None
        if told is None:  # written before model directories said so
            continue
        try:
            read = table.from_json(told)
        except InputError as error:
            raise FormatError(
                f'{files.path}: config.json, "training": {name}: {error}: restore the file from a '
                "copy"
            ) from error
        kept |= {key: getattr(read, key) for key in told if key not in _OWN}
    if given.get("optimizer") not in (None, kept.get("optimizer")):
        kept = {name: value for name, value in kept.items() if name not in _OF_OPTIMIZER}
    usual = {f: getattr(TrainConfig(), f) for f in TrainConfig.names()}
    usual |= {f: getattr(data(), f) for f in data.names()}
    kept = {name: value for name, value in kept.items() if usual[name] != value}
    return {**kept, **given}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
