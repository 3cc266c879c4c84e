"""What promises to work without torch is imported where torch cannot be had."""

import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest

from conftest import ROOT

RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = next(rule["layers"] for rule in RULES if rule["type"] == "layers")
#: Every other module and folder of the package, new ones too, promises to work without torch.
NEEDS_TORCH = {"ops", "nn", "keras", "train"}
TORCH_FREE = sorted(
    name
    for name in {*re.findall(r"\w+", " ".join(LAYERS))} - NEEDS_TORCH - {"__main__"}
    if (ROOT / "src" / "recurra" / name).is_dir()
    or (ROOT / "src" / "recurra" / f"{name}.py").is_file()
)
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
    """Patterns of the modules that may import torch when they are imported.

    A folder that is torch-free as a whole, as `cli`, may import it inside functions alone.
    """
    (rule,) = (rule for rule in RULES if rule["name"] == "torch has its few places")
    patterns = [line.split(" -> ")[0] for line in rule["ignore_imports"]]
    inside = {f"recurra.{name}{end}" for name in TORCH_FREE for end in ("", ".**")}
    return [pattern for pattern in patterns if pattern not in inside]


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
