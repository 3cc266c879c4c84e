"""Training a sequence classifier: the torch side of the task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra.data.length_batches import LengthBatches, Rows
from recurra.nn import Recurrent
from recurra.nn.token_embedding import TokenEmbedding
from recurra.storage import ModelFiles
from recurra.tasks.card import Card, layers_of, shown
from recurra.tasks.classifier.data import Encoded, Learnt, Prepared, labels_of, prepare, reader_of
from recurra.tasks.classifier.inputs import NumberInputs, TextInputs
from recurra.tasks.classifier.network import Classifier, Committee, Forms
from recurra.tasks.classifier.scores import ClassifierScores
from recurra.tasks.classifier.settings import (
    ClassifierColumns,
    ClassifierData,
    ClassifierSettings,
)
from recurra.tasks.job import Job
from recurra.tasks.training import Training, drawn
from recurra.train.distributed import World

#: Steps of a batch in validation, and what one costs beside a training step on as many.
_STEPS, _FORWARD_SHARE = 1 << 14, 1 / 3


def build(
    config: ClassifierSettings,
    prepared: Prepared | Learnt,
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
            further=reader.beside if isinstance(reader, NumberInputs) else 0,
            dropout=config.dropout,
        )

    with drawn(seed):
        made = [member() for _ in range(config.members)]
    return made[0] if config.members == 1 else Committee(made)


def input_size(config: ClassifierSettings, prepared: Prepared | Learnt) -> int:
    """Features that the layers read."""
    reader = prepared.reader
    return reader.width if isinstance(reader, NumberInputs) else config.embedding


class ClassifierTraining(Training[ClassifierSettings, ClassifierData, Prepared]):
    """What the training loop needs of a classifier (see `recurra.tasks.training`)."""

    task = "sequence_classifier"
    unit = "sequences"

    def __init__(
        self, job: Job[ClassifierSettings, ClassifierData], prepared: Prepared, module: Any = None
    ) -> None:
        super().__init__(job, prepared, module)
        self.goal, self.goal_higher = self.data.goal, self.data.goal != "loss"
        self._weights: Tensor | None = None
        if self.data.class_weights == "balanced":
            counts = np.bincount(prepared.classes[0], minlength=len(prepared.labels))
            balanced = counts.sum() / (len(counts) * np.maximum(counts, 1))
            self._weights = torch.from_numpy(balanced.astype(np.float32))

    @classmethod
    def prepare(
        cls, job: Job[ClassifierSettings, ClassifierData], out: Path, world: World
    ) -> Prepared:
        """See `Training`."""
        return prepare(
            job.source,
            job.valid,
            job.model,
            job.data,
            seed=job.train.seed,
            files=job.files,
            pretrained=job.pretrained,
            weights=job.weights,
        )

    def build(self, config: ClassifierSettings, prepared: Prepared, seed: int) -> Any:
        """See `Training`."""
        return build(config, prepared, seed)

    @classmethod
    def rebuild(cls, config: ClassifierSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        return build(config, Learnt(labels_of(files)[0], reader_of(files, config)), 0)

    def batches(self, epoch: int, *, rank: int, world: int) -> LengthBatches:
        """See `recurra.train.Task`."""
        return LengthBatches(
            self.prepared.train.lengths,
            batch=self.data.batch,
            seed=self.job.train.seed,
            epoch=epoch,
            budget=self.data.max_steps,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        logits = self._logits(self.prepared.train, batch.indices)
        wanted = torch.from_numpy(self.prepared.classes[0][batch.indices]).to(logits.device)
        losses = functional.cross_entropy(
            logits.flatten(0, 1),
            wanted.repeat(len(logits)),
            weight=None if self._weights is None else self._weights.to(logits.device),
            label_smoothing=self.data.label_smoothing,
            reduction="none",
        )
        losses = losses.view(logits.shape[:2]).mean(0)
        if self.prepared.weights is not None:
            weights = torch.from_numpy(self.prepared.weights[batch.indices])
            losses = losses * weights.to(losses.device)
        return losses[: batch.count].sum(), batch.count, None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: accuracy and macro-F1 of the held-out examples, and the loss,
        without weights of classes."""
        found = self.probabilities(self.prepared.valid)
        measured = ClassifierScores.measure(self.prepared.classes[1], found, self.prepared.labels)
        self.metrics = {
            "loss": measured.loss,
            "accuracy": measured.accuracy,
            "macro_f1": measured.macro_f1,
        }
        return self.metrics

    def probabilities(self, examples: Encoded) -> np.ndarray:
        """The probability of every label for each of the examples, (N, C)."""
        found = np.empty((len(examples.inputs), len(self.prepared.labels)), np.float32)
        if not len(found):
            return found
        order = np.argsort(examples.lengths, kind="stable")
        groups = LengthBatches(examples.lengths[order], batch=256, shuffle=False, budget=_STEPS)
        with torch.inference_mode():
            for group in groups:
                rows = order[group.indices]
                found[rows] = self._logits(examples, rows).softmax(-1).mean(0).cpu().numpy()
        return found

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        train, valid = self.prepared.train.lengths, self.prepared.valid.lengths
        batches = max(1, -(-len(train) // self.data.batch))
        return float(_FORWARD_SHARE * valid.sum() / max(1, train.sum() / batches))

    def tokenizer(self) -> Any:
        """See `Training`."""
        reader = self.prepared.reader
        return reader.tokenizer.to_json() if isinstance(reader, TextInputs) else None

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        prepared = self.prepared
        kinds = prepared.kinds.to_json(prepared.labels)
        columns = {n: v for n, v in self.data.to_json().items() if n in ClassifierColumns.names()}
        return {
            "labels": list(prepared.labels),
            **({} if kinds is None else {"label_kinds": kinds}),
            "inputs": prepared.reader.to_json(),
            "columns": columns,
        }

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        config, training = self.model, written["training"]
        text = config.reads_text
        read = f"{config.tokenizer} tokens" if text else "sequences of numbers"
        given = '["a text", "another"]' if text else "[array]"
        return Card(
            title="sequence classifier",
            pipeline="text-classification" if text else "other",
            tags=("sequence-classification",),
            about=f"{layers_of(config)} over {read}, pooled by {config.pooling}. Trained on "
            f"`{shown(training['name'])}` ({training['train_examples']:,} examples, SHA-256 "
            f"`{training['train_sha256']}`)",
            held_out=f"{training['valid_examples']:,} held-out examples",
            example=f"model.predict({given})",
            names=("Labels", self.prepared.labels),
        )

    def _logits(self, examples: Encoded, rows: np.ndarray) -> Tensor:
        """Logits (M, B, C) of some examples, by each member."""
        device = self.device
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


SIDE = ClassifierTraining
