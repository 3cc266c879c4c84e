"""What promises to work without torch is imported where torch cannot be had."""

import importlib.util
import subprocess
import sys
import tomllib

import pytest

from conftest import ROOT

TORCH_FREE = [
    "cells",
    "cli",
    "data",
    "export",
    "generate",
    "inspect",
    "interop",
    "reference",
    "runtime",
    "serve",
    "settings",
    "storage",
    "tasks",
    "text",
]
EXTRAS = ["keras", "matplotlib", "onnx", "rich", "tokenizers", "torch"]

# The modules that may import torch are pyproject's: they are imported inside functions.
# None in sys.modules makes `import name` raise ModuleNotFoundError: as good as not installed.
IMPORT_ALL = """
import fnmatch, importlib, pkgutil, sys
blocked, root = sys.argv[1].split(","), sys.argv[2]
sys.modules.update(dict.fromkeys(blocked))
module = importlib.import_module(root)
names = [m.name for m in pkgutil.walk_packages(getattr(module, "__path__", []), root + ".")]
names = [name for name in names if not name.endswith(".__main__")]
torch_side = sys.argv[3].split(",")
for name in names:
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in torch_side):
        importlib.import_module(name)
print(len(names) + 1, any(sys.modules.get(name) for name in blocked))
"""


def torch_side() -> list[str]:
    """Patterns of the modules that the rules of imports let import torch."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (rule,) = (c for c in rules["contracts"] if c["name"] == "torch has its few places")
    return [line.split(" -> ")[0] for line in rule["ignore_imports"]]


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", TORCH_FREE)
def test_every_module_imports_without_the_extras(package):
    if package == "serve":  # which needs its own extra
        pytest.importorskip("fastapi", reason="serving is not installed")
    arguments = [",".join(EXTRAS), f"recurra.{package}", ",".join(torch_side())]
    count, leaked = run(IMPORT_ALL, *arguments).split()
    assert int(count) >= 1
    assert leaked == "False"


def test_the_check_itself_sees_an_import_of_torch(tmp_path, monkeypatch):
    package = tmp_path / "guilty"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("import torch\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match="torch"):
        run(IMPORT_ALL, "torch", "guilty", "")


@pytest.mark.parametrize("module", ["recurra", "recurra.cli"])
def test_import_leaves_the_heavy_libraries_alone(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = set(run(code).split())
    assert module in loaded
    assert loaded.isdisjoint([*EXTRAS, "scipy", "asyncio"])


def test_import_is_quick():
    """The promise is 100 ms; three times that, so that a busy machine does not fail the test."""
    spec = importlib.util.spec_from_file_location("startup", ROOT / "tools" / "startup.py")
    startup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(startup)
    assert startup.import_seconds() < 0.3
