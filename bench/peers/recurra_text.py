"""Text written by Recurra's language model, in a process that does not import torch."""

from pathlib import Path

import recurra
from bench.peers import Forms, Job
from bench.work import Numbers, Text


def forms(spec: dict) -> Forms:
    """Return `LanguageModel.generate`."""
    return {"LanguageModel.generate": lambda: _job(Text(**spec))}


def _job(text: Text) -> Job:
    model = recurra.load(Path(text.model))

    def run() -> object:
        return model.generate(
            text.prompt,
            max_tokens=text.characters,
            temperature=text.temperature,
            top_k=text.top_k,
        )

    def result() -> Numbers:
        found = model.generate(text.prompt, max_tokens=text.compared, temperature=0.0)
        return text.numbers(str(found))

    return Job(run, result)
