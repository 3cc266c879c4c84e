"""The model card: what a model directory says to a person."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.card import shown
from recurra.tasks.tagger.settings import SequenceTaggerConfig
from recurra.train.config import plan_note


def write_card(
    config: SequenceTaggerConfig, written: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return README.md of a tagger: YAML front matter, figures, how to run it."""
    training, tags = written["training"], written["tags"]
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in metrics.items())
    layers = "layer" if config.layers == 1 else "layers"
    both = "bidirectional " if config.bidirectional else ""
    read = " and ".join(name for name in ("words", "characters") if getattr(config, _SIZES[name]))
    told = ", ".join(f"`{shown(tag)}`" for tag in tags[:20]) + (" …" if len(tags) > 20 else "")
    seed = training["train"]["seed"]
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: token-classification
tags: [recurra, {config.cell}, sequence-tagging]
---
# A recurrent sequence tagger

{config.layers} {both}{config.cell.upper()} {layers} of {config.hidden} units over {read}. Trained
on `{shown(training["data"])}` ({training["train_sentences"]:,} sentences, SHA-256
`{training["train_sha256"]}`) with seed {seed}{plan}. Tags: {told}.
{remarks(training)}
| {training["valid_sentences"]:,} held-out sentences | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.predict([["These", "are", "words", "."]]))
```
"""


_SIZES = {"words": "embedding", "n-grams": "subwords", "characters": "characters"}
