"""Run tests with packages that .venv lacks, in an environment beside it.

python tools/beside.py loggers [ARGUMENTS OF PYTEST]
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: By name of the environment: what pip installs, and the tests. captum's own requirements would
#: bring another torch; the one that .venv has is the one to test.
ENVIRONMENTS = {
    "loggers": (("tensorboard", "mlflow", "wandb"), "tests/train/test_loggers.py"),
    "captum": (("--no-deps", "captum", "tqdm"), "tests/inspect/test_captum.py"),
}


def main(name: str, *arguments: str) -> int:
    """Make the environment once; run its tests there."""
    packages, tests = ENVIRONMENTS[name]
    folder = ROOT / "build" / name
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        # What .venv has is seen there, its own packages first.
        (site,) = folder.glob("lib/python*/site-packages")
        line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (site / "developer.pth").write_text(line)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        ready.touch()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", "pytest", "-n0", tests, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
