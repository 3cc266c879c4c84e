"""The layout of Hugging Face's `tokenizer.json`: the part of it that our tokenizers are written in.

A file is read strictly: the tokenizer is rebuilt from its vocabulary, and whatever in the file is
not what that tokenizer would write (another normalizer, another pattern) is refused by name, since
passing over it would encode otherwise than in the model's training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from recurra.errors import FormatError
from recurra.given import brief
from recurra.text.kinds import EOS

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
    if eos_id is None:
        return []
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [{"id": eos_id, "content": EOS, **flags, "special": True}]


class Layout:
    """A layout that is read: FormatError for what is not as it should be.

    type: of its model. tokens: the vocabulary in the order of its numbers. splitter: its
    pre-tokenizer.
    """

    def __init__(self, layout: Mapping[str, Any]) -> None:
        self._layout, self._model = layout, _entry(layout, "model", dict)
        self.type, self.tokens = self._model.get("type"), _tokens(self._model)
        splitter = layout.get("pre_tokenizer")
        self.splitter = splitter if isinstance(splitter, dict) else {}

    @property
    def normalized(self) -> bool:
        """Whether something is done to a text before it is cut."""
        return self._layout.get("normalizer") is not None

    @cached_property
    def merges(self) -> list[tuple[str, str]]:
        """The pairs that are merged."""
        return _merges(self._model)

    def difference(self, expected: Mapping[str, Any]) -> str:
        """The first place that is not as a tokenizer would write it; "" where there is none."""
        layout = self._layout
        if "merges" in self._model and self.type == "BPE":
            merges = [list(pair) for pair in self.merges]
            layout = {**layout, "model": {**self._model, "merges": merges}}
        return _difference(expected, layout, "")


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
