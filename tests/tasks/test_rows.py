"""The list of what a new task is to be added to: every table that has a row for each task."""

import ast

import pytest

import recurra
from conftest import ROOT
from recurra.tasks.catalog import ENTRIES

#: Why a table has no row of a task.
NO_ESTIMATOR = {"lm": "a text has no inputs and answers"}
NO_TABLE = {"lm": "a text is no table", "transcribe": "recordings have forms of their own"}
NO_ROWS = {"lm": "a text has no rows to leave out"}
OWN_ROUTES = {"lm": "completions and chat"}

#: File and table, what stands there for a task, and whom it lacks. A key may say more behind it, as
#: "classify numbers" does.
TABLES = {
    "src/recurra/serve/routes/tasks.py: TASKS": ("word", OWN_ROUTES),
    "tests/cli/test_left_out.py: TASKS": ("word", NO_ROWS),
    "tests/cli/test_odd_arguments.py: COMMANDS": ("train", {}),
    "tests/fuzz/directories.py: ASK": ("prefix", {}),
    "tests/golden/outputs.py: MODELS": ("prefix", {}),
    "tests/golden/make.py: RECIPES": ("prefix", {}),
    "tests/tasks/streamed.py: STREAMED": ("row", {}),
    "tests/tasks/test_copies.py: TASKS": ("name", {}),
    "tests/tasks/test_estimators.py: EXAMPLES": ("word", NO_ESTIMATOR),
    "tests/tasks/test_inputs.py: MODELS": ("word", {}),
    "tests/tasks/test_inputs.py: TASKS": ("word", NO_TABLE),
    "tests/tasks/test_learning_rate.py: DATA": ("word", {}),
    "tests/tasks/test_odd_values.py: TASKS": ("name", {}),
    "tests/tasks/test_own_cell.py: TASKS": ("task", {}),
    "tests/train/kill_tasks.py: fits": ("word", {}),
    "tests/train/test_threads.py: TASKS": ("word", {}),
}
KEYS = {
    "word": lambda entry: entry.word,
    "row": lambda entry: entry.word,
    "name": lambda entry: entry.folder.replace("_", " "),
    "task": lambda entry: entry.task,
    "train": lambda entry: f"train {entry.word}",
    "prefix": lambda entry: f"{'lm' if entry.word == 'lm' else entry.folder}-",
}


def keys_of(path, table):
    """The keys of a table, read from its source: no module is imported, and no model trained."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = any(isinstance(t, ast.Name) and t.id == table for t in targets)
        else:
            named = isinstance(node, ast.FunctionDef) and node.name == table
        if named:
            held = [one for one in ast.walk(node) if isinstance(one, ast.Dict)]
            return [k.value for one in held for k in one.keys if isinstance(k, ast.Constant)]
    raise AssertionError(f"{path} has no {table} any more: correct TABLES")


@pytest.mark.parametrize("place", TABLES)
def test_every_task_has_its_row(place):
    kind, others = TABLES[place]
    path, _, table = place.partition(": ")
    if kind == "row":
        from tasks.streamed import STREAMED

        keys = [row.word for row in STREAMED.values()]
    else:
        keys = keys_of(path, table)
    missing = []
    for entry in ENTRIES:
        key = KEYS[kind](entry)
        has = any(k == key or k.startswith(key if kind == "prefix" else f"{key} ") for k in keys)
        if not has and entry.word not in others:
            missing.append(key)
        assert not (has and entry.word in others), f"{place} has {key}: correct TABLES"
    assert missing == [], (
        f"{place}: expected a row of each task; where there can be none, the reason in TABLES here"
    )


def test_every_task_is_a_name_of_the_package():
    """Type checkers and editors read names that are written there; the class comes lazily."""
    text = (ROOT / "src" / "recurra" / "__init__.py").read_text(encoding="utf-8")
    for entry in ENTRIES:
        where = "src/recurra/__init__.py"
        assert entry.model in recurra.__all__, f"{where}: expected {entry.model} in __all__"
        line = f"from {entry.module} import {entry.model}\n"
        assert line in text, f"{where}: expected under TYPE_CHECKING: {line.strip()}"
