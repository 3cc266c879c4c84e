"""What measures are tried on: a recorded model of every task and kind of cell, with its data."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import recurra
from golden.outputs import HERE, INPUTS, REVIEWS, SENTENCES, SOURCES, TEXT
from recurra.inspect.language import NetworkLM
from recurra.inspect.network import Network
from recurra.tasks.transcriber.wav import read_wav

#: Recorded recurrent language models.
TEXTS = (
    "lm-char-lstm",  # peephole, projection, learnt start
    "lm-char-gru",
    "lm-lines-lstm",
    "lm-word-gru",
    "lm-byte-rnn",
    "lm-bpe-lstm",
    "lm-own-cell",
)
#: Models of other tasks.
OTHERS = (
    "classifier-words",
    "classifier-chars",
    "classifier-numbers",
    "classifier-committee",
    "tagger-crf",
    "tagger-features",
    "tagger-own-cell",
    "forecaster-direct",
    "forecaster-paths",
    "translator-char",
    "translator-copy",
    "transcriber-word",
    "transcriber-char",
)


def load(name: str) -> Any:
    return recurra.load(HERE / name / "model")


def data_of(name: str) -> Any:
    """What a recorded model reads."""
    if name.startswith("lm"):
        return TEXT
    if name == "classifier-numbers":
        with np.load(INPUTS / "arrays.npz") as file:
            return [file[key] for key in sorted(file.files)]
    given: dict[str, Any] = {
        "classifier": list(REVIEWS),
        "tagger": list(SENTENCES),
        "translator": list(SOURCES),
        "forecaster": Path(INPUTS / "series.csv"),
    }
    kind = name.partition("-")[0]
    return given[kind] if kind in given else [read_wav(INPUTS / f"sound{k}.wav") for k in (0, 1)]


class Ids:
    """A tokenizer of the letters a, b, c and on."""

    unk_id = eos_id = None

    def __init__(self, size: int) -> None:
        self.letters = [chr(97 + k) if k < 26 else chr(0x100 + k) for k in range(size)]

    def __len__(self) -> int:
        return len(self.letters)

    def token(self, id: int) -> str:
        return self.letters[id]

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.letters.index(letter) for letter in text], np.int64)

    def decode(self, ids: Any) -> str:
        return "".join(self.letters[int(i)] for i in ids)

    def decoder(self, *, after: Any = ()) -> Any:
        return SimpleNamespace(push=lambda i: self.letters[i], finish=lambda: "")


def text_model(network: Network, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """A model of text made of arrays."""
    steps = NetworkLM(network, weight, bias)
    return SimpleNamespace(runtime=steps, tokenizer=Ids(len(weight)))
