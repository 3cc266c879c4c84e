"""Writes the options of each task as types, for type checkers: `python tools/make_options.py`.

A checker cannot read tables of settings, so that it would take any name. `--check` says whether the
files are what the tables say.
"""

import inspect
import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from recurra.settings import Settings
from recurra.tasks.catalog import ENTRIES, Entry
from recurra.tasks.estimator import Manner
from recurra.tasks.network import NetworkConfig
from recurra.train import TrainConfig

TASKS = Path(__file__).resolve().parents[1] / "src" / "recurra" / "tasks"
HEAD = '''"""Options of {title} as types: written by tools/make_options.py."""

from typing import {names}
{base}
'''
BASE = "\nfrom recurra.tasks.options import Manner, Network, Train\n"


def written(entry: Entry) -> str:
    """The module of a task."""
    cls = entry.load()
    body = [
        _typed("Trained", "Train", f"Settings of `{cls.__name__}.fit`.", cls.Data),
        _typed(
            "Chosen",
            "Manner, Network, Trained",
            f"Arguments of `{cls.__name__}`.",
            cls.Config,
            NetworkConfig,
        ),
        _typed("Measured", "TypedDict", f"Options of `{cls.__name__}.evaluate`.", cls.Measurement),
    ]
    return _module(f"{cls.title}s", body, BASE)


def shared() -> str:
    """The module of what all tasks share."""
    network = _typed("Network", "TypedDict", "Settings of recurrent layers.", NetworkConfig)
    train = _typed("Train", "TypedDict", "Settings of training.", TrainConfig)
    manner = _typed("Manner", "TypedDict", "How `fit` behaves.", Manner)
    return _module("all tasks", [network, train, manner])


def _module(title: str, parts: list[str], base: str = "") -> str:
    body = "\n".join(parts)
    names = [name for name in ("Any", "Literal") if f" {name}" in body]
    return HEAD.format(title=title, names=", ".join([*names, "TypedDict"]), base=base) + body


def _typed(
    name: str, base: str, about: str, table: type[Settings], below: type[Settings] = Settings
) -> str:
    lines = [f"\nclass {name}({base}, total=False):", f'    """{about}"""']
    own = [field for field in fields(table) if field.name not in below.names()]
    body = [line for field in own for line in _lines(field)]
    return "\n".join([*lines, *([""] if body else []), *body]) + "\n"


def _lines(field: "Field[Any]") -> list[str]:
    """The lines of a field, as the formatter wants them."""
    rule = field.metadata
    if field.name == "cell":  # a name, or a definition
        return ["    cell: Any"]
    if not rule["choices"]:
        kind: Any = field.type
        text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
        return [f"    {field.name}: {text.replace('typing.', '')}"]
    words = ", ".join(f'"{word}"' for word in rule["choices"])
    end = "] | None" if rule["nullable"] else "]"
    line = f"    {field.name}: Literal[{words}{end}"
    if len(line) <= 100:
        return [line]
    inner = f"        {words}"
    rows = [inner] if len(inner) <= 100 else [f'        "{word}",' for word in rule["choices"]]
    return [f"    {field.name}: Literal[", *rows, f"    {end}"]


def main() -> int:
    """Write the files, or compare them."""
    stale = []
    files = {TASKS / entry.folder / "options.py": written(entry) for entry in ENTRIES}
    for path, text in {TASKS / "options.py": shared(), **files}.items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        print(f"{', '.join(stale)}: not what the tables say: run python tools/make_options.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
