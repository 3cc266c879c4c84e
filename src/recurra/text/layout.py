"""The layout of Hugging Face's `tokenizer.json`: the part of it that our tokenizers are written in.

A file is read strictly: the tokenizer is rebuilt from its vocabulary, and whatever in the file is
not what that tokenizer would write (another normalizer, another pattern) is refused by name, since
passing over it would encode otherwise than in the model's training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from recurra.bounded import is_folder, read_whole
from recurra.checked import checked
from recurra.errors import FormatError, InputError
from recurra.given import brief

if TYPE_CHECKING:
    from recurra.text.tokenizer import Tokenizer

FILE_NAME = "tokenizer.json"


def tokenizer_layout(
    *,
    model: dict[str, Any],
    pre_tokenizer: dict[str, Any],
    decoder: dict[str, Any],
    normalizer: dict[str, Any] | None = None,
    added_tokens: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A whole `tokenizer.json` around these parts."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens or [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def special_tokens(eos_id: int | None) -> list[dict[str, Any]]:
    """The `added_tokens` of a vocabulary: Hugging Face decodes them to nothing, as we do."""
    from recurra.text.tokenizer import EOS

    if eos_id is None:
        return []
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [{"id": eos_id, "content": EOS, **flags, "special": True}]


def read_layout(layout: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer a layout describes. FormatError where it is not one that we write."""
    from recurra.text.byte_level import BPETokenizer, ByteTokenizer
    from recurra.text.char import CharTokenizer
    from recurra.text.word import WordTokenizer

    model = _entry(layout, "model", dict)
    kind, tokens = model.get("type"), _tokens(model)
    splitter = layout.get("pre_tokenizer")
    splitter = splitter if isinstance(splitter, dict) else {}
    tokenizer: Tokenizer
    try:
        if kind == "WordLevel" and splitter.get("behavior") == "Isolated":
            tokenizer = CharTokenizer(tokens)
        elif kind == "WordLevel":
            tokenizer = WordTokenizer(tokens, line_ends=layout.get("normalizer") is not None)
        elif kind == "BPE" and splitter.get("use_regex") is False:
            tokenizer = ByteTokenizer(eos=len(tokens) > 256)
        elif kind == "BPE":
            merges = _merges(model)
            layout = {**layout, "model": {**model, "merges": [list(pair) for pair in merges]}}
            tokenizer = BPETokenizer(tokens, merges)
        else:
            raise FormatError(
                f"{FILE_NAME}: expected a model of type BPE or WordLevel, received {kind!r}: "
                "train a "
                "tokenizer of ours (train_tokenizer)"
            )
    except InputError as error:
        raise FormatError(f"{FILE_NAME}: {error}: restore the file from a copy") from None
    difference = _difference(tokenizer.to_json(), layout, "")
    if difference:
        raise FormatError(
            f"{FILE_NAME}: cannot be read as a {tokenizer.kind} tokenizer: {difference}: train "
            "a tokenizer of ours (train_tokenizer)"
        )
    return tokenizer


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
        return read_layout(layout)
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


def _entry(parent: Mapping[str, Any], key: str, kind: type) -> Any:
    if not isinstance(parent, dict):
        raise FormatError(
            f"{FILE_NAME}: expected a JSON object around {key!r}, received {brief(parent)}: "
            "restore "
            "the file from a copy"
        )
    value = parent.get(key)
    if not isinstance(value, kind):
        raise FormatError(
            f"{FILE_NAME}: expected {key!r} to be a {kind.__name__}, "
            f"received {type(value).__name__}: restore the file from a copy"
        )
    return value


def _tokens(model: Mapping[str, Any]) -> list[str]:
    """The vocabulary in the order of its numbers, which must be 0 … V-1."""
    vocab = _entry(model, "vocab", dict)
    numbers = list(vocab.values())
    if not vocab or any(type(n) is not int for n in numbers):
        wrong = next((f"{t!r}: {brief(n)}" for t, n in vocab.items() if type(n) is not int), "none")
        raise FormatError(
            f"{FILE_NAME}: expected a vocabulary of tokens and whole numbers, received "
            f"{wrong:.80}: "
            "restore the file from a copy"
        )
    if sorted(numbers) != list(range(len(numbers))):
        raise FormatError(
            f"{FILE_NAME}: expected the {len(numbers)} tokens to be numbered "
            f"0 to {len(numbers) - 1}, each number once, received {min(numbers)} to "
            f"{max(numbers)}: "
            "restore the file from a copy"
        )
    return sorted(vocab, key=vocab.__getitem__)


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The merges as pairs; older files write each as one string with a space."""
    pairs = []
    for merge in _entry(model, "merges", list):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or [type(part) for part in pair] != [str, str]:
            raise FormatError(
                f"{FILE_NAME}: expected a merge of two tokens, received {merge!r:.60}: restore "
                "the file from a copy"
            )
        pairs.append((pair[0], pair[1]))
    return pairs


def _difference(expected: Any, received: Any, where: str) -> str:
    """The first place where a layout is not as we would write it; "" where there is none.

    An entry that is absent, null or false on one side says nothing new on the other.
    """
    if expected == received or not (expected or received):
        return ""
    if isinstance(expected, dict) and isinstance(received, dict):
        for key in (*expected, *(key for key in received if key not in expected)):
            place = f"{where}.{key}" if where else str(key)
            difference = _difference(expected.get(key), received.get(key), place)
            if difference:
                return difference
        return ""
    shown = json.dumps(received, ensure_ascii=False)
    return f"{where} is {shown:.80}, expected {json.dumps(expected, ensure_ascii=False):.80}"
