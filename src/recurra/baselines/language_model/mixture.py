"""Several language models as one: each token's probability is the weighted mean of theirs."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recurra.baselines.language_model.rival import TextRival
from recurra.errors import FormatError, InputError
from recurra.given import listed, reason, shown
from recurra.storage import ModelFiles
from recurra.tasks.catalog import from_files
from recurra.tasks.language_model import TextModel
from recurra.tasks.language_model.data import log_probabilities

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source

TASK = "language_model_mixture"

#: One state a model.
State = tuple[Any, ...]


class MixtureModel(TextRival):
    """A linear interpolation of language models with the same tokenizer (Jelinek & Mercer 1980).

    Two models of different kinds are wrong at different places, so that together they beat both.

    Args:
        models: trained ones, of one tokenizer, and all of lines or none.
        weights: of each, above 0, which sum to 1; by default equal.

    Raises:
        InputError: models that cannot be mixed, or weights that are none.
    """

    task = TASK
    title = "mixture of language models"

    def __init__(
        self, models: Sequence[TextModel], *, weights: Sequence[float] | None = None
    ) -> None:
        models = listed(models, "mixture", "a list of trained language models")
        for model in models:
            if not isinstance(model, TextModel):
                raise InputError(
                    f"mixture: expected trained language models, received {shown(model)}"
                )
        if len(models) < 2:
            raise InputError(f"mixture: expected at least two models, received {len(models)}")
        first, *others = models
        for other in others:
            if other.tokenizer.sha256 != first.tokenizer.sha256:
                raise InputError(
                    "mixture: expected models with the same tokenizer, received "
                    f"{first.tokenizer!r} and {other.tokenizer!r}: train the second with "
                    "tokenizer=first.tokenizer"
                )
            if bool(other.files.config.get("lines")) != bool(first.files.config.get("lines")):
                raise InputError(
                    "mixture: one model reads lines, and another does not: train both with the "
                    "same lines"
                )
        self.models = list(models)
        self._set(np.full(len(models), 1 / len(models)) if weights is None else weights)

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{weight:.3f} {model!r}"
            for weight, model in zip(self.weights, self.models, strict=True)
        )
        return f"<MixtureModel: {parts}>"

    def fit(
        self, data: "Source | None" = None, *, text: str | None = None, tolerance: float = 1e-6
    ) -> None:
        """Set the weights to those that predict a text best, which no model was trained on.

        By expectation maximisation, which never gets worse and has one optimum: a model's new
        weight is the mean share it had in the probabilities of the tokens.

        Args:
            data: a file, a folder, "-" for standard input, or several of them; or
            text: the text itself.
            tolerance: stop once no weight changes by more.

        Raises:
            InputError: the text cannot be read, or has symbols the models do not know.
        """
        with self._tokens(data, text) as tokens:
            found = np.stack([log_probabilities(m.runtime, tokens) for m in self.models])
        # What matters is how the models compare: no probability can be too small this way.
        ratios = np.exp(found - found.max(0))
        weights = self.weights
        change = np.inf
        while change > tolerance:
            shares = weights[:, None] * ratios
            before, weights = weights, (shares / shares.sum(0)).mean(1)
            change = float(np.abs(weights - before).max())
        self._set(weights / weights.sum())

    @property
    def weights(self) -> np.ndarray:
        """Of each model, (M,)."""
        return self._weights.copy()

    @property
    def parameters(self) -> int:
        """Fitted numbers of all models."""
        return sum(int(np.size(t)) for model in self.models for t in model.files.tensors.values())

    @cached_property
    def runtime(self) -> "Mixed":
        """What runs the models side by side."""
        return Mixed([model.runtime for model in self.models], self._weights)

    @property
    def files(self) -> ModelFiles:
        """All models' files as those of one; tensors are named `0.…`, `1.…`."""
        parts = [model.files for model in self.models]
        tensors = {f"{k}.{n}": t for k, part in enumerate(parts) for n, t in part.tensors.items()}
        config = {
            "task": TASK,
            "lines": bool(parts[0].config.get("lines")),
            "weights": self._weights.tolist(),
            "models": [part.config for part in parts],
        }
        return ModelFiles(config, tensors, parts[0].tokenizer, _card(self), Path())

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> Self:
        """The model that `read_model` read."""
        configs, weights = files.config.get("models"), files.config.get("weights")
        if files.config["task"] != TASK:
            raise FormatError(
                f"{files.path}: expected a mixture of language models, found a model of the task "
                f"{files.config['task']!r}: open it with recurra.load"
            )
        if not isinstance(configs, list) or not isinstance(weights, list):
            name = "weights" if isinstance(configs, list) else "models"
            raise FormatError(
                f'{files.path}: config.json, "{name}": expected a list, '
                f"found {shown(files.config.get(name))}: restore the file from a copy"
            )
        models = []
        for number, config in enumerate(configs):
            if not isinstance(config, dict):
                raise FormatError(
                    f'{files.path}: config.json, "models", {number}: expected the settings of a '
                    f"model, found {shown(config)}: restore the file from a copy"
                )
            part = ModelFiles(
                config, _below(files.tensors, f"{number}."), files.tokenizer, "", files.path
            )
            models.append(from_files(part, precision=precision))
        try:
            return cls(models, weights=weights)
        except (InputError, TypeError, ValueError) as error:
            raise FormatError(
                f"{files.path}: config.json: {reason(error)}: restore the file from a copy"
            ) from error

    def _set(self, weights: Sequence[float] | np.ndarray) -> None:
        given = listed(weights, "weights", f"{len(self.models)} numbers")
        try:
            found = np.array(given, np.float64)
        except (TypeError, ValueError):
            raise InputError(f"weights: expected numbers, received {shown(weights)}") from None
        # One that came to nothing in `fit` stays, as a zero.
        fits = found.shape == (len(self.models),) and (found >= 0).all()
        if not fits or abs(found.sum() - 1) > 1e-6:
            raise InputError(
                f"weights: expected {len(self.models)} numbers from 0 on that sum to 1, received "
                f"{list(weights)}"
            )
        self._weights = found
        self.__dict__.pop("runtime", None)


class Mixed:
    """Models of token ids side by side: a `StepModel` of `recurra.generate`, and a `Scorer`."""

    def __init__(self, parts: Sequence[Any], weights: np.ndarray) -> None:
        self._parts = list(parts)
        with np.errstate(divide="ignore"):
            self._logs = np.log(weights)
        self.vocab_size = parts[0].vocab_size

    def start(self, batch: int) -> State:
        """Return the state of `batch` streams before their first token."""
        return tuple(part.start(batch) for part in self._parts)

    def select(self, state: State, rows: np.ndarray) -> State:
        """Return the streams `rows` (N,) of `state`, in that order; a row may occur repeatedly."""
        return tuple(p.select(s, rows) for p, s in zip(self._parts, state, strict=True))

    def join(self, states: Sequence[State]) -> State:
        """Return the streams of several states, one after the other, as one state."""
        parts = zip(*states, strict=True)
        return tuple(p.join(list(own)) for p, own in zip(self._parts, parts, strict=True))

    def step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read one token a stream, ids (B,): ln P (B, V) of the next token, and the new state."""
        return self._mix([p.step(ids, s) for p, s in zip(self._parts, state, strict=True)])

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: State
    ) -> tuple[np.ndarray, State]:
        """Read ids (B, T), of each row the first `lengths` (B,) (None: all).

        Returns ln P (B, V) after the last token of each row, and the state there.
        """
        return self._mix([p.read(ids, lengths, s) for p, s in zip(self._parts, state, strict=True)])

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        found = [
            part.log_probabilities(inputs, targets, own)
            for part, own in zip(self._parts, state, strict=True)
        ]
        return self._sum([own for own, _ in found]), tuple(after for _, after in found)

    def _mix(self, found: Sequence[tuple[np.ndarray, Any]]) -> tuple[np.ndarray, State]:
        normal = []
        for logits, _ in found:
            wide = logits.astype(np.float64)
            wide -= wide.max(-1, keepdims=True)
            normal.append(wide - np.log(np.exp(wide).sum(-1, keepdims=True)))
        return self._sum(normal).astype(np.float32), tuple(after for _, after in found)

    def _sum(self, logs: Sequence[np.ndarray]) -> np.ndarray:
        """ln Σ_m weight_m P_m, from each ln P_m."""
        weighted = np.stack([log + weight for log, weight in zip(logs, self._logs, strict=True)])
        found: np.ndarray = np.logaddexp.reduce(weighted, axis=0)
        return found


def _below(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _card(model: MixtureModel) -> str:
    rows = "\n".join(
        f"| {part.files.config['task'].replace('_', ' ')} | {weight:.4f} |"
        for part, weight in zip(model.models, model.weights, strict=True)
    )
    return f"""---
library_name: recurra
pipeline_tag: text-generation
tags: [recurra, language-model]
---
# A mixture of language models

| model | weight |
|---|---|
{rows}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.generate("The", max_tokens=50))
```
"""
