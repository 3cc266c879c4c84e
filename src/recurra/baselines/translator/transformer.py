"""A Transformer in the place of a translator's recurrent layers, of as many parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from recurra.baselines.protocol import Budget
from recurra.baselines.transformer import TransformerRival
from recurra.baselines.translator.transformer_network import (
    Cache,
    TransformerEncoderDecoder,
    width_for,
)
from recurra.settings import check, sort
from recurra.tasks.job import Job
from recurra.tasks.translator.data import open_pairs
from recurra.tasks.translator.decoding import Decoder, Translation
from recurra.tasks.translator.pairs import Pairs
from recurra.tasks.translator.settings import DataConfig, TranslationOptions, TranslatorConfig
from recurra.tasks.translator.task import TranslationScores, score_pairs
from recurra.tasks.translator.training import TranslatorTask, build, identity, prepare
from recurra.tasks.translator.vocabulary import Vocabulary
from recurra.train import TrainConfig
from recurra.train.distributed import World

#: The field's usual choices for small data.
LAYERS, HEADS, DROPOUT, LR, WARMUP, BETAS = 3, 4, 0.1, 1e-3, 0.1, (0.9, 0.98)


class TransformerTranslator(TransformerRival["_Task"]):
    """All that the recurrent translator has (vocabularies, batches, label smoothing, training loop,
    beam search), with self-attention for its layers.

    Args:
        epochs: of training, where no time is given.
        lr: the highest learning rate.
        **settings: of the translator and of its data.
    """

    def __init__(self, *, epochs: float = 10.0, lr: float = LR, **settings: Any) -> None:
        chosen, data = sort(settings, TranslatorConfig, DataConfig)
        self.config = TranslatorConfig(**{**chosen, "copy": False, "precision": "float32"})
        self.data = DataConfig(**data)
        check(self.config, self.data)
        self._how = TrainConfig(epochs=epochs, lr=lr, betas=BETAS, weight_decay=0.0, warmup=WARMUP)

    def fit(self, data: Any, *, valid: Any = None, budget: Budget = Budget()) -> None:
        """Train; the model is the one with the best validation."""

        def make(job: Job, out: Path, world: World) -> tuple[_Task, dict[str, Any]]:
            pairs, valid, vocabulary = prepare(job)
            task = _Task(job, pairs, valid, vocabulary, parameters=budget.parameters)
            return task, identity(pairs, valid, vocabulary)

        self._train(
            make, data, valid, model=self.config, data=self.data, how=self._how, budget=budget
        )

    def predict(self, source: str | Sequence[str], **options: Any) -> Any:
        """Translate a text, or each of several; options are those of the translator."""
        (chosen,) = sort(options, TranslationOptions)
        texts = [source] if isinstance(source, str) else source
        found = self._translate(texts, TranslationOptions(**chosen).validate())
        return found[0] if isinstance(source, str) else found

    def evaluate(self, data: Any, **options: Any) -> TranslationScores:
        """Translate the sources of pairs and compare with their targets."""
        pairs = open_pairs(data, skip_bad=self.data.skip_bad)
        (chosen,) = sort(options, TranslationOptions)
        wanted = TranslationOptions(**chosen).validate()
        nats = self._trained().nats_per_token(pairs)
        return score_pairs(pairs, lambda t: self._translate(t, wanted), nats_per_token=nats)

    def _translate(self, texts: Sequence[str], options: TranslationOptions) -> list[Translation]:
        return self._trained().decoder().translate(texts, options)


class _Task(TranslatorTask):
    """The translator's task, with another network."""

    def __init__(
        self,
        job: Job,
        pairs: Pairs,
        valid: Pairs,
        vocabulary: Vocabulary,
        *,
        parameters: int | None,
    ) -> None:
        config = job.model
        assert isinstance(config, TranslatorConfig)
        source, target = len(vocabulary.source), len(vocabulary.target)
        if parameters is None:
            recurrent = build(config, vocabulary, 0)
            parameters = sum(p.numel() for p in recurrent.parameters())
        self._width = width_for(
            parameters,
            source=source,
            target=target,
            shared=config.shared,
            layers=LAYERS,
            heads=HEADS,
        )
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(job.train.seed)
            module = TransformerEncoderDecoder(
                source,
                target,
                self._width,
                LAYERS,
                heads=HEADS,
                shared=config.shared,
                dropout=DROPOUT,
            )
        super().__init__(job, pairs, valid, vocabulary, module)

    def decoder(self) -> Decoder:
        """See `TranslatorTask`."""
        model = _Steps(self.module)
        return Decoder(model, self.vocabulary, growth=self.growth, copy=False)

    def tensors(self) -> dict[str, np.ndarray]:
        """See `TranslatorTask`."""
        return {name: value.cpu().numpy() for name, value in self.module.state_dict().items()}

    def config(self) -> dict[str, Any]:
        """See `TranslatorTask`."""
        shape = {"layers": LAYERS, "heads": HEADS, "width": self._width}
        return {**super().config(), "task": "transformer_translator", "architecture": shape}


class _State(NamedTuple):
    """N targets, and the sources that they belong to."""

    cache: Cache
    owner: torch.Tensor


class _Steps:
    """The Transformer as something that steps: see `recurra.tasks.translator.search.Steps`."""

    def __init__(self, module: TransformerEncoderDecoder) -> None:
        self._module = module

    @torch.inference_mode()
    def start(
        self, source: np.ndarray, lengths: np.ndarray, *, copied: np.ndarray | None = None
    ) -> _State:
        cache = self._module.start(torch.from_numpy(source), torch.from_numpy(lengths))
        return _State(cache, torch.arange(len(source)))

    @torch.inference_mode()
    def step(self, ids: np.ndarray, state: _State) -> tuple[np.ndarray, _State]:
        of = state.owner
        sources = tuple((key[of], value[of]) for key, value in state.cache.sources)
        cache = Cache(state.cache.own, sources, state.cache.valid[of])
        x, cache = self._module.read(torch.from_numpy(ids)[:, None], cache)
        kept = state.cache._replace(own=cache.own)
        return self._module.logits(x[:, 0]).numpy(), _State(kept, of)

    def select(self, state: _State, rows: np.ndarray) -> _State:
        chosen = torch.from_numpy(rows)
        own = tuple((key[chosen], value[chosen]) for key, value in state.cache.own)
        return _State(state.cache._replace(own=own), state.owner[chosen])
