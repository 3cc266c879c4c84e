"""A Transformer in the place of a tagger's recurrent layers, of as many parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.baselines.protocol import Budget
from recurra.baselines.transformer import TransformerRival
from recurra.baselines.transformer_network import TransformerEncoder, sizes_for
from recurra.settings import check, sort
from recurra.tasks.job import Job
from recurra.tasks.tagger.data import Prepared, check_words, prepare, read
from recurra.tasks.tagger.settings import DataConfig, SequenceTaggerConfig
from recurra.tasks.tagger.task import Tagged
from recurra.tasks.tagger.training import TaggerTask, build
from recurra.train import TrainConfig
from recurra.train.distributed import World

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP = 2, 4, 0.1, 5e-4, 0.1


class TransformerTagger(TransformerRival["_Task"]):
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
        self._how = TrainConfig(epochs=epochs, lr=lr, warmup=WARMUP)

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the best validation."""

        def make(job: Job, out: Path, world: World) -> tuple[_Task, dict[str, Any]]:
            prepared = prepare(data, valid, self.config, self.data, seed=budget.seed, files=None)
            return _Task(job, prepared, budget.parameters), prepared.identity

        self._train(
            make, data, valid, model=self.config, data=self.data, how=self._how, budget=budget
        )

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tags of each sentence."""
        words = [check_words(row, k) for k, row in enumerate(sentences)]
        task = self._trained()
        return task.tag([task.prepared.forms.encode(row) for row in words])

    def evaluate(self, data: Any) -> Tagged:
        """Measure it on tagged sentences, as the tagger is measured."""
        sentences, forms = read(data, self.data), self._trained().prepared.forms
        return Tagged.measure(
            sentences,
            self.predict(sentences.words),
            unknown=[[not forms.knows(word) for word in row] for row in sentences.words],
        )


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
