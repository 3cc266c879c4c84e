"""Tests of the page in a browser, and what they need: `make page`.

Node runs them (`tests/page/browser`) under the system's Chromium, with playwright-core and axe-core
from npm in `build/browser`. Where something is missing they are skipped in a line; `--install` has
apt install the browser. `--bench` prints how long a key stroke and a heat map take; `--shots` makes
the pictures of the documents, with models that are given as NAME=RUN.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "page" / "browser"
BUILD = ROOT / "build" / "browser"
GOLDEN = ROOT / "tests" / "golden"
#: Small models of every task, and a name that would be markup.
MODELS = {
    "char": "lm-char-lstm",
    "<svg onload": "lm-char-gru",
    "bytes": "lm-byte-rnn",
    "words": "lm-word-gru",
    "reviews": "classifier-words",
    "numbers": "classifier-numbers",
    "tags": "tagger-crf",
    "series": "forecaster-direct",
    "french": "translator-char",
    "digits": "transcriber-char",
}


def main() -> int:
    """Run them; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install Chromium by apt")
    parser.add_argument("--bench", action="store_true", help="time it, and print the figures")
    parser.add_argument("--shots", metavar="DIR", help="make pictures of the views there")
    parser.add_argument("models", nargs="*", metavar="NAME=RUN", help="instead of the small ones")
    parser.add_argument("--only", metavar="TEXT", help="tests whose names hold this")
    options = parser.parse_args()
    chromium = _chromium(install=options.install)
    missing = _missing(chromium)
    if missing:
        print(f"page: not tested in a browser: {missing}")
        return 0
    models = options.models or [f"{name}={GOLDEN / folder / 'model'}" for name, folder in
                                MODELS.items() if "=" not in name]  # fmt: skip
    with _Server(models) as url:
        environment = {**os.environ, "PAGE_URL": url, "PAGE_CHROMIUM": str(chromium)}
        environment["PAGE_INPUTS"] = str(GOLDEN / "inputs")
        if options.bench or options.shots:
            script = "bench.mjs" if options.bench else "shots.mjs"
            given = [str(Path(options.shots).resolve())] if options.shots else []
            command = ["node", script, *given]
        else:
            files = sorted(path.name for path in TESTS.glob("*.test.mjs"))
            only = ["--test-name-pattern", options.only] if options.only else []
            command = ["node", "--test", "--test-concurrency=2", *only, *files]
        return subprocess.run(command, cwd=BUILD, env=environment, check=False).returncode


def _chromium(*, install: bool) -> str | None:
    """The browser; with `install` from the system's packages, where that is permitted."""
    for attempt in range(2):
        for name in ("chromium", "chromium-browser", "google-chrome"):
            if path := shutil.which(name):
                return path
        apt = shutil.which("apt-get")
        if attempt or apt is None or os.geteuid() != 0 or not install:
            break
        for command in (
            ["update", "-q"],
            ["install", "-yq", "--no-install-recommends", "chromium"],
        ):
            done = subprocess.run([apt, *command], capture_output=True, check=False, timeout=600)
            if done.returncode:
                break
    return None


def _missing(chromium: str | None) -> str:
    """Why they cannot run; empty where they can. Installs what npm has."""
    if chromium is None:
        return "no chromium is installed (apt-get install chromium)"
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return "node and npm are not installed"
    BUILD.mkdir(parents=True, exist_ok=True)
    for path in TESTS.iterdir():
        shutil.copy(path, BUILD / path.name)
    wanted = json.loads((TESTS / "package.json").read_text())["devDependencies"]
    if all(_version(name) == version for name, version in wanted.items()):
        return ""
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=BUILD,
                          capture_output=True, text=True, check=False, timeout=300)  # fmt: skip
    return "" if done.returncode == 0 else f"npm ci failed: {done.stderr.strip()[-200:]}"


def _version(package: str) -> str | None:
    path = BUILD / "node_modules" / package / "package.json"
    return json.loads(path.read_text())["version"] if path.is_file() else None


class _Server:
    """`recurra serve` at a free port."""

    def __init__(self, models: list[str]) -> None:
        self._command = [sys.executable, "-m", "recurra", "serve", *models, "--port", "0",
                         "--chat-format", "dialogue"]  # fmt: skip

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True)  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "listening on " in line:
                return line.split()[-1]
        raise SystemExit("page: the server did not start")

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()


if __name__ == "__main__":
    raise SystemExit(main())
