"""`recurra train TASK DATA`."""

import argparse
import json
import os
import sys
from pathlib import Path

from recurra.cli.parser import add_settings, describe, settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tasks as further verbs."""
    describe(parser, _run_lm, "Train a model.", "recurra train lm corpus.txt --minutes 3")
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    lm = tasks.add_parser("lm", help="a language model, of a text")
    describe(
        lm,
        _run_lm,
        "Train a language model on a text.\nThe same command again goes on where it was stopped.",
        "recurra train lm corpus.txt --minutes 3 --out runs/corpus",
        usage="DATA [DATA ...] [options]",
    )
    lm.add_argument(
        "data", nargs="+", metavar="DATA", help="files, folders (*.txt, *.txt.gz, *.md), or - "
    )
    lm.add_argument("--valid", metavar="FILE", help="held-out text; else a share of DATA's end")
    lm.add_argument("--out", metavar="DIR", help="the run (default: runs/NAME, of DATA's name)")
    lm.add_argument("--fresh", action="store_true", help="start over where DIR holds a run")
    lm.add_argument("--json", action="store_true", help="print the result as JSON; no progress")
    from recurra.tasks.language_model.config import DataConfig, LanguageModelConfig
    from recurra.train.config import TrainConfig

    add_settings(lm, "model", LanguageModelConfig)
    add_settings(lm, "data", DataConfig)
    add_settings(lm, "training", TrainConfig)


def _run_lm(arguments: argparse.Namespace) -> int:
    from recurra.settings import check
    from recurra.tasks.language_model import DataConfig, LanguageModel, LanguageModelConfig
    from recurra.train.config import TrainConfig

    tables = (LanguageModelConfig, DataConfig, TrainConfig)
    check(*(table(**settings(arguments, table)) for table in tables))
    out = Path(arguments.out or Path("runs") / _name(arguments.data[0]))
    model = LanguageModel(**settings(arguments, LanguageModelConfig))
    result = model.fit(
        arguments.data,
        valid=arguments.valid,
        out=out,
        fresh=arguments.fresh,
        progress=not arguments.json,
        **settings(arguments, DataConfig, TrainConfig),
    )
    if os.environ.get("RANK", "0") != "0":  # under torchrun one process speaks for all
        return 0
    best = dict(result.best or {})
    if arguments.json:
        found = {"run": str(out), "steps": result.steps, "seconds": result.seconds, "best": best}
        found["tokens_per_second"] = result.tokens_per_second
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    sys.stdout.write(
        f"\nbest validation: {best['loss']:.4f} nats per token, "
        f"perplexity {best['perplexity']:.3f}, "
        f"{best['bits_per_character']:.3f} bits per character\n"
        f"model            {out / 'best'}\n"
        f"curves           {out / 'report.html'}\n"
        f'let it write     recurra generate {out} "…"\n'
    )
    return 0


def _name(data: str) -> str:
    if data == "-":
        return "stdin"
    name = Path(data).resolve().name
    for suffix in (".gz", ".txt", ".md"):
        name = name.removesuffix(suffix)
    return name or "text"
