"""The command line as a user meets it, and a small trained run to use it on."""

import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from recurra.cli import main
from tasks.texts import prose

COMMAND = [sys.executable, "-c", "import sys, recurra.cli; sys.exit(recurra.cli.main())"]
SMALL = ["--hidden", "16", "--embedding", "8", "--batch", "4", "--bptt", "16", "--lr", "0.01"]


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def recurra(capsys):
    """Run the command line in this process."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return run


def start(*words: object, **options: object) -> "subprocess.Popen[str]":
    """Start the command line as a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    # A process that a shell put into the background ignores Ctrl-C, and hands that on.
    pipes["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([*COMMAND, *map(str, words)], **pipes)


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> Path:
    """A file of prose."""
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text(prose(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory, text) -> Path:
    """A trained run with <unk>."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert (
        main(["train", "lm", str(text), "--out", str(out), "--json", "--steps", "30", *SMALL]) == 0
    )
    return out


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
