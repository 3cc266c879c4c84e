"""Training a translator: the torch side of the task."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import LengthBatches, Rows
from recurra.errors import InputError
from recurra.given import LeftOut
from recurra.nn import Recurrent
from recurra.storage import save_model
from recurra.tasks.answers import told_of
from recurra.tasks.figures import mean
from recurra.tasks.job import Job
from recurra.tasks.translator.card import write_card
from recurra.tasks.translator.data import Encoded, open_pairs, split_pairs, within
from recurra.tasks.translator.decoding import Decoder
from recurra.tasks.translator.network import EncoderDecoder
from recurra.tasks.translator.pairs import Pairs
from recurra.tasks.translator.runtime import RuntimeTranslator
from recurra.tasks.translator.settings import (
    METRICS,
    DataConfig,
    TranslationOptions,
    TranslatorConfig,
)
from recurra.tasks.translator.task import score
from recurra.tasks.translator.vocabulary import Vocabulary
from recurra.text.tokenizer import whole_characters
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.run import run

#: One pair read costs about this share of a training step on it, one translated about as much.
_FORWARD_SHARE = 2 / 3
_SAMPLES = 8


def build(config: TranslatorConfig, vocabulary: Vocabulary, seed: int) -> EncoderDecoder:
    """Return the module with freshly drawn weights."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
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


class TranslatorTask:
    """What the training loop needs to know (see `recurra.train.Task` and `Judged`)."""

    unit = "tokens"

    def __init__(
        self,
        job: Job,
        pairs: Pairs,
        valid: Pairs,
        vocabulary: Vocabulary,
        module: nn.Module | None = None,
    ) -> None:
        model, data = _settings(job)
        self._job, self._model, self._data = job, model, data
        self.vocabulary, self._pairs, self._valid_pairs = vocabulary, pairs, valid
        self.goal, self.goal_higher = data.metric, METRICS[data.metric]
        self._train = Encoded(pairs, vocabulary, copy=model.copy)
        self._valid = Encoded(valid, vocabulary, copy=model.copy)
        self._rows = within(pairs, self._train, data.max_length)
        self.left_out = _left_out(job, pairs, valid, self._rows)
        self._sizes = self._train.lengths[self._rows]
        self.growth = self._train.growth()
        sources, references = valid.references()
        self._judged = sources[: data.judged], references[: data.judged]
        if not any(text.strip() for texts in self._judged[1] for text in texts):
            raise InputError(
                "pairs: no held-out target that is judged has a word: give others as valid"
            )
        #: Anything with the `losses` of `EncoderDecoder`.
        self.module: Any = module or build(model, vocabulary, job.train.seed)
        if job.files is not None:
            state = {n: torch.from_numpy(np.array(v)) for n, v in job.files.tensors.items()}
            self.module.load_state_dict(state | self._twice(state))
        self._metrics: dict[str, float] = {}
        self.planned = ""  # see `recurra.train.Planned`

    def batches(self, epoch: int, *, rank: int, world: int) -> LengthBatches:
        """See `recurra.train.Task`."""
        return LengthBatches(
            self._sizes,
            batch=self._data.batch,
            seed=self._job.train.seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        smoothing = self._data.label_smoothing
        rows = self._rows[batch.indices]
        return *self._losses(self._train, rows, batch.count, smoothing), None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: nats per token of all held-out pairs, and the figures of greedy
        translations of some of their sources."""
        found = self.decoder().translate(self._judged[0], TranslationOptions(beams=1))
        texts = [translation.text for translation in found]
        nats = self._mean(self._valid)
        scores = score(texts, self._judged[1], nats_per_token=nats)
        self._metrics = {
            "loss": scores.nats_per_token,
            "error_rate": scores.error_rate,
            "wrong": scores.wrong,
            "bleu": scores.bleu,
            "chrf": scores.chrf,
        }
        return self._metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        examples = len(self._valid) + len(self._judged[0])
        return _FORWARD_SHARE * examples / self._data.batch

    def samples(self) -> list[tuple[str, str]]:
        """See `recurra.train.Sampled`: some held-out sources and what they become."""
        sources = self._judged[0][:: max(1, len(self._judged[0]) // _SAMPLES)][:_SAMPLES]
        found = self.decoder().translate(sources, TranslationOptions())
        return [(f"{translation.source} → ", translation.text) for translation in found]

    def nats_per_token(self, pairs: Pairs) -> float:
        """Mean negative log-likelihood of the targets' tokens."""
        return self._mean(Encoded(pairs, self.vocabulary, copy=self._model.copy))

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        config = self.config()
        save_model(
            directory,
            config=config,
            tensors=self.tensors(),
            tokenizer=self.vocabulary.to_json(),
            card=write_card(self._model, config["training"], self._metrics),
        )

    def _mean(self, encoded: Encoded) -> float:
        nats, tokens, step = 0.0, 0, self._data.batch
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
        device = next(self.module.parameters()).device
        source, lengths, inputs, targets, counted = (
            torch.from_numpy(a).to(device)
            for a in (batch.source, batch.lengths, batch.inputs, batch.targets, batch.counted)
        )
        copied = None if batch.copied is None else torch.from_numpy(batch.copied).to(device)
        losses = self.module.losses(
            source, lengths, inputs, targets, counted=counted, copied=copied, smoothing=smoothing
        )
        return losses.sum(), batch.count

    def decoder(self) -> Decoder:
        """What translates with the weights of now."""
        model = RuntimeTranslator(self._model.translator(self.vocabulary.unknown), self.tensors())
        return Decoder(model, self.vocabulary, growth=self.growth, copy=self._model.copy)

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights, each once."""
        state = self.module.state_dict()
        for name in self._twice(state):
            del state[name]
        return {name: value.cpu().numpy() for name, value in state.items()}

    def _twice(self, state: dict[str, Any]) -> dict[str, Any]:
        """What is another name for the target's embedding: models hold it once."""
        names = ["head.weight"] * self._model.is_tied
        names += ["source_embedding.weight"] * self._model.shared
        return dict.fromkeys(names, state["target_embedding.weight"])

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        return {
            "task": "translator",
            "architecture": self._model.translator(self.vocabulary.unknown).to_json(),
            "model": self._model.to_json(),
            "growth": self.growth,
            "training": {
                "pairs": len(self._pairs),
                "pairs_sha256": self._pairs.sha256,
                "valid_sha256": self._valid_pairs.sha256,
                "skipped": len(self._pairs.skipped),
                **told_of(self),
                "data": self._data.to_json(),
                "train": self._job.train.lasting(self.planned),
            },
        }


def _settings(job: Job) -> tuple[TranslatorConfig, DataConfig]:
    assert isinstance(job.model, TranslatorConfig)
    assert isinstance(job.data, DataConfig)
    return job.model, job.data


def _left_out(job: Job, pairs: Pairs, valid: Pairs, rows: np.ndarray) -> LeftOut:
    """Pairs that could not be read, or are longer than is to be read."""
    _, data = _settings(job)
    long = np.delete(np.arange(len(pairs)), rows)
    told = [f"{pairs.places[k]}: more than {data.max_length} tokens on a side" for k in long]
    found = LeftOut.of([*pairs.skipped, *told], kept=len(rows), unit="pairs")
    return found if job.valid is None else found + valid.left_out


def prepare(job: Job) -> tuple[Pairs, Pairs, Vocabulary]:
    """The pairs for training, those held out, and the vocabulary of the former."""
    model, data = _settings(job)
    pairs = open_pairs(job.source, skip_bad=data.skip_bad)
    if job.valid is None:
        pairs, valid = split_pairs(pairs, data.valid_share)
    else:
        valid = open_pairs(job.valid, skip_bad=data.skip_bad)
    for read in (pairs, valid):
        whole_characters(model.source_tokenizer, read.sources, read.places)
        whole_characters(model.target_tokenizer, read.targets, read.places)
    given = None if job.files is None else job.files.tokenizer
    # Of the training pairs alone: what is held out must come as new as any text will.
    vocabulary = Vocabulary.fit(pairs, model) if given is None else Vocabulary.from_json(given)
    return pairs, valid, vocabulary


def identity(pairs: Pairs, valid: Pairs, vocabulary: Vocabulary) -> dict[str, Any]:
    """What a run must share with the one it continues."""
    return {
        "train": pairs.sha256,
        "valid": valid.sha256,
        "source": vocabulary.source.sha256,
        "target": vocabulary.target.sha256,
    }


def train(job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says: see `recurra.tasks.base.TrainingSide`."""
    model, _ = _settings(job)

    def make(out: Path, world: World) -> tuple[TranslatorTask, dict[str, Any]]:
        model.check_precision(world.device.type)
        pairs, valid, vocabulary = prepare(job)
        task = TranslatorTask(job, pairs, valid, vocabulary)
        return task, identity(pairs, valid, vocabulary)

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )
