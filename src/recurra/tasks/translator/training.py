"""Training a translator: the torch side of the task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data import LengthBatches, Rows
from recurra.errors import InputError
from recurra.given import LeftOut
from recurra.nn import Recurrent
from recurra.storage import ModelFiles
from recurra.tasks.card import Card
from recurra.tasks.figures import mean
from recurra.tasks.job import Job
from recurra.tasks.training import Training, drawn
from recurra.tasks.translator.data import Encoded, open_pairs, split_pairs, within
from recurra.tasks.translator.decoding import Decoder
from recurra.tasks.translator.network import EncoderDecoder
from recurra.tasks.translator.pairs import Pairs
from recurra.tasks.translator.runtime import RuntimeTranslator
from recurra.tasks.translator.scores import score
from recurra.tasks.translator.settings import (
    METRICS,
    TranslationOptions,
    TranslatorData,
    TranslatorSettings,
)
from recurra.tasks.translator.vocabulary import Vocabulary
from recurra.text.tokenizer import whole_characters
from recurra.train.distributed import World

#: One pair read costs about this share of a training step on it, one translated about as much.
_FORWARD_SHARE = 2 / 3
_SAMPLES = 8


@dataclass(frozen=True)
class Prepared:
    """Pairs for training, those held out, and the vocabulary of the former.

    train, valid: the pairs in tokens. rows: the training pairs that are short enough. left_out:
    pairs that could not be used.
    """

    pairs: Pairs
    valid_pairs: Pairs
    vocabulary: Vocabulary
    train: Encoded
    valid: Encoded
    rows: np.ndarray
    left_out: LeftOut

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        return {
            "train": self.pairs.sha256,
            "valid": self.valid_pairs.sha256,
            "source": self.vocabulary.source.sha256,
            "target": self.vocabulary.target.sha256,
        }

    @property
    def about(self) -> dict[str, Any]:
        """What the model directory says of the data."""
        return {
            "pairs": len(self.pairs),
            "pairs_sha256": self.pairs.sha256,
            "valid_sha256": self.valid_pairs.sha256,
            "skipped": len(self.pairs.skipped),
        }


def prepare(job: Job) -> Prepared:
    """Read the pairs of a job, part them, and learn the vocabulary from those for training alone.

    Raises:
        InputError: pairs that cannot be used.
    """
    model: Any = job.model
    data: Any = job.data
    pairs = open_pairs(job.source, skip_bad=data.skip_bad)
    if job.valid is None:
        pairs, valid = split_pairs(pairs, data.valid_share)
    else:
        valid = open_pairs(job.valid, skip_bad=data.skip_bad)
    for read in (pairs, valid):
        whole_characters(model.source_tokenizer, read.sources, read.places)
        whole_characters(model.target_tokenizer, read.targets, read.places)
    given = None if job.files is None else job.files.tokenizer
    vocabulary = Vocabulary.fit(pairs, model) if given is None else Vocabulary.from_json(given)
    train = Encoded(pairs, vocabulary, copy=model.copy)
    rows = within(pairs, train, data.max_length)
    long = np.delete(np.arange(len(pairs)), rows)
    reasons = [f"{pairs.places[k]}: more than {data.max_length} tokens on a side" for k in long]
    left_out = LeftOut.of([*pairs.skipped, *reasons], kept=len(rows), unit="pairs")
    if job.valid is not None:
        left_out += valid.left_out
    held_out = Encoded(valid, vocabulary, copy=model.copy)
    return Prepared(pairs, valid, vocabulary, train, held_out, rows, left_out)


def build(config: TranslatorSettings, vocabulary: Vocabulary, seed: int) -> EncoderDecoder:
    """The module with freshly drawn weights."""
    with drawn(seed):
        embedding, hidden = config.embedding_size, config.hidden
        given = config.arguments()
        encoder = Recurrent(config.cell, embedding, hidden, **given)
        # The decoder's first states are the encoder's to tell.
        given |= {"bidirectional": False, "learn_initial_state": False}
        decoder = Recurrent(
            config.cell, embedding, hidden, **(given | {"num_layers": 1, "dropout": 0.0})
        )
        above = (config.decoder_layers or config.layers) - 1
        reader = None
        if above:
            given |= {"num_layers": above, "dropout": config.dropout if above > 1 else 0.0}
            read = decoder.output_size + encoder.output_size
            reader = Recurrent(config.cell, read, hidden, **given)
        return EncoderDecoder(
            len(vocabulary.source),
            len(vocabulary.target),
            encoder,
            decoder,
            reader,
            score=config.attention,
            embedding=embedding,
            features=config.features,
            shared=config.shared,
            tied=config.is_tied,
            copy=config.copy,
            dropout=config.dropout,
        )


class TranslatorTraining(Training[TranslatorSettings, TranslatorData, Prepared]):
    """What the training loop needs of a translator (see `recurra.tasks.training`).

    Instead of an `EncoderDecoder` the module may be anything with its `losses`.
    """

    task = "translator"

    def __init__(
        self, job: Job[TranslatorSettings, TranslatorData], prepared: Prepared, module: Any = None
    ) -> None:
        data: Any = job.data
        self.goal, self.goal_higher = data.metric, METRICS[data.metric]
        self.growth = prepared.train.growth()
        sources, references = prepared.valid_pairs.references()
        self._judged = sources[: data.judged], references[: data.judged]
        if not any(text.strip() for texts in self._judged[1] for text in texts):
            raise InputError(
                "pairs: no held-out target that is judged has a word: give others as valid"
            )
        super().__init__(job, prepared, module)
        self._sizes = prepared.train.lengths[prepared.rows]

    @classmethod
    def prepare(
        cls, job: Job[TranslatorSettings, TranslatorData], out: Path, world: World
    ) -> Prepared:
        """See `Training`."""
        return prepare(job)

    def build(self, config: TranslatorSettings, prepared: Prepared, seed: int) -> Any:
        """See `Training`."""
        return build(config, prepared.vocabulary, seed)

    @classmethod
    def rebuild(cls, config: TranslatorSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        return build(config, Vocabulary.from_json(files.tokenizer), 0)

    def batches(self, epoch: int, *, rank: int, world: int) -> LengthBatches:
        """See `recurra.train.Task`."""
        return LengthBatches(
            self._sizes,
            batch=self.data.batch,
            seed=self.job.train.seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        rows = self.prepared.rows[batch.indices]
        smoothing = self.data.label_smoothing
        return *self._losses(self.prepared.train, rows, batch.count, smoothing), None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: nats per token of all held-out pairs, and the figures of greedy
        translations of some of their sources."""
        translations = self.decoder().translate(self._judged[0], TranslationOptions(beams=1))
        texts = [translation.text for translation in translations]
        scores = score(texts, self._judged[1], nats_per_token=self._mean(self.prepared.valid))
        self.metrics = {
            "loss": scores.nats_per_token,
            "error_rate": scores.error_rate,
            "wrong": scores.wrong,
            "bleu": scores.bleu,
            "chrf": scores.chrf,
        }
        return self.metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        examples = len(self.prepared.valid) + len(self._judged[0])
        return _FORWARD_SHARE * examples / self.data.batch

    def samples(self) -> list[tuple[str, str]]:
        """See `recurra.train.Sampled`: some held-out sources and what they become."""
        sources = self._judged[0][:: max(1, len(self._judged[0]) // _SAMPLES)][:_SAMPLES]
        translations = self.decoder().translate(sources, TranslationOptions())
        return [(f"{one.source} → ", one.text) for one in translations]

    def nats_per_token(self, pairs: Pairs) -> float:
        """Mean negative log-likelihood of the targets' tokens."""
        return self._mean(Encoded(pairs, self.prepared.vocabulary, copy=self.model.copy))

    def decoder(self) -> Decoder:
        """What translates with the weights of now."""
        vocabulary = self.prepared.vocabulary
        model = RuntimeTranslator(self.model.translator(vocabulary.unknown), self.tensors())
        return Decoder(model, vocabulary, growth=self.growth, copy=self.model.copy)

    def architecture(self) -> dict[str, Any]:
        """See `Training`."""
        found: dict[str, Any] = self.model.translator(self.prepared.vocabulary.unknown).to_json()
        return found

    def tokenizer(self) -> Any:
        """See `Training`."""
        return self.prepared.vocabulary.to_json()

    def twice(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """See `Training`: the target's embedding."""
        names = ["head.weight"] * self.model.is_tied
        names += ["source_embedding.weight"] * self.model.shared
        return dict.fromkeys(names, state["target_embedding.weight"])

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        return {"growth": self.growth}

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        config, training = self.model, written["training"]
        both = config.source_tokenizer, config.target_tokenizer
        tokens = f"{both[0]} tokens" if both[0] == both[1] else f"{both[0]} and {both[1]} tokens"
        direction = "bidirectional " if config.bidirectional else ""
        return Card(
            title="translator",
            pipeline="translation",
            tags=("encoder-decoder", "attention"),
            about=f"An encoder-decoder with {config.attention} attention over {tokens}: "
            f"{config.layers} {direction}{config.cell.upper()} of {config.hidden} units read, "
            f"{config.decoder_layers or config.layers} write. Trained on {training['pairs']:,} "
            f"pairs (SHA-256 of the files `{training['pairs_sha256']}`)",
            held_out="held-out pairs",
            example='model.predict("the source", beams=4)',
            loss="nats_per_token",
        )

    def _mean(self, encoded: Encoded) -> float:
        nats, tokens, step = 0.0, 0, self.data.batch
        order = np.argsort(encoded.lengths, kind="stable")
        with torch.inference_mode():
            for first in range(0, len(order), step):
                rows = order[first : first + step]
                total, count = self._losses(encoded, rows, len(rows), 0.0)
                nats, tokens = nats + float(total), tokens + count
        return mean(nats, tokens)

    def _losses(
        self, encoded: Encoded, rows: np.ndarray, own: int, smoothing: float
    ) -> tuple[Tensor, int]:
        batch = encoded.batch(rows, own=own)
        source, lengths, inputs, targets, counted = self.moved(
            (batch.source, batch.lengths, batch.inputs, batch.targets, batch.counted)
        )
        copied = None if batch.copied is None else self.moved([batch.copied])[0]
        losses = self.module.losses(
            source, lengths, inputs, targets, counted=counted, copied=copied, smoothing=smoothing
        )
        return losses.sum(), batch.count


SIDE = TranslatorTraining
