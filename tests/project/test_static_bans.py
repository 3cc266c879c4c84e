"""What the source may not do: run what files hold, or open a user's file past the limits."""

import ast
import re

import pytest

from conftest import ROOT

SOURCES = sorted((ROOT / "src" / "recurra").rglob("*.py"))

#: Calls that run what a file or a text holds.
BANNED = re.compile(
    r"(pickle|cPickle|dill|cloudpickle|marshal|shelve|joblib)\..*|eval|exec|compile|execfile"
    r"|os\.system|os\.popen|yaml\.(load|unsafe_load|full_load)|torch\.load|numpy\.load|np\.load"
    r"|.*\.(extractall|extract)|torch\.hub\..*|runpy\..*"
)
MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "runpy"}

#: Calls that open a file, and where they may stand, with the reason.
OPENS = re.compile(
    r"open|io\.open|os\.open|os\.fdopen|codecs\.open|gzip\.open|bz2\.open|lzma\.open|tarfile\.open"
    r"|json\.load|.*\.(read_bytes|read_text)|np\.(fromfile|memmap|loadtxt|genfromtxt)"
    r"|[a-z_.]*path\.open|_path\.open|self\._path\.open"
)
MAY_OPEN = {
    "bounded.py": "the one place where a user's files are opened",
    "storage/disk.py": "writes files, and opens folders to make their names durable",
    "storage/lock.py": "the lock of a run, which is made by opening it",
    "train/loggers.py": "writes the log of its own run",
    "train/metrics.py": "appends to the metrics of its own run",
    "cli/__init__.py": "the system's null device",
    "cli/doctor.py": "/proc/cpuinfo",
    "native/processors.py": "files of /sys and /proc",
    "native/cache.py": "the cache of compiled cells, by descriptors of trusted folders",
    "native/trusted.py": "the folders above that cache, each checked",
    "interop/onnx/external.py": "follows no link and no second name; checks kind and size itself",
    "tasks/transcriber/archives.py": "what is inside a file that was opened there",
    "text/sources.py": "writes a copy of a stream; unpacks what was opened there",
    "page/files.py": "the files of the page, by names of the package itself",
    "text/corpus.py": "a pipe that the user names, copied to a file",
    "text/token_file.py": "maps and writes token files of its own run, after a look at their kind",
}


def name_of(node):
    return (
        ast.unparse(node)
        if isinstance(node, ast.Name | ast.Attribute)
        else "?." + (node.attr if isinstance(node, ast.Attribute) else "")
    )


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, name_of(node.func)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_nothing_is_run_that_a_file_holds(path):
    wrong = []
    for node, name in calls(path):
        shell = any(
            k.arg in ("shell", "allow_pickle") and not _false(k.value) for k in node.keywords
        )
        if (BANNED.fullmatch(name) and not name.startswith("re.")) or shell:
            wrong.append(f"line {node.lineno}: {name}")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        wrong += [f"line {node.lineno}: {n}" for n in names if n.partition(".")[0] in MODULES]
    assert wrong == []


def _false(node):
    return isinstance(node, ast.Constant) and node.value is False


def test_files_of_users_are_opened_in_one_place():
    found = {}
    for path in SOURCES:
        name = path.relative_to(ROOT / "src" / "recurra").as_posix()
        lines = [f"{n}:{node.lineno}" for node, n in calls(path) if OPENS.fullmatch(n)]
        if lines:
            found[name] = lines
    assert {n: lines for n, lines in found.items() if n not in MAY_OPEN} == {}
    assert [n for n in MAY_OPEN if n not in found] == [], "no longer needed: take it off the list"


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "eval(x)",
        "exec(x)",
        "torch.load(p)",
        "np.load(p)",
        "yaml.load(x)",
        "tar.extractall(p)",
        "subprocess.run(x, shell=True)",
        "np.lib.format.read_array(f, allow_pickle=True)",
        "import pickle",
        "from marshal import loads",
    ],
)
def test_the_check_sees(line, tmp_path):
    path = tmp_path / "a.py"
    path.write_text(line + "\n")
    with pytest.raises(AssertionError):
        test_nothing_is_run_that_a_file_holds(path)
