"""Training a sequence tagger: the torch side of the task."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data.length_batches import LengthBatches, Rows
from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.storage import save_model
from recurra.tasks.answers import told_of
from recurra.tasks.figures import mean
from recurra.tasks.job import Job
from recurra.tasks.pretrained import carried_over
from recurra.tasks.tagger.card import write_card
from recurra.tasks.tagger.crf import CRF
from recurra.tasks.tagger.data import Prepared, prepare
from recurra.tasks.tagger.network import CharacterEncoder, FeatureScores, Tagger, TaggerCommittee
from recurra.tasks.tagger.scheme import allowed_steps
from recurra.tasks.tagger.scores import OUTSIDE, entities, entity_scores, tag_accuracy
from recurra.tasks.tagger.settings import ColumnsConfig, DataConfig, SequenceTaggerConfig
from recurra.tasks.tagger.viterbi import Chain
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.layers import by_depth
from recurra.train.run import run
from recurra.train.transfer import carry_over

#: Words of a batch in validation, and what one costs beside a word in training.
_WORDS, _FORWARD_SHARE = 4096, 1 / 3


def build(
    config: SequenceTaggerConfig,
    prepared: Prepared,
    seed: int,
    *,
    encoder: Callable[[], nn.Module] | None = None,
) -> Tagger | TaggerCommittee:
    """The module with freshly drawn weights.

    What `encoder` makes may stand in the place of recurrent layers.
    """
    grams = len(prepared.vocabulary.grams)
    features = len(prepared.vocabulary.features)
    inputs = config.inputs(grams=grams > 0)
    if not inputs:
        raise InputError(
            f"subwords: no n-gram is in {config.gram_count} words of the training data, and "
            "nothing else is read: lower gram_count, or read words or characters"
        )
    if config.features and not features:
        raise InputError(
            f"features: none is true of {config.feature_count} words of the training data: lower "
            "feature_count"
        )

    def member() -> Tagger:
        spelling = crf = None
        if config.characters:
            reader = Recurrent(
                config.cell,
                config.characters,
                config.character_hidden,
                bidirectional=True,
                init=config.init,
            )
            spelling = CharacterEncoder(len(prepared.vocabulary.characters), reader)
        if uses_crf(config, prepared):
            allowed = allowed_steps(prepared.tags, scheme_of(config, prepared))
            crf = CRF(len(prepared.tags), allowed=torch.from_numpy(allowed))
        scores = None
        if config.features:
            scores = FeatureScores(
                features,
                len(prepared.tags),
                window=config.feature_window,
                dropout=config.feature_dropout,
            )
        counts = torch.from_numpy(prepared.counts.astype(np.float32))
        rate = config.word_dropout
        return Tagger(
            encoder()
            if encoder
            else Recurrent(config.cell, inputs, config.hidden, **config.arguments()),
            len(prepared.tags),
            words=len(prepared.vocabulary.words),
            embedding=config.embedding,
            spelling=spelling,
            grams=grams,
            subwords=config.subwords if grams else 0,
            features=scores,
            crf=crf,
            rarity=rate / (rate + counts.clamp(min=1)) if rate else None,
            dropout=config.dropout,
        )

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        made = [member() for _ in range(config.members)]
    return made[0] if config.members == 1 else TaggerCommittee(made)


def uses_crf(config: SequenceTaggerConfig, prepared: Prepared) -> bool:
    """Whether tags are chosen together."""
    return prepared.entities if config.crf is None else config.crf


def scheme_of(config: SequenceTaggerConfig, prepared: Prepared) -> str | None:
    """The scheme that the chain of tags keeps to, if any."""
    return prepared.scheme if config.constrain else None


class TaggerTask:
    """What the training loop needs to know (see `recurra.train.Task`)."""

    unit = "words"

    def __init__(self, job: Job, prepared: Prepared, module: Tagger | TaggerCommittee) -> None:
        assert isinstance(job.model, SequenceTaggerConfig)
        assert isinstance(job.data, DataConfig)
        self._job, self._prepared, self._data, self._model = job, prepared, job.data, job.model
        self.module = module
        self.goal = job.data.goal or ("f1" if prepared.scored else "accuracy")
        self.left_out, self.notes = prepared.left_out, prepared.notes
        if self.goal == "f1" and not prepared.scored:
            why = "; ".join(prepared.notes) or "the tags mark no entities"
            raise InputError(f"goal f1: {why}: choose by accuracy or loss")
        self.goal_higher = self.goal != "loss"
        self._check_held_out()
        self._lengths = np.array([len(row) for row in prepared.train], np.int64)
        self._metrics: dict[str, float] = {}
        self.planned = ""  # see `recurra.train.Planned`

    def _check_held_out(self) -> None:
        """Figures are of something: of known tags, and F1 of entities."""
        held_out, known = self._prepared.held_out, set(self._prepared.tags)
        if not any(known.issuperset(row) for row in held_out.tags):
            new = next(tag for row in held_out.tags for tag in row if tag not in known)
            raise InputError(
                f"{held_out.name}: every held-out sentence has a tag that is not among those of "
                f"training, such as {new!r}: give other sentences as valid, or more to train on"
            )
        if self.goal == "f1" and not any(entities(row) for row in held_out.tags):
            raise InputError(
                f"{held_out.name}: no held-out sentence has an entity, of which F1 is: give others "
                "as valid, hold out more (--valid-share), or choose --goal accuracy"
            )

    def batches(self, epoch: int, *, rank: int, world: int) -> LengthBatches:
        """See `recurra.train.Task`."""
        return LengthBatches(
            self._lengths,
            batch=self._data.batch,
            seed=self._job.train.seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        sentences = [self._prepared.train[k] for k in batch.indices]
        wanted = [self._prepared.wanted[k] for k in batch.indices]
        emissions = self._emissions(sentences)
        if self._data.recall_cost and OUTSIDE in self._prepared.tags:
            emissions = self._costly(emissions, wanted)
        losses = self._losses(emissions, wanted)
        return losses[: batch.count].sum(), sum(map(len, wanted[: batch.count])), None

    def layers(self) -> list[list[str]]:
        """See `recurra.train.Layered`."""
        return by_depth(name for name, _ in self.module.named_parameters())

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: accuracy, F1 of entities where tags mark them, and the loss
        of sentences whose tags the training data have."""
        prepared = self._prepared
        number = {tag: k for k, tag in enumerate(prepared.tags)}
        nats, count = 0.0, 0
        chain, found = self._chain(), [list[str]() for _ in prepared.valid]
        with torch.inference_mode():
            for rows, emissions in self._scored(prepared.valid):
                self._decode(rows, emissions, prepared.valid, chain, found)
                tags = [prepared.held_out.tags[k] for k in rows]
                known = [k for k, row in enumerate(tags) if all(tag in number for tag in row)]
                if known:
                    wanted = [np.array([number[t] for t in tags[k]], np.int64) for k in known]
                    nats += float(self._losses(emissions[..., known, :], wanted).double().sum())
                    count += sum(map(len, wanted))
        self._metrics = {
            "loss": mean(nats, count),
            "accuracy": tag_accuracy(prepared.held_out.tags, found),
        }
        if prepared.scored:
            scores = entity_scores(prepared.held_out.tags, found).overall
            self._metrics |= {n: getattr(scores, n) for n in ("precision", "recall", "f1")}
        return self._metrics

    def tag(self, sentences: list[np.ndarray]) -> list[list[str]]:
        """The best tags of sentences as forms."""
        chain, found = self._chain(), [list[str]() for _ in sentences]
        with torch.inference_mode():
            for rows, emissions in self._scored(sentences):
                self._decode(rows, emissions, sentences, chain, found)
        return found

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        words = sum(map(len, self._prepared.valid))
        batches = max(1, -(-len(self._lengths) // self._data.batch))
        return float(_FORWARD_SHARE * words / max(1, self._lengths.sum() / batches))

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        config = self.config()
        save_model(
            directory,
            config=config,
            tensors={n: v.cpu().numpy() for n, v in self.module.state_dict().items()},
            tokenizer=self._prepared.vocabulary.to_json(),
            card=write_card(self._model, config, self._metrics),
        )

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        job, prepared = self._job, self._prepared
        kinds = prepared.kinds.to_json(prepared.tags)
        columns = {n: v for n, v in self._data.to_json().items() if n in ColumnsConfig.names()}
        return {
            "task": "sequence_tagger",
            "architecture": self._model.architecture().to_json(),
            "model": self._model.to_json(),
            "tags": list(prepared.tags),
            **({} if kinds is None else {"tag_kinds": kinds}),
            "scheme": prepared.scheme,
            "columns": columns,
            "training": {
                **prepared.about,
                **told_of(self),
                "data_settings": self._data.to_json(),
                "train": job.train.lasting(self.planned),
            },
        }

    def _decode(
        self,
        rows: list[int],
        emissions: Tensor,
        sentences: list[np.ndarray],
        chain: Chain,
        found: list[list[str]],
    ) -> None:
        """Put the best tags of a batch where they belong in `found`."""
        every = emissions if self._model.members == 1 else emissions.mean(0)
        scores = every.cpu().numpy()
        for column, k in enumerate(rows):
            path = chain.best(scores[: len(sentences[k]), column])
            found[k] = [self._prepared.tags[y] for y in path.tags]

    def _scored(self, sentences: list[np.ndarray]) -> Iterator[tuple[list[int], Tensor]]:
        """All of some sentences in batches: which, and their scores (T, B, K)."""
        if not sentences:
            return
        lengths = np.array([len(row) for row in sentences], np.int64)
        order = np.argsort(lengths, kind="stable")
        for group in LengthBatches(lengths[order], batch=256, shuffle=False, budget=_WORDS):
            rows = [int(k) for k in order[group.indices]]
            yield rows, self._emissions([sentences[k] for k in rows])

    def _emissions(self, sentences: list[np.ndarray]) -> Tensor:
        """Scores (T, B, K) of sentences; of several members (M, T, B, K)."""
        batch = self._prepared.forms.batch(sentences)
        device = next(self.module.parameters()).device

        def there(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        found: Tensor = self.module(
            there(batch.words),
            there(batch.places),
            [(there(characters), there(sizes)) for characters, sizes in batch.groups],
            (there(batch.grams.items), there(batch.grams.counts)),
            (there(batch.features.items), there(batch.features.counts)),
            there(batch.lengths),
        )
        return found

    def _costly(self, emissions: Tensor, wanted: list[np.ndarray]) -> Tensor:
        """Scores with a bonus for O where an entity is, which the model has to make up for: the
        softmax-margin of Gimpel & Smith (2010) with the cost on what is missed."""
        outside = self._prepared.tags.index(OUTSIDE)
        bonus = np.zeros(emissions.shape[-3:], np.float32)
        for column, row in enumerate(wanted):
            bonus[: len(row), column, outside] = self._data.recall_cost * (row != outside)
        return emissions + torch.from_numpy(bonus).to(emissions.device)

    def _losses(self, emissions: Tensor, wanted: list[np.ndarray]) -> Tensor:
        tags = np.zeros(emissions.shape[-3:-1], np.int64)
        mask = np.zeros(emissions.shape[-3:-1], np.bool_)
        for column, row in enumerate(wanted):
            tags[: len(row), column] = row
            mask[: len(row), column] = True
        device = emissions.device
        return self.module.loss(
            emissions, torch.from_numpy(tags).to(device), torch.from_numpy(mask).to(device)
        )

    def _chain(self) -> Chain:
        found = self.module.steps()
        if found is None:
            return Chain.free(len(self._prepared.tags))
        allowed = allowed_steps(self._prepared.tags, scheme_of(self._model, self._prepared))
        steps = np.where(allowed, found.detach().double().cpu().numpy(), -np.inf)
        return Chain(steps[-2, :-2], steps[:-2, :-2], steps[:-2, -1])


def train(job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says: see `recurra.tasks.base.TrainingSide`."""
    config, data = job.model, job.data
    assert isinstance(config, SequenceTaggerConfig)
    assert isinstance(data, DataConfig)

    def make(out: Path, world: World) -> tuple[TaggerTask, dict[str, Any]]:
        config.check_precision(world.device.type)
        prepared = prepare(
            job.source,
            job.valid,
            config,
            data,
            seed=job.train.seed,
            files=job.files,
            pretrained=job.pretrained,
        )
        module = build(config, prepared, job.train.seed)
        if job.pretrained is not None:
            begun = carried_over(job.pretrained)
            if config.members > 1:
                members = range(config.members)
                begun = {f"members.{k}.{n}": tensor for k in members for n, tensor in begun.items()}
            carry_over(module, begun, where=str(job.pretrained.path))
        if job.files is not None:
            tensors = {n: torch.from_numpy(np.array(v)) for n, v in job.files.tensors.items()}
            module.load_state_dict(tensors)
        task = TaggerTask(job, prepared, module)
        task.batches(0, rank=0, world=world.size)
        return task, prepared.identity

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )
