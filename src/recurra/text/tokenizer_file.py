"""Tokenizers in files of their own, `tokenizer.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from recurra.bounded import is_folder, read_whole
from recurra.checked import checked
from recurra.errors import FormatError, InputError
from recurra.given import brief
from recurra.text.layout import FILE_NAME
from recurra.text.tokenizer import Tokenizer


@checked
def save_tokenizer(tokenizer: Tokenizer, path: str | os.PathLike[str]) -> None:
    """Write `tokenizer.json` at `path` (or in it, where it is a directory), whole or not at all."""
    target = _file(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    text = json.dumps(tokenizer.to_json(), ensure_ascii=False, indent=2)
    try:
        temporary.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}: {_CHECK}") from error
    finally:
        temporary.unlink(missing_ok=True)


@checked
def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read the `tokenizer.json` at `path`, or in it.

    InputError where the file cannot be opened, FormatError where it is damaged or foreign.
    """
    target = _file(path)
    try:
        layout = json.loads(
            read_whole(target, "json"), object_pairs_hook=_unique, parse_constant=_constant
        )
    except OSError as error:
        raise InputError(f"{target}: cannot be read: {error.strerror}: {_CHECK}") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{target}: expected JSON, received what cannot be read as JSON ({error}): restore the "
            "file from a copy"
        ) from None
    if not isinstance(layout, dict):
        raise FormatError(
            f"{target}: expected a JSON object, received {brief(layout)}: restore the file from a "
            "copy"
        )
    try:
        return Tokenizer.from_json(layout)
    except FormatError as error:
        raise FormatError(str(error).replace(FILE_NAME, str(target), 1)) from None


#: What mends a refusal of the system.
_CHECK = "check the path, its permissions and the free space"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _file(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    return target / FILE_NAME if is_folder(target) else target
