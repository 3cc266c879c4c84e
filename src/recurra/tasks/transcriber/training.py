"""Training a transcriber: the torch side of the task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data import LengthBatches, Rows
from recurra.nn import Recurrent
from recurra.storage import ModelFiles
from recurra.tasks.card import Card, layers_of
from recurra.tasks.figures import mean, present
from recurra.tasks.job import Job
from recurra.tasks.training import Training, drawn
from recurra.tasks.transcriber.ctc import BestPath
from recurra.tasks.transcriber.data import (
    Example,
    Prepared,
    prepare,
    read_fitted,
    write_fitted,
)
from recurra.tasks.transcriber.network import RecurrentCTC
from recurra.tasks.transcriber.scores import TranscriberScores
from recurra.tasks.transcriber.settings import TranscriberData, TranscriberSettings
from recurra.train.distributed import World

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
        self.prepared, self._examples, self._order = prepared, examples, order
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
        inputs = np.zeros((max(lengths), len(chosen), self.prepared.features.size), np.float32)
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
        prepared, change = self.prepared, self._change
        frames = example.frames
        if example.samples is not None and change is not None:
            frames = prepared.features.frames(change.sound(example.samples, random))
        frames = prepared.scale(frames)
        if change is not None:
            frames = change.features(frames, random)
        return prepared.features.stacked(frames)


def build(config: TranscriberSettings, features: int, tokens: int, seed: int) -> RecurrentCTC:
    """The module with freshly drawn weights."""
    with drawn(seed):
        rnn = Recurrent(config.cell, features, config.hidden, **config.arguments())
        return RecurrentCTC(rnn, tokens, dropout=config.dropout)


class TranscriberTraining(Training[TranscriberSettings, TranscriberData, Prepared]):
    """What the training loop needs of a transcriber (see `recurra.tasks.training`)."""

    task = "transcriber"
    goal = "word_error_rate"

    def __init__(
        self, job: Job[TranscriberSettings, TranscriberData], prepared: Prepared, module: Any = None
    ) -> None:
        super().__init__(job, prepared, module)
        if not any(example.text.strip() for example in prepared.valid):
            self.goal = "loss"  # nobody says anything, so there is no word to be wrong about
        self._heard: list[str] = []

    @classmethod
    def prepare(
        cls, job: Job[TranscriberSettings, TranscriberData], out: Path, world: World
    ) -> Prepared:
        """See `Training`."""
        files = job.files
        return prepare(
            job.source,
            job.valid,
            job.model,
            job.data,
            seed=job.train.seed,
            fitted=None if files is None else read_fitted(files.config, files.tokenizer),
        )

    def build(self, config: TranscriberSettings, prepared: Prepared, seed: int) -> Any:
        """See `Training`."""
        return build(config, prepared.features.size, len(prepared.tokenizer), seed)

    @classmethod
    def rebuild(cls, config: TranscriberSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        fitted = read_fitted(files.config, files.tokenizer)
        return build(config, fitted.features.size, len(fitted.tokenizer), 0)

    def batches(self, epoch: int, *, rank: int, world: int) -> SpeechBatches:
        """See `recurra.train.Task`."""
        examples, seed = self.prepared.train, self.job.train.seed
        order = LengthBatches(
            [round(100 * example.seconds) for example in examples],
            batch=self.data.batch,
            seed=seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )
        key = (seed, epoch, rank)
        return SpeechBatches(self.prepared, examples, order, change=self.data, key=key)

    def loss(self, batch: SpeechBatch, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`: nats, of so many tokens; an empty text counts as one.

        A recording that speed made too short for its text has no loss and does not count.
        """
        losses, counted = self._losses(batch)
        return losses.sum(), int(counted.sum()), None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: loss, and error rates of the best path."""
        total, count, said, heard = 0.0, 0, [], []
        tokenizer, valid = self.prepared.tokenizer, self.prepared.valid
        order = LengthBatches(
            [len(example.frames) for example in valid], batch=self.data.batch, shuffle=False
        )
        batches = SpeechBatches(self.prepared, valid, order)
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
        found = TranscriberScores.of(said, heard, seconds=seconds)
        self._heard = heard
        self.metrics = {
            "loss": mean(total, count),
            **present(
                {
                    "word_error_rate": found.word_error_rate,
                    "character_error_rate": found.character_error_rate,
                }
            ),
        }
        return self.metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`; the network reads twice, and the text is decoded."""
        return 2 * _FORWARD_SHARE * len(self.prepared.valid) / self.data.batch

    def samples(self) -> list[tuple[str, str]]:
        """See `recurra.train.Sampled`: what was said, and what the best model heard."""
        self.validate()
        shown = zip(self.prepared.valid[:_SHOWN], self._heard, strict=False)
        return [(f"{example.text} → ", heard) for example, heard in shown]

    def tokenizer(self) -> Any:
        """See `Training`."""
        return self.prepared.tokenizer.to_json()

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        return write_fitted(self.prepared.features, self.prepared.scale)

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        training = written["training"]
        return Card(
            title="transcriber",
            pipeline="automatic-speech-recognition",
            tags=("ctc",),
            about=f"{layers_of(self.model)} over log-mel features, with connectionist temporal "
            f"classification over {self.model.tokenizer} tokens. Trained on "
            f"{training['recordings']:,} recordings ({training['seconds'] / 60:.1f} minutes, "
            f"SHA-256 `{training['sha256']}`)",
            held_out="held-out recordings",
            example='*model.predict("speech.wav")',
            loss="nats_per_token",
        )

    def _moved(self, batch: SpeechBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = self.device
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


SIDE = TranscriberTraining
