"""Training a language model: the torch side of the task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.generate import Options, generate
from recurra.nn import Recurrent
from recurra.ops import fixed_order
from recurra.storage import ModelFiles
from recurra.tasks.card import Card, layers_of, shown
from recurra.tasks.job import Job
from recurra.tasks.language_model.data import (
    SEGMENT,
    Prepared,
    evaluate,
    nothing_left_behind,
    open_prepared,
    open_texts,
    predicted_characters,
    prepare,
    texts_of,
)
from recurra.tasks.language_model.dynamic import dynamic_losses, gradient_sizes
from recurra.tasks.language_model.dynamic_settings import DynamicSettings
from recurra.tasks.language_model.network import RecurrentLM, State
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.scores import LanguageModelScores
from recurra.tasks.language_model.settings import LanguageModelData, LanguageModelSettings
from recurra.tasks.training import Training, drawn
from recurra.text import Batch, Batches, LineBatches, StreamBatches, TokenFile, Tokenizer
from recurra.train.distributed import World
from recurra.train.run_directory import DATA, check_directory

#: One step of validation costs about this share of a training step on as many tokens.
_FORWARD_SHARE = 1 / 3
#: What the report of a run shows of the model's writing.
_SAMPLES = Options(max_tokens=300, temperature=0.8, seed=0)
#: The usual size of a gradient is found from about so many batches of so many streams.
_GRADIENTS, _GRADIENT_STREAMS = 200, 32


def build(config: LanguageModelSettings, vocabulary: int, seed: int) -> RecurrentLM:
    """Return the module with freshly drawn weights."""
    with drawn(seed):
        inputs = config.embedding_size or vocabulary
        rnn = Recurrent(config.cell, inputs, config.hidden, **config.arguments())
        return RecurrentLM(
            vocabulary,
            rnn,
            embedding=config.embedding_size,
            tied=config.is_tied,
            embedding_dropout=config.embedding_dropout,
            output_dropout=config.dropout,
        )


def set_tensors(module: RecurrentLM, tensors: Mapping[str, np.ndarray]) -> None:
    """Give a module the weights that a model directory holds."""
    state = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
    if module.tied:
        state["head.weight"] = state["embedding.weight"]
    module.load_state_dict(state)


def batches_of(job: Job, prepared: Prepared, epoch: int, *, rank: int, world: int) -> Batches:
    """The batches of an epoch of a job, for one of `world` ranks; InputError for too short texts"""
    data, tokens, seed = job.data, prepared.train, job.train.seed
    assert isinstance(data, LanguageModelData)
    if data.lines:
        return LineBatches(
            tokens,
            batch=data.batch,
            bptt=data.segment,
            seed=seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )
    whole = max(1, (len(tokens) - 1) // data.batch)
    return StreamBatches(
        tokens,
        batch=data.batch,
        bptt=data.segment or whole,
        seed=seed,
        epoch=epoch,
        random_lengths=data.random_lengths,
        rank=rank,
        world=world,
    )


class LanguageModelTraining(Training[LanguageModelSettings, LanguageModelData, Prepared]):
    """What the training loop needs of a language model (see `recurra.tasks.training`)."""

    task = "language_model"

    @classmethod
    def prepare(
        cls, job: Job[LanguageModelSettings, LanguageModelData], out: Path, world: World
    ) -> Prepared:
        """See `Training`: the texts as tokens in the directory of the run."""
        given = None if job.files is None else job.files.tokenizer
        return prepared_in(out, job, world, None if given is None else Tokenizer.from_json(given))

    def build(self, config: LanguageModelSettings, prepared: Prepared, seed: int) -> Any:
        """See `Training`."""
        return build(config, len(prepared.tokenizer), seed)

    @classmethod
    def rebuild(cls, config: LanguageModelSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        assert files.tokenizer is not None
        return build(config, len(Tokenizer.from_json(files.tokenizer)), 0)

    def batches(self, epoch: int, *, rank: int, world: int) -> Batches:
        """See `recurra.train.Task`."""
        return batches_of(self.job, self.prepared, epoch, rank=rank, world=world)

    def loss(self, batch: Batch, state: State | None) -> tuple[Tensor, int, State]:
        """See `recurra.train.Task`."""
        device = self.device
        total, state = self.module(
            torch.from_numpy(batch.inputs).to(device),
            torch.from_numpy(batch.targets).to(device),
            mask=None if batch.mask is None else torch.from_numpy(batch.mask).to(device),
            state=state,
        )
        return total, batch.count, state

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: loss, perplexity per token, and per word where tokens are
        smaller, and bits per character, of the held-out text."""
        prepared = self.prepared
        with torch.inference_mode():
            found = evaluate(_Scorer(self.module), prepared.valid, prepared.tokenizer)
        self.metrics = {
            "loss": found.nats_per_token,
            "perplexity": found.perplexity,
            "bits_per_character": found.bits_per_character,
        }
        word = found.word_perplexity
        if word is not None and found.words < found.tokens and math.isfinite(word):
            self.metrics["word_perplexity"] = word
        return self.metrics

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        segment = self.data.segment or SEGMENT
        tokens_of_a_step = self.data.batch * segment
        return _FORWARD_SHARE * len(self.prepared.valid) / tokens_of_a_step

    def samples(self) -> list[tuple[str, str]]:
        """See `recurra.train.Sampled`: what the model makes of the held-out text's beginning."""
        tokenizer = self.prepared.tokenizer
        prompts = [""] * 5
        if not self.data.lines:
            beginning = tokenizer.decode(self.prepared.valid.data[:40])
            prompts = [beginning[:40].rpartition(" ")[0] or beginning[:1]]
        model = RuntimeLM(self.model.architecture(), self.tensors())
        found = generate(model, tokenizer, prompts, _SAMPLES)
        return [(generation.prompt, generation.text) for generation in found]

    def tokenizer(self) -> Any:
        """See `Training`."""
        return self.prepared.tokenizer.to_json()

    def twice(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """See `Training`: the embedding."""
        return {"head.weight": state["embedding.weight"]} if self.module.tied else {}

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        return {"lines": self.data.lines}

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        training = written["training"]
        return Card(
            title="language model",
            pipeline="text-generation",
            tags=("language-model",),
            about=f"{layers_of(self.model)} over {self.model.tokenizer} tokens. Trained on "
            f"`{shown(training['corpus'])}` ({training['corpus_characters']:,} characters, SHA-256 "
            f"`{training['corpus_sha256']}`)",
            held_out="held-out text",
            example='model.generate("The ", temperature=0.8, max_tokens=200)',
            loss="nats_per_token",
        )


class _Scorer:
    """The module as something that scores (see `recurra.runtime.Scorer`)."""

    def __init__(self, module: RecurrentLM) -> None:
        self._module = module

    def start(self, batch: int) -> State:
        """See `recurra.runtime.Scorer`."""
        device = self._module.head.weight.device
        return self._module(torch.empty((batch, 0), dtype=torch.long, device=device))[1]

    def join(self, states: Sequence[State]) -> State:
        """See `recurra.runtime.Scorer`."""
        if isinstance(states[0], Tensor):
            return torch.cat([s for s in states if isinstance(s, Tensor)], dim=1)
        return tuple(torch.cat(parts, dim=1) for parts in zip(*states, strict=True))

    def log_probabilities(
        self, inputs: np.ndarray, targets: np.ndarray, state: State
    ) -> tuple[np.ndarray, State]:
        """See `recurra.runtime.Scorer`."""
        device = self._module.head.weight.device
        read, wanted = (torch.from_numpy(ids).to(device) for ids in (inputs, targets))
        losses, state = self._module.losses(read, wanted, state=state)
        return -losses.cpu().double().numpy(), state


def evaluate_dynamic(
    files: ModelFiles,
    config: LanguageModelSettings,
    tokens: TokenFile,
    how: DynamicSettings,
    trained_on: TokenFile | None,
) -> LanguageModelScores:
    """What a model makes of a text from which it learns on the way: see `dynamic_losses`."""
    assert files.tokenizer is not None
    tokenizer = Tokenizer.from_json(files.tokenizer)
    module = build(replace(config, precision="float32"), len(tokenizer), seed=0)
    set_tensors(module, files.tensors)
    sizes, nats, count = None, 0.0, 0
    with fixed_order():
        if trained_on is not None:
            batches = StreamBatches(
                trained_on.data, batch=_GRADIENT_STREAMS, bptt=how.segment, seed=0, epoch=0
            )
            step = max(1, len(batches) // _GRADIENTS)
            sizes = gradient_sizes(module, (batches[k] for k in range(0, len(batches), step)))
        for losses in dynamic_losses(module, texts_of(tokens), how, sizes=sizes):
            nats, count = nats + float(losses.sum()), count + len(losses)
    return LanguageModelScores(nats, count, predicted_characters(tokens, tokenizer), tokens.words)


def prepared_in(out: Path, job: Job, world: World, tokenizer: Tokenizer | None) -> Prepared:
    """The texts of a job as tokens in the directory of its run, written by the first process.

    Raises:
        InputError: texts or a directory that cannot be used; nothing was left there.
    """
    model, data = job.model, job.data
    assert isinstance(model, LanguageModelSettings)
    assert isinstance(data, LanguageModelData)

    def write() -> None:
        with nothing_left_behind(out / DATA):
            train_text, valid_text = open_texts(
                out / DATA, job.source, job.valid, data, tokenizer=model.tokenizer
            )
            texts = {"train": train_text.sha256, "valid": valid_text.sha256}
            check_directory(out, {**job.settings, **texts}, fresh=job.fresh)
            prepare(out / DATA, train_text, valid_text, model, data, tokenizer)
            # Too short a text is found here, where nothing of a run is written yet.
            batches_of(job, open_prepared(out / DATA), 0, rank=0, world=world.size)

    world.on_first(write)
    return open_prepared(out / DATA)


SIDE = LanguageModelTraining
