"""Test the loggers with the packages themselves, in an environment beside .venv: `make loggers`."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "loggers"
PACKAGES = ("tensorboard", "mlflow", "wandb")


def main() -> int:
    """Make the environment once; run the tests there."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        # What .venv has is seen there, its own packages first.
        (site,) = FOLDER.glob("lib/python*/site-packages")
        line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (site / "developer.pth").write_text(line)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True)
    test = ["-m", "pytest", "-n0", "tests/train/test_loggers.py", *sys.argv[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(python), *test], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
