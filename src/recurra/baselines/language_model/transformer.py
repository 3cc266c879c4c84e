"""A Transformer in the place of a language model's recurrent layers, of as many parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from recurra.baselines.language_model.rival import TextRival
from recurra.baselines.language_model.transformer_network import TransformerLM, sizes_for
from recurra.baselines.protocol import Budget
from recurra.baselines.transformer import train_rival
from recurra.errors import FormatError, InputError
from recurra.given import reason
from recurra.runtime.architecture import Weights
from recurra.settings import Settings, check, option, sort
from recurra.storage import ModelFiles
from recurra.tasks.job import Job
from recurra.tasks.language_model import LanguageModelData, LanguageModelSettings
from recurra.tasks.language_model.data import Prepared
from recurra.tasks.language_model.training import LanguageModelTraining, prepared_in
from recurra.tasks.training import drawn
from recurra.train import TrainConfig
from recurra.train.distributed import World

TASK = "transformer_language_model"

#: The field's usual choices for small data.
LR, WARMUP, EPOCHS = 1e-3, 0.1, 10.0


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(Settings):
    """The network."""

    width: int = option(256, "features between layers", least=1, whole=True)
    blocks: int = option(4, "layers of attention and feed-forward", least=1, whole=True)
    heads: int = option(4, "of attention", least=1, whole=True)
    feedforward: int | None = option(
        None, "units of feed-forward layers; by default 4 times the width", least=1, whole=True
    )
    context: int = option(
        128, "the most tokens that are looked at", least=2, most=1 << 16, whole=True
    )
    transformer_dropout: float = option(0.2, "of embedding, attention, blocks", least=0, below=1)

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        if not found and self.width % self.heads:
            found.append(f"width must be a multiple of heads ({self.heads}), received {self.width}")
        return found


class TransformerLanguageModel(TextRival):
    """All that the recurrent language model has (tokenizer, batches, loss, training loop), with
    causal self-attention for its recurrent layers. Needs torch for everything.

    The arguments are the fields of `TransformerConfig`, and the settings of the recurrent model
    and of its data, of which those of recurrent layers mean nothing here.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = TASK
    title = "Transformer language model"

    def __init__(self, *, epochs: float = EPOCHS, lr: float = LR, **settings: Any) -> None:
        own, chosen, data = sort(
            settings, TransformerConfig, LanguageModelSettings, LanguageModelData
        )
        self.config, self._like = TransformerConfig(**own), LanguageModelSettings(**chosen)
        self.data = LanguageModelData(**data)
        check(self.config, self._like, self.data)
        # A segment in training is a whole context, a step as many tokens as the other model's.
        context, tokens = self.config.context, self.data.batch * (self.data.segment or 0)
        batch = max(1, round(tokens / context)) if tokens else self.data.batch
        self.data = replace(self.data, bptt=context, batch=batch)
        self._how = TrainConfig(epochs=epochs, lr=lr, warmup=WARMUP)

    def __repr__(self) -> str:
        c, trained = self.config, "trained" if self._files else "not trained"
        return f"<TransformerLanguageModel: {c.blocks} × {c.width}, {trained}>"

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the best validation.

        Its sizes are those with which it has as many parameters as `budget` says, if it does.
        """

        def make(job: Job, out: Path, world: World) -> tuple[_Task, dict[str, Any]]:
            prepared = prepared_in(out, job, world, None)
            if budget.parameters is not None:
                c, V = self.config, len(prepared.tokenizer)
                width, units = sizes_for(budget.parameters, V, c.blocks, heads=c.heads)
                self.config = replace(c, width=width, feedforward=units)
            return _Task(job, prepared, self.config), prepared.identity

        _, files = train_rival(
            make, data, valid, model=self._like, data=self.data, how=self._how, budget=budget
        )
        self._take(files)

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return sum(int(tensor.size) for tensor in self.files.tensors.values())

    @cached_property
    def runtime(self) -> "_Steps":
        """What runs it, with torch."""
        return _Steps(build(self.config, len(self.tokenizer), 0, self.files))

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> Self:
        """The model that `read_model` read."""
        if files.config["task"] != TASK or precision != "float32":
            raise FormatError(
                f"{files.path}: expected a Transformer language model and precision float32, found "
                f"a model of the task {files.config['task']!r}, received precision {precision}: "
                "leave precision out, or give the path of such a model"
            )
        try:
            config = TransformerConfig.from_json(files.config["model"])
        except (KeyError, InputError) as error:
            raise FormatError(
                f'{files.path}: config.json, "model": {reason(error)}: restore the file from a copy'
            ) from error
        model = cls(**config.to_json(), lines=bool(files.config.get("lines")))
        model._take(files)
        Weights(files.tensors)
        try:
            _ = model.runtime
        except (RuntimeError, KeyError) as error:
            told = str(error).splitlines()[-1].strip()
            raise FormatError(
                f"{files.path}: model.safetensors: expected the weights that config.json describes "
                f"({told}): restore both from a copy"
            ) from error
        return model


def build(
    config: TransformerConfig, vocabulary: int, seed: int, files: ModelFiles | None = None
) -> TransformerLM:
    """Return the module with freshly drawn weights, or those of files."""
    with drawn(seed):
        module = TransformerLM(
            vocabulary,
            config.width,
            config.blocks,
            heads=config.heads,
            context=config.context,
            feedforward=config.feedforward,
            dropout=config.transformer_dropout,
        )
    if files is not None:
        state = {name: torch.from_numpy(np.array(v)) for name, v in files.tensors.items()}
        module.load_state_dict({**state, "head.weight": state["embedding.weight"]})
    return module


class _Task(LanguageModelTraining):
    """The task of a language model, with another module."""

    module: Any

    def __init__(self, job: Job, prepared: Prepared, config: TransformerConfig) -> None:
        module = build(config, len(prepared.tokenizer), job.train.seed)
        super().__init__(job, prepared, module)
        self._config_of_module = config

    def samples(self) -> list[tuple[str, str]]:
        """None: writing token by token is slow here."""
        return []

    def config(self) -> dict[str, Any]:
        """See `Training`."""
        found = {**super().config(), "task": TASK, "model": self._config_of_module.to_json()}
        del found["architecture"]
        return found


class _Steps:
    """The module as a `StepModel` of `recurra.generate`, and a `Scorer`."""

    def __init__(self, module: TransformerLM) -> None:
        self._module, self.vocab_size = module.eval(), module.vocabulary

    def start(self, batch: int) -> Tensor:
        """Return the state of `batch` streams before their first token."""
        return torch.full((self._module.reach, batch), -1)

    def select(self, state: Tensor, rows: np.ndarray) -> Tensor:
        """Return the streams `rows` (N,) of `state`, in that order; a row may occur repeatedly."""
        return state[:, torch.from_numpy(np.asarray(rows))]

    def join(self, states: Sequence[Tensor]) -> Tensor:
        """Return the streams of several states, one after the other, as one state."""
        return torch.cat(list(states), dim=1)

    def step(self, ids: np.ndarray, state: Tensor) -> tuple[np.ndarray, Tensor]:
        """Read one token a stream, ids (B,): logits (B, V) of the next token, and the new state."""
        return self.read(np.asarray(ids)[:, None], None, state)

    @torch.inference_mode()
    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: Tensor
    ) -> tuple[np.ndarray, Tensor]:
        """Read ids (B, T), of each row the first `lengths` (B,) (None: all).

        Returns the logits (B, V) after the last token of each row, and the state there.
        """
        rows, after = [], []
        for row, tokens in enumerate(torch.from_numpy(ids.astype(np.int64))):
            read = tokens if lengths is None else tokens[: int(lengths[row])]
            logits, own = self._module(read[None], state=state[:, row : row + 1])
            rows.append(logits[0, -1])
            after.append(own)
        return torch.stack(rows).numpy(), self.join(after)

    @torch.inference_mode()
    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: Tensor
    ) -> tuple[np.ndarray, Tensor]:
        """Read inputs (B, T): ln P of targets (B, T) at each place (float64), and the state."""
        read, wanted = (torch.from_numpy(ids.astype(np.int64)) for ids in (inputs, targets))
        losses, state = self._module.losses(read, wanted, state=state)
        return -losses.double().numpy(), state
