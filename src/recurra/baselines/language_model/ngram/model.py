"""`NGramModel`: count a text, measure others, write one; the rival of recurrent language models."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from recurra.baselines.language_model.ngram.kneser_ney import KneserNey
from recurra.baselines.language_model.rival import TextRival
from recurra.errors import FormatError, InputError
from recurra.settings import Settings, check, option, sort
from recurra.storage import ModelFiles
from recurra.tasks.card import shown
from recurra.tasks.language_model import DataConfig
from recurra.tasks.language_model.data import open_prepared, open_texts, prepare
from recurra.tasks.language_model.settings import LanguageModelConfig
from recurra.text import Corpus, Tokenizer

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source

TASK = "ngram_language_model"

#: How many times, and after how many words, a model is asked what follows, to time one answer.
_ASKED, _ASKED_WORDS = 50, 10


@dataclass(frozen=True, kw_only=True)
class NGramConfig(Settings):
    """The tokenizer, and how much of what came before is looked at."""

    tokenizer: str = option("char", "what a token is", choices=("char", "byte", "word", "bpe"))
    vocab_size: int | None = option(None, "at most so many tokens", least=2, whole=True)
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    order: int | None = option(
        None,
        "length of the longest n-grams, the token that is predicted included; by default 5, of "
        "characters and bytes 10",
        least=1,
        whole=True,
    )

    @property
    def longest(self) -> int:
        """The order that is meant."""
        return self.order or (5 if self.tokenizer in ("word", "bpe") else 10)


def single_prompts(
    data: "Source", model: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[list[str]]:
    """The beginnings of a text's first lines, each as a list of one: a model is asked what follows.

    `model` and `settings` are those of the recurrent model and of its data; here all read alike.
    """
    lines = (line.split()[:_ASKED_WORDS] for line in Corpus.open(data).lines())
    return [[" ".join(words)] for words in islice(filter(None, lines), _ASKED)]


class NGramModel(TextRival):
    """An n-gram language model, with interpolated modified Kneser–Ney smoothing.

    The arguments are the fields of `NGramConfig` and `recurra.tasks.language_model.DataConfig`, by
    name; those of recurrent models that mean nothing here (as `batch`) are allowed.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = TASK
    title = "n-gram language model"

    def __init__(self, **settings: Any) -> None:
        chosen, data, _ = sort(settings, NGramConfig, DataConfig, LanguageModelConfig)
        self.config, self.data = NGramConfig(**chosen), DataConfig(**data)
        check(self.config, self.data)

    def __repr__(self) -> str:
        trained = "trained" if self._files else "not trained"
        return f"<NGramModel: {self.config.tokenizer}, order {self.config.longest}, {trained}>"

    def fit(
        self,
        data: "Source",
        *,
        valid: "Source | None" = None,
        tokenizer: Tokenizer | None = None,
        budget: object = None,
    ) -> None:
        """Count the n-grams of a text. There is nothing to choose by a held-out one.

        Args:
            data: a file, a folder, "-" for standard input, or several of them.
            valid: the text held out; by default the last tenth of `data`, which is left out, as it
                is for other models, so that they can be compared.
            tokenizer: of another model; by default one is made of the text.
            budget: not looked at: counting takes what it takes.

        Raises:
            InputError: texts that cannot be read, or have symbols the tokenizer does not know.
        """
        c = self.config
        like = LanguageModelConfig(
            tokenizer=c.tokenizer, vocab_size=c.vocab_size, min_count=c.min_count
        )
        with tempfile.TemporaryDirectory(prefix="recurra-") as name:
            folder = Path(name)
            text, held_out = open_texts(folder, data, valid, self.data, tokenizer=c.tokenizer)
            prepare(folder, text, held_out, like, self.data, tokenizer)
            prepared = open_prepared(folder)
            counted = KneserNey.count(
                prepared.train.data,
                order=c.longest,
                vocabulary=len(prepared.tokenizer),
                end=prepared.tokenizer.eos_id if self.data.lines else None,
            )
            header = prepared.train.header
        self._take(
            ModelFiles(
                config={
                    "task": TASK,
                    "model": c.to_json(),
                    "lines": self.data.lines,
                    "training": {
                        "corpus": header.corpus_name,
                        "corpus_sha256": header.corpus_sha256,
                        "corpus_characters": header.characters,
                    },
                },
                tensors=counted.tensors(),
                tokenizer=prepared.tokenizer.to_json(),
                card=_card(c, counted, header.corpus_name),
                path=Path(),
            )
        )
        self.__dict__["runtime"] = counted

    @cached_property
    def runtime(self) -> KneserNey:
        """The model of token ids."""
        return KneserNey.from_tensors(self.files.tensors)

    @property
    def parameters(self) -> int:
        """The counts it is made of: distinct n-grams of all orders."""
        return sum(map(len, self.runtime.grams))

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> Self:
        """The model that `read_model` read; it has no products, so no other precision."""
        if files.config["task"] != TASK:
            raise FormatError(
                f"{files.path}: expected an n-gram language model, found a model of the task "
                f"{files.config['task']!r}"
            )
        if precision != "float32":
            raise InputError(f"{files.path}: n-grams have no precision {precision}: leave it out")
        try:
            config = NGramConfig.from_json(files.config["model"])
        except (KeyError, InputError) as error:
            raise FormatError(f'{files.path}: config.json, "model": {error}') from error
        model = cls(**config.to_json(), lines=bool(files.config.get("lines")))
        model._take(files)
        if len(model.tokenizer) != model.runtime.vocab_size:
            raise FormatError(
                f"{files.path}: {len(model.tokenizer)} tokens in tokenizer.json, "
                f"{model.runtime.vocab_size} in model.safetensors: they are of different models"
            )
        return model


def _card(config: NGramConfig, counted: KneserNey, corpus: str) -> str:
    rows = "\n".join(
        f"| {n} | {len(grams):,} | " + " | ".join(f"{d:.4f}" for d in taken) + " |"
        for n, (grams, taken) in enumerate(
            zip(counted.grams, counted.discounts, strict=True), start=1
        )
    )
    corpus = shown(corpus)
    return f"""---
library_name: recurra
pipeline_tag: text-generation
tags: [recurra, n-gram, language-model]
---
# An n-gram language model

Order {config.longest} over {config.tokenizer} tokens, counted in `{corpus}`, with interpolated
modified Kneser–Ney smoothing.

| n | n-grams | D1 | D2 | D3+ |
|---|---|---|---|---|
{rows}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.generate("The", max_tokens=50))
```
"""
