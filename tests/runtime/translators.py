"""Small translators, as a torch module and without torch, with the same weights."""

import numpy as np
import torch

from recurra.tasks.translator import TranslatorConfig
from recurra.tasks.translator.runtime import RuntimeTranslator
from recurra.tasks.translator.training import build
from recurra.tasks.translator.vocabulary import Vocabulary
from recurra.text import CharTokenizer

SOURCE, TARGET = ["<unk>", "<eos>", *"abcdefg"], ["<unk>", "<eos>", *"abcdxyz"]


def vocabulary(*, shared=False):
    source = CharTokenizer(SOURCE)
    return Vocabulary(source, source if shared else CharTokenizer(TARGET))


def made(**settings):
    """A module with weights large enough to matter, and the runtime of its tensors."""
    config = TranslatorConfig(
        **{"source_tokenizer": "char", "target_tokenizer": "char", "hidden": 6, "embedding": 5}
        | settings
    ).validate()
    words = vocabulary(shared=config.shared)
    module = build(config, words, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.8, 0.8, generator=generator)
    tensors = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    if config.is_tied:
        del tensors["head.weight"]
    if config.shared:
        del tensors["source_embedding.weight"]
    return module, RuntimeTranslator(config.translator(words.unknown), tensors), words


def sources(seed=0, batch=5):
    """Ids (B, S) of sources of different lengths, zero behind their ends, and the lengths."""
    random = np.random.default_rng(seed)
    lengths = random.permutation(np.arange(1, batch + 1))
    ids = random.integers(2, len(SOURCE), (batch, batch))
    return np.where(np.arange(batch) < lengths[:, None], ids, 0), lengths
