"""A Transformer in the place of a tagger's recurrent layers, of as many parameters."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra.baselines.protocol import Budget
from recurra.errors import InputError
from recurra.nn.transformer import TransformerEncoder, sizes_for
from recurra.settings import check, sort
from recurra.storage import ModelFiles, read_model
from recurra.tasks.job import Job
from recurra.tasks.sequence_tagger.config import DataConfig, SequenceTaggerConfig
from recurra.tasks.sequence_tagger.data import Prepared, check_words, prepare, read
from recurra.tasks.sequence_tagger.model import Tagged
from recurra.tasks.sequence_tagger.training import TaggerTask, build
from recurra.train import TrainConfig
from recurra.train.distributed import World
from recurra.train.running import run

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP = 2, 4, 0.1, 5e-4, 0.1


class TransformerTagger:
    """All that the recurrent tagger has (vectors of words, of n-grams and of spelling, their
    dropout, the chain of tags, batches, loss, training loop), with self-attention over the sentence
    for its recurrent layers.

    Args:
        epochs: of training, where no time is given.
        lr: the highest learning rate.
        **settings: of the tagger and of its data.
    """

    def __init__(self, *, epochs: float = 10.0, lr: float = LR, **settings: Any) -> None:
        chosen, data = sort(settings, SequenceTaggerConfig, DataConfig)
        self.config, self.data = SequenceTaggerConfig(**chosen), DataConfig(**data)
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

        def make(out: Path, world: World) -> tuple[TaggerTask, dict[str, Any]]:
            prepared = prepare(data, valid, self.config, self.data, seed=budget.seed, files=None)
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

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tags of each sentence."""
        words = [check_words(row, k) for k, row in enumerate(sentences)]
        task = self._trained()
        return task.tag([task.prepared.forms.encode(row) for row in words])

    def evaluate(self, data: Any) -> Tagged:
        """Measure it on tagged sentences, as the tagger is measured."""
        sentences, forms = read(data, self.data), self._trained().prepared.forms
        return Tagged.measure(
            sentences.tags,
            self.predict(sentences.words),
            unknown=[[not forms.knows(word) for word in row] for row in sentences.words],
            skipped=sentences.skipped,
        )

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


class _Task(TaggerTask):
    """The tagger's task, with another encoder."""

    def __init__(self, job: Job, prepared: Prepared, parameters: int | None) -> None:
        config = job.model
        assert isinstance(config, SequenceTaggerConfig)
        inputs = config.inputs(grams=bool(prepared.vocabulary.grams))
        recurrent = build(config, prepared, 0)
        named = recurrent.named_parameters()
        own = sum(p.numel() for n, p in named if "rnn." in n.replace("spelling.rnn.", ""))
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
        found = {**super().config(), "task": "transformer_tagger"}
        found["architecture"] = {"layers": LAYERS, "heads": HEADS, **self._sizes}
        return found

    def load(self, files: ModelFiles) -> None:
        """Take the weights of a model directory."""
        tensors = {name: torch.from_numpy(np.array(v)) for name, v in files.tensors.items()}
        self.module.load_state_dict(tensors)
        self.module.eval()
