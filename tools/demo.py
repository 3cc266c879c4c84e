"""`make demo`: a character model of the English prose that comes with every CPython.

Shows each command before it runs, so that the demo is also the first page of the manual.
"""

import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

RECURRA = Path(sys.executable).parent / "recurra"
DATA = Path("runs/demo-data")
RUN = Path("runs/demo")
HELD_OUT = 0.1


def main() -> None:
    """Write the corpus, train for a minute, score the held-out end of it, let the model write."""
    training, held_out = _write_corpus()
    # A minute is short for the usual 384 units.
    size = ["--hidden", "256", "--dropout", "0.1"]
    _recurra("train", "lm", training, "--valid", held_out, *size, "--minutes", "1", "--out", RUN)
    _evaluate(held_out)
    sampling = ["--temperature", "0.7", "--max-tokens", "300", "--seed", "1"]
    _recurra("generate", RUN, "The ", *sampling)
    print(f"\nThe model is in {RUN}. Let it write something else:")
    print(f'  {os.path.relpath(RECURRA)} generate {RUN} "A class "')


def _write_corpus() -> tuple[Path, Path]:
    """The topics in alphabetical order; the last tenth, from a line's beginning on, is held out."""
    text = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    cut = text.index("\n", int(len(text) * (1 - HELD_OUT))) + 1
    DATA.mkdir(parents=True, exist_ok=True)
    parts = DATA / "train.txt", DATA / "held-out.txt"
    for path, part in zip(parts, (text[:cut], text[cut:]), strict=True):
        path.write_text(part, encoding="utf-8")
        print(f"{path}: {len(part):,} characters")
    return parts


def _evaluate(held_out: Path) -> None:
    score = json.loads(_recurra("evaluate", RUN, held_out, "--json", capture=True))
    if not math.isfinite(score["perplexity"]):
        raise SystemExit(f"demo: the model's perplexity is {score['perplexity']}")
    print(
        f"held-out text, {score['tokens']:,} tokens: perplexity {score['perplexity']:.2f}, "
        f"{score['bits_per_character']:.2f} bits per character"
    )


def _recurra(*arguments: str | Path, capture: bool = False) -> str:
    words = [str(argument) for argument in arguments]
    print(f"\n$ recurra {shlex.join(words)}", flush=True)
    done = subprocess.run(
        [str(RECURRA), *words], stdout=subprocess.PIPE if capture else None, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return done.stdout or ""


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
