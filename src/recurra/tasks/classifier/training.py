"""Training a sequence classifier: the torch side of the task."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.data.length_batches import LengthBatches, Rows
from recurra.nn import Recurrent
from recurra.nn.token_embedding import TokenEmbedding
from recurra.storage import save_model
from recurra.tasks.answers import told_of
from recurra.tasks.classifier.card import write_card
from recurra.tasks.classifier.data import Encoded, Prepared, prepare
from recurra.tasks.classifier.inputs import NumberInputs, TextInputs
from recurra.tasks.classifier.network import Classifier, Committee, Forms
from recurra.tasks.classifier.scores import Classified
from recurra.tasks.classifier.settings import (
    ColumnsConfig,
    DataConfig,
    SequenceClassifierConfig,
)
from recurra.tasks.job import Job
from recurra.tasks.pretrained import carried_over
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.layers import by_depth
from recurra.train.run import run
from recurra.train.transfer import carry_over

#: Steps of a batch in validation, and what one costs beside a training step on as many.
_STEPS, _FORWARD_SHARE = 1 << 14, 1 / 3


def build(
    config: SequenceClassifierConfig,
    prepared: Prepared,
    seed: int,
    *,
    encoder: Callable[[], nn.Module] | None = None,
) -> Classifier | Committee:
    """The module with freshly drawn weights; `encoder` makes what stands in the place of recurrent
    layers, where given."""
    reader, inputs = prepared.reader, input_size(config, prepared)

    def member() -> Classifier:
        embedding = None
        if isinstance(reader, TextInputs):
            grams = len(reader.subwords or ())
            embedding = TokenEmbedding(len(reader.tokenizer), config.embedding, grams=grams)
        token, features = config.noise
        layers = Recurrent(config.cell, inputs, config.hidden, **config.arguments())
        return Classifier(
            layers if encoder is None else encoder(),
            len(prepared.labels),
            pooling=config.pooling,
            embedding=embedding,
            token_dropout=token,
            embedding_dropout=features,
            dropout=config.dropout,
        )

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        made = [member() for _ in range(config.members)]
    return made[0] if config.members == 1 else Committee(made)


def input_size(config: SequenceClassifierConfig, prepared: Prepared) -> int:
    """Features that the layers read."""
    reader = prepared.reader
    return reader.features if isinstance(reader, NumberInputs) else config.embedding


class ClassifierTask:
    """What the training loop needs to know (see `recurra.train.Task`)."""

    goal_higher: bool
    unit = "sequences"

    def __init__(self, job: Job, prepared: Prepared, module: Classifier | Committee) -> None:
        assert isinstance(job.model, SequenceClassifierConfig)
        assert isinstance(job.data, DataConfig)
        self._job, self._prepared, self._data, self._model = job, prepared, job.data, job.model
        self.module = module
        self.goal, self.goal_higher = job.data.goal, job.data.goal != "loss"
        self.left_out = prepared.left_out
        self._metrics: dict[str, float] = {}
        self.planned = ""  # see `recurra.train.Planned`
        self._weights: Tensor | None = None
        if job.data.class_weights == "balanced":
            counts = np.bincount(prepared.classes[0], minlength=len(prepared.labels))
            balanced = counts.sum() / (len(counts) * np.maximum(counts, 1))
            self._weights = torch.from_numpy(balanced.astype(np.float32))

    def batches(self, epoch: int, *, rank: int, world: int) -> LengthBatches:
        """See `recurra.train.Task`."""
        return LengthBatches(
            self._prepared.train.lengths,
            batch=self._data.batch,
            seed=self._job.train.seed,
            epoch=epoch,
            budget=self._data.max_steps,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        logits = self._logits(self._prepared.train, batch.indices)
        wanted = torch.from_numpy(self._prepared.classes[0][batch.indices]).to(logits.device)
        losses = functional.cross_entropy(
            logits.flatten(0, 1),
            wanted.repeat(len(logits)),
            weight=None if self._weights is None else self._weights.to(logits.device),
            label_smoothing=self._data.label_smoothing,
            reduction="none",
        )
        losses = losses.view(logits.shape[:2]).mean(0)
        return losses[: batch.count].sum(), batch.count, None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: accuracy and macro-F1 of the held-out examples, and the loss,
        without weights of classes."""
        found = self.probabilities(self._prepared.valid)
        measured = Classified.measure(self._prepared.classes[1], found, self._prepared.labels)
        self._metrics = {
            "loss": measured.loss,
            "accuracy": measured.accuracy,
            "macro_f1": measured.macro_f1,
        }
        return self._metrics

    def probabilities(self, examples: Encoded) -> np.ndarray:
        """The probability of every label for each of the examples, (N, C)."""
        found = np.empty((len(examples.inputs), len(self._prepared.labels)), np.float32)
        if not len(found):
            return found
        order = np.argsort(examples.lengths, kind="stable")
        groups = LengthBatches(examples.lengths[order], batch=256, shuffle=False, budget=_STEPS)
        with torch.inference_mode():
            for group in groups:
                rows = order[group.indices]
                found[rows] = self._logits(examples, rows).softmax(-1).mean(0).cpu().numpy()
        return found

    def layers(self) -> list[list[str]]:
        """See `recurra.train.Layered`."""
        return by_depth(name for name, _ in self.module.named_parameters())

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        train, valid = self._prepared.train.lengths, self._prepared.valid.lengths
        batches = max(1, -(-len(train) // self._data.batch))
        return float(_FORWARD_SHARE * valid.sum() / max(1, train.sum() / batches))

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        reader, config = self._prepared.reader, self.config()
        tokenizer = reader.tokenizer.to_json() if isinstance(reader, TextInputs) else None
        save_model(
            directory,
            config=config,
            tensors={n: v.cpu().numpy() for n, v in self.module.state_dict().items()},
            tokenizer=tokenizer,
            card=write_card(self._model, self._prepared.labels, config["training"], self._metrics),
        )

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        job, data = self._job, self._data
        columns = {n: v for n, v in data.to_json().items() if n in ColumnsConfig.names()}
        return {
            "task": "sequence_classifier",
            "architecture": self._model.architecture().to_json(),
            "model": self._model.to_json(),
            "labels": list(self._prepared.labels),
            **self._label_kinds(),
            "inputs": self._prepared.reader.to_json(),
            "columns": columns,
            "training": {
                **self._prepared.about,
                **told_of(self),
                "data_settings": data.to_json(),
                "train": job.train.lasting(self.planned),
            },
        }

    def _label_kinds(self) -> dict[str, Any]:
        kinds = self._prepared.kinds.to_json(self._prepared.labels)
        return {} if kinds is None else {"label_kinds": kinds}

    def _logits(self, examples: Encoded, rows: np.ndarray) -> Tensor:
        """Logits (M, B, C) of some examples, by each member."""
        device = next(self.module.parameters()).device
        chosen = [examples.inputs[k] for k in rows]
        lengths = np.array([len(one) for one in chosen], np.int64)
        steps = max(1, int(lengths.max()))
        x: Forms | Tensor
        if examples.lexicon is None:
            padded = np.zeros((steps, len(chosen), chosen[0].shape[1]), np.float32)
            for column, one in enumerate(chosen):
                padded[: len(one), column] = one
            x = torch.from_numpy(padded).to(device)
        else:
            forms = np.zeros((steps, len(chosen)), np.int64)
            for column, one in enumerate(chosen):
                forms[: len(one), column] = one
            distinct, places = np.unique(forms, return_inverse=True)
            arrays = (places.reshape(forms.shape), *examples.lexicon.rows(distinct))
            x = Forms(*(torch.from_numpy(array).to(device) for array in arrays))
        logits: Tensor = self.module(x, torch.from_numpy(lengths).to(device))
        return logits if logits.ndim == 3 else logits[None]


def train(job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says: see `recurra.tasks.base.TrainingSide`."""
    config, data = job.model, job.data
    assert isinstance(config, SequenceClassifierConfig)
    assert isinstance(data, DataConfig)

    def make(out: Path, world: World) -> tuple[ClassifierTask, dict[str, Any]]:
        config.check_precision(world.device.type)
        prepared = prepare(
            job.source,
            job.valid,
            config,
            data,
            seed=job.train.seed,
            files=job.files,
            pretrained=job.pretrained,
        )
        module = build(config, prepared, job.train.seed)
        if job.pretrained is not None:
            carry_over(module, carried_over(job.pretrained), where=str(job.pretrained.path))
        if job.files is not None:
            tensors = {n: torch.from_numpy(np.array(v)) for n, v in job.files.tensors.items()}
            module.load_state_dict(tensors)
        task = ClassifierTask(job, prepared, module)
        task.batches(0, rank=0, world=world.size)
        return task, prepared.identity

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )
