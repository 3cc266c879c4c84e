"""What answers at once imports little: no torch for help, evaluation and generation."""

import importlib.util
import subprocess
import sys

import pytest

from conftest import ROOT

SEEN = """
import sys
from recurra.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(code or 0, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
HEAVY = {"torch", "matplotlib", "rich", "tokenizers", "scipy"}


def imported(*words):
    command = [sys.executable, "-c", SEEN, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    code, *modules = done.stderr.split()
    assert code == "0"
    return set(modules)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["generate", "--help"], ["train", "lm", "--help"]]
)
def test_help_imports_nothing_heavy(words):
    modules = imported(*words)
    assert "recurra" in modules
    assert modules.isdisjoint(HEAVY)
    if words[0] in ("--help", "--version"):
        assert "numpy" not in modules


def test_evaluate_and_generate_import_no_torch(run, text):
    for words in (["evaluate", run, text], ["generate", run, "the", "--max-tokens", "3"]):
        modules = imported(*words)
        assert "numpy" in modules
        assert modules.isdisjoint(HEAVY)


def test_the_model_whose_start_is_measured_is_of_the_default_size(tmp_path):
    """The script that measures the promise of 0.7 s must not measure a toy."""
    import recurra
    from recurra.tasks.language_model import LanguageModelSettings

    spec = importlib.util.spec_from_file_location("startup", ROOT / "tools" / "startup.py")
    startup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(startup)
    startup.save_model(tmp_path / "model")
    model = recurra.load(tmp_path / "model")
    assert model.config == LanguageModelSettings()
    assert len(str(model.generate("The ", max_tokens=1))) == 1
    assert imported("generate", tmp_path / "model", "The ", "--max-tokens", "1").isdisjoint(HEAVY)
