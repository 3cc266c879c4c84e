"""A Transformer in the place of a classifier's recurrent layers, of as many parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.baselines.protocol import Budget
from recurra.baselines.transformer import TransformerRival, set_weights
from recurra.baselines.transformer_network import TransformerEncoder, sizes_for
from recurra.errors import FormatError, InputError
from recurra.settings import check, sort
from recurra.storage import read_model, save_model
from recurra.tasks.classifier.data import Prepared, classes_of, encode, prepare, reader_of
from recurra.tasks.classifier.examples import Examples, in_memory
from recurra.tasks.classifier.scores import Classified
from recurra.tasks.classifier.settings import DataConfig, SequenceClassifierConfig
from recurra.tasks.classifier.training import ClassifierTask, build, input_size
from recurra.tasks.job import Job
from recurra.train import TrainConfig
from recurra.train.distributed import World

TASK = "transformer_classifier"

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP = 2, 4, 0.1, 5e-4, 0.1


class TransformerClassifier(TransformerRival["_Task"]):
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
        self._how = TrainConfig(epochs=epochs, lr=lr, warmup=WARMUP)

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the best validation."""

        def make(job: Job, out: Path, world: World) -> tuple[_Task, dict[str, Any]]:
            prepared = prepare(data, valid, self.config, self.data, seed=budget.seed, files=None)
            sizes = _sizes(self.config, prepared, budget.parameters)
            return _Task(job, prepared, sizes), prepared.identity

        self._train(
            make, data, valid, model=self.config, data=self.data, how=self._how, budget=budget
        )

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

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FormatError: it is damaged, or of another kind of model.
        """
        files = read_model(directory)
        found = files.config
        if found["task"] != TASK:
            raise FormatError(
                f"{files.path}: expected a Transformer classifier, found {found['task']!r}"
            )
        try:
            made = cls(**{**found["model"], **found["training"]["data_settings"]})
            train = TrainConfig.from_json(found["training"]["train"])
            labels, about = tuple(found["labels"]), dict(found["training"])
            sizes = found["architecture"]["width"], found["architecture"]["feedforward"]
        except (KeyError, TypeError, InputError) as error:
            raise FormatError(f"{files.path}: config.json: {error}") from error
        reader, none = reader_of(files, made.config), np.zeros(0, np.int64)
        nothing = encode(Examples([], [], []), reader)
        prepared = Prepared(labels, reader, nothing, nothing, (none, none), about)
        job = Job(None, None, None, False, made.config, made.data, train, None, (), 0.0)
        made._task = _Task(job, prepared, sizes)
        set_weights(made._task.module, files)
        return made


class _Task(ClassifierTask):
    """The classifier's task, with another encoder."""

    def __init__(self, job: Job, prepared: Prepared, sizes: tuple[int, int]) -> None:
        config, (width, units) = job.model, sizes
        assert isinstance(config, SequenceClassifierConfig)
        inputs = input_size(config, prepared)

        def encoder() -> TransformerEncoder:
            return TransformerEncoder(
                inputs, width, LAYERS, heads=HEADS, feedforward=units, dropout=DROPOUT
            )

        super().__init__(job, prepared, build(config, prepared, job.train.seed, encoder=encoder))
        self.prepared, self._sizes = prepared, {"width": width, "feedforward": units}

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        found = {**super().config(), "task": TASK}
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


def _sizes(
    config: SequenceClassifierConfig, prepared: Prepared, parameters: int | None
) -> tuple[int, int]:
    """Width and feed-forward units with which it has so many parameters (None: as many as the
    recurrent classifier)."""
    recurrent = build(config, prepared, 0)
    own = sum(p.numel() for n, p in recurrent.named_parameters() if "rnn." in n)
    if parameters is not None:
        own += parameters - sum(p.numel() for p in recurrent.parameters())
    share = max(1, own // config.members)
    return sizes_for(share, input_size(config, prepared), LAYERS, heads=HEADS)
