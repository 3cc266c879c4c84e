"""A Transformer in the place of a transcriber's recurrent layers, of as many parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra.baselines.protocol import Budget
from recurra.baselines.transformer import TransformerRival
from recurra.baselines.transformer_network import TransformerEncoder, sizes_for
from recurra.settings import check, sort
from recurra.tasks.job import Job
from recurra.tasks.transcriber import Judgement, Transcriber, TranscriberConfig, TranscriberData
from recurra.tasks.transcriber.data import Prepared, prepare
from recurra.tasks.transcriber.network import RecurrentCTC
from recurra.tasks.transcriber.runtime import RuntimeTranscriber
from recurra.tasks.transcriber.training import TranscriberTask, build
from recurra.train import TrainConfig
from recurra.train.distributed import World

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP = 4, 4, 0.1, 1e-3, 0.1


class TransformerTranscriber(TransformerRival["TransformerTask"]):
    """All that the recurrent transcriber has (features, tokens, CTC, changes to sound, training
    loop, best path), with self-attention for its recurrent layers.

    Args:
        epochs: of training, where no time is given.
        lr: the highest learning rate.
        **settings: of the transcriber and of its data.
    """

    def __init__(self, *, epochs: float = 10.0, lr: float = LR, **settings: Any) -> None:
        chosen, data = sort(settings, TranscriberConfig, TranscriberData)
        self.config, self.data = TranscriberConfig(**chosen), TranscriberData(**data)
        check(self.config, self.data)
        self._how = TrainConfig(epochs=epochs, lr=lr, warmup=WARMUP)
        self._hears: Transcriber | None = None

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the fewest word errors on the held-out recordings."""

        def make(job: Job, out: Path, world: World) -> tuple[TransformerTask, dict[str, Any]]:
            prepared = prepare(data, valid, self.config, self.data, seed=budget.seed)
            task = TransformerTask(job, prepared, budget.parameters)
            return task, {"recordings": prepared.sha256}

        files = self._train(
            make, data, valid, model=self.config, data=self.data, how=self._how, budget=budget
        )
        self._hears = Transcriber.around(files, _Network(self._trained()))

    def predict(self, inputs: Any) -> list[str]:
        """The text of each recording, by the best path."""
        return [str(one) for one in self._model.predict(inputs)]

    def evaluate(self, data: Any) -> Judgement:
        """Compare transcripts with what was said."""
        return self._model.evaluate(data, skip_bad=self.data.bad == "skip")

    @property
    def _model(self) -> Transcriber:
        self._trained()
        assert self._hears is not None
        return self._hears


class TransformerTask(TranscriberTask):
    """The transcriber's task, with another encoder of so many parameters (None: as many)."""

    def __init__(self, job: Job, prepared: Prepared, parameters: int | None) -> None:
        config = job.model
        assert isinstance(config, TranscriberConfig)
        inputs, tokens = prepared.features.size, len(prepared.tokenizer)
        if parameters is None:
            recurrent = build(config, prepared, 0)
            parameters = sum(p.numel() for p in recurrent.parameters())
        # The output layer reads the width, so that how many it has depends on it.
        own = parameters
        for _ in range(3):
            width, units = sizes_for(max(1, own), inputs, LAYERS, heads=HEADS)
            own = parameters - (width + 1) * (tokens + 1)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(job.train.seed)
            encoder = TransformerEncoder(
                inputs, width, LAYERS, heads=HEADS, feedforward=units, dropout=DROPOUT
            )
            module = RecurrentCTC(encoder, tokens, dropout=DROPOUT)
        self._sizes = {"layers": LAYERS, "heads": HEADS, "width": width, "feedforward": units}
        self.prepared = prepared
        super().__init__(job, prepared, module)

    def config(self) -> dict[str, Any]:
        """See `TranscriberTask`."""
        return {**super().config(), "task": "transformer_transcriber", "architecture": self._sizes}


class _Network(RuntimeTranscriber):
    """The torch module, asked as the network without torch is."""

    def __init__(self, task: TransformerTask) -> None:
        self.features, self.scale = task.prepared.features, task.prepared.scale
        self.classes = len(task.prepared.tokenizer) + 1
        self._module = task.module.eval()

    def log_probabilities(self, vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `RuntimeTranscriber`; one by one, so that none depends on the others."""
        return [self._one(torch.from_numpy(v)) for v in vectors]

    def _one(self, vectors: torch.Tensor) -> np.ndarray:
        if not len(vectors):
            return np.zeros((0, self.classes), np.float32)
        with torch.inference_mode():
            logits = self._module(vectors[:, None], torch.tensor([len(vectors)]))
            return logits[:, 0].log_softmax(-1).numpy()
