"""A Transformer in the place of a classifier's recurrent layers, of as many parameters."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra.baselines.protocol import Budget
from recurra.data.labelled import in_memory
from recurra.errors import InputError
from recurra.metrics.classification import Classified
from recurra.nn.transformer import TransformerEncoder, sizes_for
from recurra.settings import check, sort
from recurra.storage import ModelFiles, read_model, save_model
from recurra.tasks.job import Job
from recurra.tasks.sequence_classifier.config import DataConfig, SequenceClassifierConfig
from recurra.tasks.sequence_classifier.data import Prepared, classes_of, encode
from recurra.tasks.sequence_classifier.data import prepare as prepare_data
from recurra.tasks.sequence_classifier.training import ClassifierTask, build, input_size
from recurra.train import TrainConfig
from recurra.train.distributed import World
from recurra.train.running import run

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP = 2, 4, 0.1, 5e-4, 0.1


class TransformerClassifier:
    """All that the recurrent classifier has (vectors of words and of n-grams, dropout of both,
    pooling, batches, loss, training loop), with self-attention for its recurrent layers.

    Args:
        epochs: of training, where no time is given.
        lr: the highest learning rate.
        pooling: of the outputs.
        **settings: of the classifier and of its data.
    """

    def __init__(
        self, *, epochs: float = 10.0, lr: float = LR, pooling: str = "mean", **settings: Any
    ) -> None:
        chosen, data = sort(settings, SequenceClassifierConfig, DataConfig)
        self.config = SequenceClassifierConfig(**{**chosen, "pooling": pooling})
        self.data = DataConfig(**data)
        check(self.config, self.data)
        self._epochs, self._lr = epochs, lr
        self._task: _Task | None = None

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the best validation."""
        train = TrainConfig(
            minutes=budget.minutes,
            epochs=None if budget.minutes else self._epochs,
            lr=self._lr,
            warmup=WARMUP,
            seed=budget.seed,
            threads=budget.threads,
        )
        job = Job(data, valid, None, False, self.config, self.data, train, None, (), 0.0)
        made: list[_Task] = []

        def make(out: Path, world: World) -> tuple[ClassifierTask, dict[str, Any]]:
            prepared = prepare_data(
                data, valid, self.config, self.data, seed=budget.seed, files=None
            )
            made.append(_Task(job, prepared, budget.parameters))
            return made[0], prepared.identity

        _, best, cleanup = run(
            make,
            train,
            out=None,
            settings=job.settings,
            fresh=False,
            callbacks=(),
            started=time.monotonic(),
        )
        self._task = made[0]
        with cleanup:
            self._task.load(read_model(best))

    def predict_proba(self, inputs: Sequence[Any]) -> np.ndarray:
        """The probability of every label for each input, (N, C)."""
        examples = in_memory(inputs, None, numbers=not self.config.reads_text)
        task = self._trained()
        return task.probabilities(encode(examples, task.prepared.reader))

    def predict(self, inputs: Sequence[Any]) -> list[str]:
        """The most probable label of each input."""
        labels = self._trained().prepared.labels
        return [labels[k] for k in self.predict_proba(inputs).argmax(1)]

    def evaluate(self, data: Any) -> Classified:
        """Measure it on examples with labels."""
        task = self._trained()
        examples = self.data.read(data, self.config, labelled=True)
        true = classes_of(examples, task.prepared.labels)
        found = task.probabilities(encode(examples, task.prepared.reader))
        return Classified.measure(true, found, task.prepared.labels, skipped=examples.skipped)

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(p.numel() for p in self._trained().module.parameters())

    def save(self, directory: str | Path) -> Path:
        """Write a model directory."""
        self._trained().save(Path(directory))
        return Path(directory)

    def _trained(self) -> "_Task":
        if self._task is None:
            raise InputError("this transformer is not trained yet: call fit")
        return self._task


class _Task(ClassifierTask):
    """The classifier's task, with another encoder."""

    def __init__(self, job: Job, prepared: Prepared, parameters: int | None) -> None:
        config = job.model
        assert isinstance(config, SequenceClassifierConfig)
        inputs = input_size(config, prepared)
        recurrent = build(config, prepared, 0)
        own = sum(p.numel() for n, p in recurrent.named_parameters() if "rnn." in n)
        if parameters is not None:
            own += parameters - sum(p.numel() for p in recurrent.parameters())
        share = max(1, own // config.members)
        width, units = sizes_for(share, inputs, LAYERS, heads=HEADS)

        def encoder() -> TransformerEncoder:
            return TransformerEncoder(
                inputs, width, LAYERS, heads=HEADS, feedforward=units, dropout=DROPOUT
            )

        super().__init__(job, prepared, build(config, prepared, job.train.seed, encoder=encoder))
        self.prepared, self._sizes = prepared, {"width": width, "feedforward": units}

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        found = {**super().config(), "task": "transformer_classifier"}
        found["architecture"] = {"layers": LAYERS, "heads": HEADS, **self._sizes}
        return found

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        reader = self.prepared.reader
        save_model(
            directory,
            config=self.config(),
            tensors={n: v.cpu().numpy() for n, v in self.module.state_dict().items()},
            tokenizer=reader.tokenizer.to_json() if hasattr(reader, "tokenizer") else None,
        )

    def load(self, files: ModelFiles) -> None:
        """Take the weights of a model directory."""
        tensors = {name: torch.from_numpy(np.array(v)) for name, v in files.tensors.items()}
        self.module.load_state_dict(tensors)
        self.module.eval()
