"""The model card: what a model directory says to a person."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.card import shown
from recurra.tasks.language_model.settings import LanguageModelConfig
from recurra.train.config import plan_note


def write_card(
    config: LanguageModelConfig, training: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return README.md of a language model: YAML front matter, figures, how to run it."""
    train = training["train"]
    named = {"nats_per_token" if name == "loss" else name: v for name, v in metrics.items()}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in named.items())
    layers = "layer" if config.layers == 1 else "layers"
    precision = "" if config.precision == "float32" else ", products in bfloat16"
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: text-generation
tags: [recurra, {config.cell}, language-model]
---
# A recurrent language model

{config.layers} {config.cell.upper()} {layers} of {config.hidden} units over {config.tokenizer}
tokens, trained on `{shown(training["corpus"])}` ({training["corpus_characters"]:,} characters,
SHA-256 `{training["corpus_sha256"]}`) with seed {train["seed"]}{plan}{precision}.

| held-out text | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.generate("The ", temperature=0.8, max_tokens=200))
```
"""
