"""The model card: what a model directory says to a person."""

from collections.abc import Mapping
from typing import Any

from recurra.tasks.answers import remarks
from recurra.tasks.card import shown
from recurra.tasks.forecaster.settings import ForecasterConfig
from recurra.train.config import plan_note


def write_card(
    config: ForecasterConfig, training: Mapping[str, Any], metrics: Mapping[str, float]
) -> str:
    """Return README.md of a forecaster: YAML front matter, figures, how to run it."""
    figures = "\n".join(f"| {name.replace('_', ' ')} | {v:.4f} |" for name, v in metrics.items())
    layers = "layer" if config.layers == 1 else "layers"
    several = f", {config.members} of them side by side" if config.members > 1 else ""
    columns = ", ".join(map(shown, training["columns"]))
    seed = training["train"]["seed"]
    plan = plan_note(training)
    return f"""---
library_name: recurra
pipeline_tag: time-series-forecasting
tags: [recurra, {config.cell}, forecasting]
---
# A recurrent forecaster

{config.layers} {config.cell.upper()} {layers} of {config.hidden} units{several}: from
{config.context} steps of history, {config.segment} at once, {config.horizon} steps ahead
({config.mode}, {config.output}). Trained on {training["series"]} series of
{columns} with {training["steps"]:,} steps, seed {seed}{plan}
(SHA-256 `{training["sha256"]}`).
{remarks(training)}
| held-out steps | |
|---|---|
{figures}

```python
import recurra

model = recurra.load(".")  # the path of this directory
print(model.predict("series.csv")[0])
```
"""
