"""Train in float32 and in bfloat16, and compare the losses: `python -m bench.precision TEXT`.

The default recipe of a character model: the same steps on the same text, from several seeds. What
bfloat16 costs is small where the two means lie within the spread of the seeds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from recurra import LanguageModel, native


def losses(text: Path, precision: str, *, seeds: int, steps: int) -> list[float]:
    """Return the last validation's nats per token from each seed."""
    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            model = LanguageModel(hidden=256, precision=precision).fit(
                text,
                out=Path(folder) / "run",
                steps=steps,
                batch=16,
                bptt=64,
                eval_every=steps,
                seed=seed,
                progress=False,
            )
        result = model.fit_result_
        assert result.best is not None
        found.append(result.best["loss"])
        print(f"{precision}, seed {seed}: {found[-1]:.4f} ({result.seconds:.0f} s)", flush=True)
    return found


def main() -> None:
    """Print the loss of each run, their means, and their spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if not native.half_products():
        raise SystemExit("bench.precision: this processor has no products in bfloat16")
    means = []
    for precision in native.PRECISIONS:
        found = losses(options.text, precision, seeds=options.seeds, steps=options.steps)
        means.append(statistics.fmean(found))
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        print(f"{precision}: mean {means[-1]:.4f} nats, standard deviation {spread:.4f}")
    print(f"bf16 - float32: {means[1] - means[0]:+.4f} nats")


if __name__ == "__main__":
    main()
