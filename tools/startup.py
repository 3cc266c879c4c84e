"""How long a user waits before anything happens: `python tools/startup.py [--json]`.

Each command is timed whole, as the shell would see it, and the import also inside the interpreter;
the median of several runs counts. `generate` loads a model as large as the defaults train and
writes one character; its weights are drawn, because how long it takes does not depend on them.
"""

import json
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 5
IMPORT = "import time; t = time.perf_counter(); import recurra; print(time.perf_counter() - t)"
RECURRA = str(Path(sys.executable).parent / "recurra")


def import_seconds(runs: int = RUNS) -> float:
    """Median seconds of `import recurra` in a fresh interpreter, the interpreter's own left out."""
    command = [sys.executable, "-c", IMPORT]
    return statistics.median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(runs)
    )


def command_seconds(command: list[str], runs: int = RUNS) -> float:
    """Median wall-clock seconds of `command`, process start included."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def save_model(directory: Path) -> None:
    """Write a character model of the default size, without torch and without training it."""
    import numpy as np

    from recurra.storage import save_model as save
    from recurra.tasks.language_model import LanguageModelConfig
    from recurra.tasks.language_model.runtime import RuntimeLM
    from recurra.text import train_tokenizer

    config = LanguageModelConfig()
    tokenizer = train_tokenizer("char", [string.printable])
    V, E, H = len(tokenizer), config.embedding_size, config.hidden
    shapes = {
        "embedding.weight": (V, E),
        "rnn.weight_ih_l0": (4 * H, E),
        "rnn.weight_hh_l0": (4 * H, H),
        "rnn.bias_ih_l0": (4 * H,),
        "rnn.bias_hh_l0": (4 * H,),
        "head.weight": (V, H),
        "head.bias": (V,),
    }
    random = np.random.default_rng(0)
    tensors = {
        name: random.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    architecture = config.architecture()
    RuntimeLM(architecture, tensors)  # these are the weights it wants
    save(
        directory,
        config={
            "task": "language_model",
            "architecture": architecture.to_json(),
            "model": config.to_json(),
            "lines": False,
        },
        tensors=tensors,
        tokenizer=tokenizer.to_json(),
    )


def generate_seconds(runs: int = RUNS) -> float:
    """Median wall-clock seconds of `recurra generate` for one character of a saved model."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model")
        command = [RECURRA, "generate", str(Path(folder) / "model"), "The ", "--max-tokens", "1"]
        return command_seconds(command, runs)


def main() -> None:
    """Measure and print, as a table or (with `--json`) as one object, in milliseconds."""
    seconds = {
        "python -c pass": command_seconds([sys.executable, "-c", "pass"]),
        "import recurra": import_seconds(),
        "recurra --help": command_seconds([RECURRA, "--help"]),
        "recurra generate": generate_seconds(),
    }
    milliseconds = {name: round(value * 1000, 1) for name, value in seconds.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(milliseconds))
    else:
        for name, value in milliseconds.items():
            print(f"{name:<16} {value:7.1f} ms   median of {RUNS}")


if __name__ == "__main__":
    main()
