"""Training a sequence tagger: the torch side of the task."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data.length_batches import LengthBatches, Rows
from recurra.errors import InputError
from recurra.nn import Recurrent
from recurra.storage import ModelFiles
from recurra.tasks.card import Card, layers_of, shown
from recurra.tasks.figures import mean
from recurra.tasks.job import Job
from recurra.tasks.tagger.crf import CRF
from recurra.tasks.tagger.data import Learnt, Prepared, prepare, tags_of, vocabulary_of
from recurra.tasks.tagger.network import CharacterEncoder, FeatureScores, Tagger, TaggerCommittee
from recurra.tasks.tagger.scheme import OUTSIDE, allowed_steps
from recurra.tasks.tagger.scores import entities, entity_scores, tag_accuracy
from recurra.tasks.tagger.settings import TaggerColumns, TaggerData, TaggerSettings
from recurra.tasks.tagger.viterbi import Chain
from recurra.tasks.training import Training, drawn
from recurra.train.distributed import World

#: Words of a batch in validation, and what one costs beside a word in training.
_WORDS, _FORWARD_SHARE = 4096, 1 / 3
#: What a card says is read, and the setting of its size.
_READ = {"words": "embedding", "n-grams": "subwords", "characters": "characters"}


def build(
    config: TaggerSettings,
    prepared: Prepared | Learnt,
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
        rate, rarity = config.word_dropout, None
        if rate and prepared.counts is not None:
            counts = torch.from_numpy(prepared.counts.astype(np.float32))
            rarity = rate / (rate + counts.clamp(min=1))
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
            rarity=rarity,
            dropout=config.dropout,
        )

    with drawn(seed):
        made = [member() for _ in range(config.members)]
    return made[0] if config.members == 1 else TaggerCommittee(made)


def uses_crf(config: TaggerSettings, prepared: Prepared | Learnt) -> bool:
    """Whether tags are chosen together."""
    return prepared.entities if config.crf is None else config.crf


def scheme_of(config: TaggerSettings, prepared: Prepared | Learnt) -> str | None:
    """The scheme that the chain of tags keeps to, if any."""
    return prepared.scheme if config.constrain else None


class TaggerTraining(Training[TaggerSettings, TaggerData, Prepared]):
    """What the training loop needs of a tagger (see `recurra.tasks.training`)."""

    task = "sequence_tagger"
    unit = "words"

    def __init__(
        self, job: Job[TaggerSettings, TaggerData], prepared: Prepared, module: Any = None
    ) -> None:
        super().__init__(job, prepared, module)
        self.goal = self.data.goal or ("f1" if prepared.scored else "accuracy")
        self.notes = prepared.notes
        if self.goal == "f1" and not prepared.scored:
            why = "; ".join(prepared.notes) or "the tags mark no entities"
            raise InputError(f"goal f1: {why}: choose by accuracy or loss")
        self.goal_higher = self.goal != "loss"
        self._check_held_out()
        self._lengths = np.array([len(row) for row in prepared.train], np.int64)

    @classmethod
    def prepare(cls, job: Job[TaggerSettings, TaggerData], out: Path, world: World) -> Prepared:
        """See `Training`."""
        return prepare(
            job.source,
            job.valid,
            job.model,
            job.data,
            seed=job.train.seed,
            files=job.files,
            pretrained=job.pretrained,
        )

    def build(self, config: TaggerSettings, prepared: Prepared, seed: int) -> Any:
        """See `Training`."""
        return build(config, prepared, seed)

    @classmethod
    def rebuild(cls, config: TaggerSettings, files: ModelFiles) -> Any:
        """See `Training`."""
        return build(config, Learnt(vocabulary_of(files), *tags_of(files)), 0)

    def _check_held_out(self) -> None:
        """Figures are of something: of known tags, and F1 of entities."""
        held_out, known = self.prepared.held_out, set(self.prepared.tags)
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
            batch=self.data.batch,
            seed=self.job.train.seed,
            epoch=epoch,
            rank=rank,
            world=world,
        )

    def loss(self, batch: Rows, state: None) -> tuple[Tensor, int, None]:
        """See `recurra.train.Task`."""
        sentences = [self.prepared.train[k] for k in batch.indices]
        wanted = [self.prepared.wanted[k] for k in batch.indices]
        emissions = self._emissions(sentences)
        if self.data.recall_cost and OUTSIDE in self.prepared.tags:
            emissions = self._costly(emissions, wanted)
        losses = self._losses(emissions, wanted)
        return losses[: batch.count].sum(), sum(map(len, wanted[: batch.count])), None

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`: accuracy, F1 of entities where tags mark them, and the loss
        of sentences whose tags the training data have."""
        prepared = self.prepared
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
        self.metrics = {
            "loss": mean(nats, count),
            "accuracy": tag_accuracy(prepared.held_out.tags, found),
        }
        if prepared.scored:
            scores = entity_scores(prepared.held_out.tags, found).overall
            self.metrics |= {n: getattr(scores, n) for n in ("precision", "recall", "f1")}
        return self.metrics

    def tag(self, sentences: list[np.ndarray]) -> list[list[str]]:
        """The best tags of sentences as forms."""
        chain, found = self._chain(), [list[str]() for _ in sentences]
        with torch.inference_mode():
            for rows, emissions in self._scored(sentences):
                self._decode(rows, emissions, sentences, chain, found)
        return found

    def validation_cost(self) -> float:
        """See `recurra.train.Rated`."""
        words = sum(map(len, self.prepared.valid))
        batches = max(1, -(-len(self._lengths) // self.data.batch))
        return float(_FORWARD_SHARE * words / max(1, self._lengths.sum() / batches))

    def tokenizer(self) -> Any:
        """See `Training`."""
        return self.prepared.vocabulary.to_json()

    def describe(self) -> dict[str, Any]:
        """See `Training`."""
        prepared = self.prepared
        kinds = prepared.kinds.to_json(prepared.tags)
        columns = {n: v for n, v in self.data.to_json().items() if n in TaggerColumns.names()}
        return {
            "tags": list(prepared.tags),
            **({} if kinds is None else {"tag_kinds": kinds}),
            "scheme": prepared.scheme,
            "columns": columns,
        }

    def card(self, written: Mapping[str, Any]) -> Card:
        """See `Training`."""
        training = written["training"]
        read = [name for name, size in _READ.items() if getattr(self.model, size)]
        return Card(
            title="sequence tagger",
            pipeline="token-classification",
            tags=("sequence-tagging",),
            about=f"{layers_of(self.model)} over {' and '.join(read)}. Trained on "
            f"`{shown(training['name'])}` ({training['train_sentences']:,} sentences, SHA-256 "
            f"`{training['train_sha256']}`)",
            held_out=f"{training['valid_sentences']:,} held-out sentences",
            example='model.predict([["These", "are", "words", "."]])',
            names=("Tags", written["tags"]),
        )

    def _decode(
        self,
        rows: list[int],
        emissions: Tensor,
        sentences: list[np.ndarray],
        chain: Chain,
        found: list[list[str]],
    ) -> None:
        """Put the best tags of a batch where they belong in `found`."""
        every = emissions if self.model.members == 1 else emissions.mean(0)
        scores = every.cpu().numpy()
        for column, k in enumerate(rows):
            path = chain.best(scores[: len(sentences[k]), column])
            found[k] = [self.prepared.tags[y] for y in path.tags]

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
        batch = self.prepared.forms.batch(sentences)
        device = self.device

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
        outside = self.prepared.tags.index(OUTSIDE)
        bonus = np.zeros(emissions.shape[-3:], np.float32)
        for column, row in enumerate(wanted):
            bonus[: len(row), column, outside] = self.data.recall_cost * (row != outside)
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
            return Chain.free(len(self.prepared.tags))
        allowed = allowed_steps(self.prepared.tags, scheme_of(self.model, self.prepared))
        steps = np.where(allowed, found.detach().double().cpu().numpy(), -np.inf)
        return Chain(steps[-2, :-2], steps[:-2, :-2], steps[:-2, -1])


SIDE = TaggerTraining
