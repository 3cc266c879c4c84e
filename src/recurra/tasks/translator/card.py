"""The model card: what a model directory says to a person."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.translator.settings import TranslatorConfig
from recurra.train.config import plan_note


def write_card(
    config: TranslatorConfig, training: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return README.md of a translator: YAML front matter, figures, how to run it."""
    named = {"nats_per_token" if name == "loss" else name: v for name, v in metrics.items()}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in named.items())
    precision = "" if config.precision == "float32" else ", products in bfloat16"
    both = config.source_tokenizer, config.target_tokenizer
    tokens = f"{both[0]} tokens" if both[0] == both[1] else f"{both[0]} and {both[1]} tokens"
    direction = "bidirectional " if config.bidirectional else ""
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: translation
tags: [recurra, {config.cell}, encoder-decoder, attention]
---
# A recurrent translator

An encoder-decoder with {config.attention} attention over {tokens}: {config.layers} {direction}
{config.cell.upper()} of {config.hidden} units read, {config.decoder_layers or config.layers} write.
Trained on {training["pairs"]:,} pairs (SHA-256 of the files `{training["pairs_sha256"]}`) with seed
{training["train"]["seed"]}{plan}{precision}.
{remarks(training)}
| held-out pairs | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.predict("the source", beams=4))
```
"""
