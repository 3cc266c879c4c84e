"""The model card: what a model directory says to a person."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.transcriber.settings import TranscriberConfig
from recurra.train.config import plan_note


def write_card(
    config: TranscriberConfig, training: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return README.md of a transcriber: YAML front matter, figures, how to run it."""
    named = {"nats_per_token" if name == "loss" else name: v for name, v in metrics.items()}
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in named.items())
    layers = "layer" if config.layers == 1 else "layers"
    ways = "bidirectional " if config.bidirectional else ""
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: automatic-speech-recognition
tags: [recurra, {config.cell}, ctc]
---
# A recurrent transcriber

{config.layers} {ways}{config.cell.upper()} {layers} of {config.hidden} units over log-mel features,
with connectionist temporal classification over {config.tokenizer} tokens; trained on
{training["recordings"]:,} recordings ({training["seconds"] / 60:.1f} minutes, SHA-256
`{training["sha256"]}`) with seed {training["train"]["seed"]}{plan}.
{remarks(training)}
| held-out recordings | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(*model.predict("speech.wav"))
```
"""
