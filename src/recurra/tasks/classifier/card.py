"""The model card: what a model directory says to a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.card import shown
from recurra.tasks.classifier.settings import SequenceClassifierConfig
from recurra.train.config import plan_note


def write_card(
    config: SequenceClassifierConfig,
    labels: Sequence[str],
    training: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> str:
    """Return README.md of a classifier: YAML front matter, figures, how to run it."""
    train = training["train"]
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in metrics.items())
    layers = "layer" if config.layers == 1 else "layers"
    both = "bidirectional " if config.bidirectional else ""
    read = f"{config.tokenizer} tokens" if config.reads_text else "sequences of numbers"
    kind = "text-classification" if config.reads_text else "other"
    told = ", ".join(f"`{shown(label)}`" for label in labels[:20]) + (
        " …" if len(labels) > 20 else ""
    )
    example = '["a text", "another"]' if config.reads_text else "[array]  # (T, F)"
    data = shown(training["data"])
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: {kind}
tags: [recurra, {config.cell}, sequence-classification]
---
# A recurrent sequence classifier

{config.layers} {both}{config.cell.upper()} {layers} of {config.hidden} units over {read}, pooled
by {config.pooling}. Trained on `{data}` ({training["train_examples"]:,} examples,
SHA-256 `{training["train_sha256"]}`) with seed {train["seed"]}{plan}. Labels: {told}.
{remarks(training)}
| {training["valid_examples"]:,} held-out examples | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.predict({example}))
```
"""
