"""Training a transcriber: the torch side of the task."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data import LengthBatches, Rows
from recurra.nn import Recurrent
from recurra.storage import save_model
from recurra.tasks.answers import told_of
from recurra.tasks.figures import mean, present
from recurra.tasks.job import Job
from recurra.tasks.transcriber.card import write_card
from recurra.tasks.transcriber.ctc import BestPath
from recurra.tasks.transcriber.data import (
    Example,
    Prepared,
    prepare,
    read_fitted,
    write_fitted,
)
from recurra.tasks.transcriber.network import RecurrentCTC
from recurra.tasks.transcriber.settings import TranscriberConfig, TranscriberData
from recurra.tasks.transcriber.transcript import Judgement
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.run import run

#: One step of validation costs about this share of a training step on as many recordings.
_FORWARD_SHARE = 1 / 3
_SHOWN = 5  # recordings whose transcripts the report shows


@dataclass(frozen=True, eq=False)
class SpeechBatch:
    """Vectors (T, B, I) and classes (B, S), with their numbers (B,); `count` rows count."""

    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    count: int
    carry: bool = False


class SpeechBatches(Sequence[SpeechBatch]):
    """The batches of an epoch; sound is changed as a function of seed, epoch and place alone."""

    def __init__(
        self,
        prepared: Prepared,
        examples: Sequence[Example],
        order: Sequence[Rows],
        *,
        change: TranscriberData | None = None,
        key: tuple[int, ...] = (),
    ) -> None:
        self._prepared, self._examples, self._order = prepared, examples, order
        self._change, self._key = change, key

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        rows = self._order[index]
        random = np.random.default_rng([*self._key, index])
        chosen = [self._examples[i] for i in rows.indices]
        vectors = [self._vectors(example, random) for example in chosen]
        lengths = [len(v) for v in vectors]
        sizes = [len(example.ids) for example in chosen]
        inputs = np.zeros((max(lengths), len(chosen), self._prepared.features.size), np.float32)
        targets = np.ones((len(chosen), max(sizes)), np.int64)
        for row, (vector, example) in enumerate(zip(vectors, chosen, strict=True)):
            inputs[: len(vector), row] = vector
            targets[row, : len(example.ids)] = example.ids + 1
        return SpeechBatch(
            torch.from_numpy(inputs),
            torch.tensor(lengths),
            torch.from_numpy(targets),
            torch.tensor(sizes),
            rows.count,
        )

    def _vectors(self, example: Example, random: np.random.Generator) -> np.ndarray:
        prepared, change = self._prepared, self._change
        frames = example.frames
        if example.samples is not None and change is not None:
            frames = prepared.features.frames(change.sound(example.samples, random))
        frames = prepared.scale(frames)
        if change is not None:
            frames = change.features(frames, random)
        return prepared.features.stacked(frames)


class TranscriberTask:
    """What the training loop needs to know (see `recurra.train.Task`)."""

    goal: str = "word_error_rate"
    goal_higher = False
    unit = "tokens"

    def __init__(self, job: Job, prepared: Prepared, module: RecurrentCTC | None = None) -> None:
        assert isinstance(job.model, TranscriberConfig)
        assert isinstance(job.data, TranscriberData)
        self._job, self._model, self._data, self._prepared = job, job.model, job.data, prepared
        self.module = build(self._model, prepared, job.train.seed) if module is None else module
        if job.files is not None:
            state = {n: torch.from_numpy(np.array(v)) for n, v in job.files.tensors.items()}
            self.module.load_state_dict(state)
        self.left_out = prepared.left_out
        if not any(example.text.strip() for example in prepared.valid):
            self.goal = "loss"  # nobody says anything, so there is no word to be wrong about
        self._metrics: dict[str, float] = {}
        self.planned = ""  # see `recurra.train.Planned`
        self._heard: list[str] = []

    def batches(self, epoch: int, *, rank: int, world: int) -> SpeechBatches:
        """See `recurra.train.Task`."""
        examples, seed = self._prepared.train, self._job.train.seed
        order = LengthBatches(
            [round(100 * example.seconds) for example in examples],
            batch=self._data.batch,
            seed=seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )
        key = (seed, epoch, rank)
        return SpeechBatches(self._prepared, examples, order, change=self._data, key=key)

    def loss(self, batch: SpeechBatch, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`: nats, of so many tokens; an empty text counts as one.

        A recording that speed made too short for its text has no loss and does not count.
        """
        losses, counted = self._losses(batch)
        return losses.sum(), int(counted.sum()), None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: loss, and error rates of the best path."""
        total, count, said, heard = 0.0, 0, [], []
        tokenizer, valid = self._prepared.tokenizer, self._prepared.valid
        order = LengthBatches(
            [len(example.frames) for example in valid], batch=self._data.batch, shuffle=False
        )
        batches = SpeechBatches(self._prepared, valid, order)
        with torch.inference_mode():
            for n, rows in enumerate(order):
                batch = batches[n]
                losses, counted = self._losses(batch)
                total, count = total + losses.sum().item(), count + int(counted.sum())
                logits = self.module(*self._moved(batch)[:2]).cpu().numpy()
                for row, (index, length) in enumerate(
                    zip(rows.indices, batch.lengths.tolist(), strict=True)
                ):
                    ids = BestPath().push(logits[:length, row]).ids
                    heard.append(tokenizer.decode(ids))
                    said.append(valid[index].text)
        seconds = sum(example.seconds for example in valid)
        found = Judgement.of(said, heard, seconds=seconds)
        self._heard = heard
        self._metrics = {
            "loss": mean(total, count),
            **present(
                {
                    "word_error_rate": found.word_error_rate,
                    "character_error_rate": found.character_error_rate,
                }
            ),
        }
        return self._metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`; the network reads twice, and the text is decoded."""
        return 2 * _FORWARD_SHARE * len(self._prepared.valid) / self._data.batch

    def samples(self) -> list[tuple[str, str]]:
        """See `recurra.train.Sampled`: what was said, and what the best model heard."""
        self.validate()
        shown = zip(self._prepared.valid[:_SHOWN], self._heard, strict=False)
        return [(f"{example.text} → ", heard) for example, heard in shown]

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        config = self.config()
        save_model(
            directory,
            config=config,
            tensors={n: value.cpu().numpy() for n, value in self.module.state_dict().items()},
            tokenizer=self._prepared.tokenizer.to_json(),
            card=write_card(self._model, config["training"], self._metrics),
        )

    def _moved(self, batch: SpeechBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = self.module.head.weight.device
        inputs, lengths, targets, sizes = (
            tensor.to(device)
            for tensor in (batch.inputs, batch.lengths, batch.targets, batch.target_lengths)
        )
        return inputs, lengths, targets, sizes

    def _losses(self, batch: SpeechBatch) -> tuple[Tensor, Tensor]:
        """The loss of each recording that counts, and how many tokens it is of."""
        *_, sizes = moved = self._moved(batch)
        losses, possible = self.module(*moved)
        own = possible & (torch.arange(len(possible), device=possible.device) < batch.count)
        return losses * own, sizes.clamp(min=1) * own

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        job, prepared = self._job, self._prepared
        return {
            "task": "transcriber",
            "architecture": self._model.architecture().to_json(),
            "model": self._model.to_json(),
            **write_fitted(prepared.features, prepared.scale),
            "training": {
                "recordings": len(prepared.train),
                "seconds": sum(example.seconds for example in prepared.train),
                "skipped": list(prepared.skipped),
                **told_of(self),
                "sha256": prepared.sha256,
                "data": self._data.to_json(),
                "train": job.train.lasting(self.planned),
            },
        }


def build(config: TranscriberConfig, prepared: Prepared, seed: int) -> RecurrentCTC:
    """Return the module with freshly drawn weights."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        rnn = Recurrent(config.cell, prepared.features.size, config.hidden, **config.arguments())
        return RecurrentCTC(rnn, len(prepared.tokenizer), dropout=config.dropout)


def train(job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says: see `recurra.tasks.base.TrainingSide`."""
    model, data, files = job.model, job.data, job.files
    assert isinstance(model, TranscriberConfig)
    assert isinstance(data, TranscriberData)
    fitted = None if files is None else read_fitted(files.config, files.tokenizer)

    def make(out: Path, world: World) -> tuple[TranscriberTask, dict[str, Any]]:
        model.check_precision(world.device.type)
        prepared = prepare(job.source, job.valid, model, data, seed=job.train.seed, fitted=fitted)
        return TranscriberTask(job, prepared), {"recordings": prepared.sha256}

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )
