"""What promises to work without torch is imported where torch cannot be had."""

import importlib.util
import subprocess
import sys

import pytest

from conftest import ROOT

TORCH_FREE = [
    "cells",
    "cli",
    "export",
    "generate",
    "reference",
    "runtime",
    "settings",
    "storage",
    "tasks",
    "text",
]
EXTRAS = ["keras", "matplotlib", "onnx", "rich", "tokenizers", "torch"]

# A task's module `training` is its torch side, imported inside a function, as is `export.layers`.
# None in sys.modules makes `import name` raise ModuleNotFoundError: as good as not installed.
IMPORT_ALL = """
import importlib, pkgutil, sys
blocked, root = sys.argv[1].split(","), sys.argv[2]
sys.modules.update(dict.fromkeys(blocked))
module = importlib.import_module(root)
names = [m.name for m in pkgutil.walk_packages(getattr(module, "__path__", []), root + ".")]
names = [name for name in names if not name.endswith(".__main__")]
torch_side = [name for name in names if root == "recurra.tasks" and name.endswith(".training")]
torch_side += [name for name in names if name.startswith("recurra.export.layers")]
for name in set(names) - set(torch_side):
    importlib.import_module(name)
print(len(names) + 1, any(sys.modules.get(name) for name in blocked))
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", TORCH_FREE)
def test_every_module_imports_without_the_extras(package):
    count, leaked = run(IMPORT_ALL, ",".join(EXTRAS), f"recurra.{package}").split()
    assert int(count) >= 1
    assert leaked == "False"


def test_the_check_itself_sees_an_import_of_torch(tmp_path, monkeypatch):
    package = tmp_path / "guilty"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("import torch\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match="torch"):
        run(IMPORT_ALL, "torch", "guilty")


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
