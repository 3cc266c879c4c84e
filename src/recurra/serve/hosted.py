"""The models that a server has loaded."""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.errors import InputError
from recurra.serve.engine import Engine
from recurra.serve.errors import ApiError, not_found
from recurra.serve.metrics import Metrics
from recurra.serve.sessions import size_of
from recurra.serve.settings import Limits
from recurra.storage import ModelFiles
from recurra.tasks.language_model.text_model import TextModel

#: Folders whose name says nothing of the model in them.
_NAMELESS = {"best", "model", "."}


class Hosted:
    """A model and what runs it.

    Args:
        name: what requests call it.
        model: of any task.
        limits, metrics: of the server.
        chat: its turn format, where it has one.
    """

    def __init__(
        self, name: str, model: Any, limits: Limits, metrics: Metrics, chat: Any = None
    ) -> None:
        self.name, self.model, self.chat = name, model, chat
        self.task = str(model.files.config["task"])
        self.digest = digest_of(model.files)
        self.created = int(time.time())
        # Models that write no text answer one request at a time, in a thread of its own.
        self.turn, self.asked = asyncio.Lock(), 0
        self.streaming = asyncio.Lock()  # pieces of streams are read one after the other
        self.engine: Engine | None = None
        if isinstance(model, TextModel) and hasattr(model.runtime, "step"):
            self.engine = Engine(name, model.runtime, limits, metrics)

    def card(self) -> dict[str, Any]:
        """What `GET /v1/models` says of it."""
        config = getattr(self.model, "config", None)
        details: dict[str, Any] = {"task": self.task, "sha256": self.digest}
        for key in ("cell", "layers", "hidden"):
            if hasattr(config, key):
                details[key] = getattr(config, key)
        if self.engine is not None:
            details["vocab"] = len(self.model.tokenizer)
            details["state_bytes"] = size_of(self.model.runtime.start(1))
        if self.task == "sequence_classifier":
            reads = self.model.config.reads_text
            details["inputs"] = "text" if reads else "numbers"
            details["features"] = None if reads else self.model._features
        if isinstance(self.model, TextModel):
            details["chat"] = self.chat is not None
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "recurra",
            "recurra": details,
        }

    def stepping(self) -> Engine:
        """What steps it; ApiError where it writes no text."""
        if self.engine is None:
            raise wrong_task(self.name, self.task)
        return self.engine


def wrong_task(name: str, task: str) -> ApiError:
    """The error of an endpoint that a model has no answer for."""
    return ApiError(
        404,
        f"model {name!r} is of the task {task}, which this endpoint is not for",
        code="wrong_task",
        param="model",
    )


class Models:
    """All models of a server, by name."""

    def __init__(self, hosted: Sequence[Hosted]) -> None:
        self.by_name = {each.name: each for each in hosted}

    def get(self, name: str) -> Hosted:
        """The model of that name; ApiError where there is none."""
        found = self.by_name.get(name)
        if found is None:
            known = ", ".join(map(repr, self.by_name))
            raise not_found(
                f"there is no model {name[:80]!r} here; there is {known}",
                "model_not_found",
                "model",
            )
        return found

    @property
    def engines(self) -> list[Engine]:
        """What steps those that write text."""
        return [each.engine for each in self.by_name.values() if each.engine is not None]


def digest_of(files: ModelFiles) -> str:
    """What tells two models apart: the SHA-256 of configuration, tokenizer and weights."""
    digest = hashlib.sha256()
    for part in (files.config.get("architecture"), files.tokenizer):
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\0")
    for name, tensor in sorted(files.tensors.items()):
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\0".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def names_of(runs: Sequence[str]) -> list[tuple[str, str]]:
    """Names and paths of `RUN` or `NAME=RUN` each: a run is called by its folder.

    Raises:
        InputError: two have one name, or a name cannot be one.
    """
    found: dict[str, str] = {}
    for run in runs:
        name, equals, path = run.partition("=")
        if not equals or "/" in name:
            path, folder = run, Path(run).resolve()
            while folder.name in _NAMELESS and folder.parent != folder:
                folder = folder.parent
            name = folder.name
        if not name or len(name) > 200 or not name.isprintable():
            raise InputError(f"{run}: expected a name of 1 to 200 characters: write NAME=RUN")
        if name in found:
            raise InputError(
                f"{run}: a model of the name {name!r} is there already: write NAME=RUN"
            )
        found[name] = path
    return list(found.items())
