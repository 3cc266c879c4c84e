"""From a text to token files in the run's directory, once."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.storage import read_json, write_json
from recurra.storage.disk import failure, make_directory
from recurra.tasks.language_model.scores import (
    Evaluation,
    Scorer,
    lines_nats,
    stream_log_probabilities,
    stream_nats,
)
from recurra.tasks.language_model.settings import DataConfig, LanguageModelConfig
from recurra.text import (
    Corpus,
    LineBatches,
    TokenFile,
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

#: Lines that are measured are read so many side by side, in segments of so many steps.
STREAMS, SEGMENT = 32, 256

Source = str | Path | list[str] | list[Path]


@dataclass(frozen=True)
class Prepared:
    """Training and held-out text in tokens, and what identifies them."""

    tokenizer: Tokenizer
    train: TokenFile
    valid: TokenFile

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        return {
            "train": self.train.header.corpus_sha256,
            "valid": self.valid.header.corpus_sha256,
            "tokenizer": self.tokenizer.sha256,
        }


def open_texts(
    folder: Path, source: Source, valid: Source | None, data: DataConfig, *, tokenizer: str
) -> tuple[Corpus, Corpus]:
    """The training text and the held-out one; standard input is kept in `folder`.

    Where a part of the text is held out, no line of lines is cut, and of a tokenizer of the kind
    "word" no word, half of which the vocabulary would learn.

    Raises:
        InputError: a text that is missing, empty, binary, or too short.
    """
    make_directory(folder)
    train_text = Corpus.open(source, spool=folder / "stdin.txt")
    if valid is not None:
        return train_text, Corpus.open(valid, spool=folder / "stdin.txt")
    border = "words" if tokenizer == "word" else "characters"
    return train_text.split(data.valid_share, by="lines" if data.lines else border)


def prepare(
    folder: Path,
    train_text: Corpus,
    valid_text: Corpus,
    model: LanguageModelConfig,
    data: DataConfig,
    tokenizer: Tokenizer | None,
) -> None:
    """Write tokenizer and token files into `folder`; what is there already and fits is kept.

    The tokenizer learns from the training text alone, unless one is given.

    Raises:
        InputError: a text with symbols that the tokenizer given does not know, or too short.
    """
    recipe = {
        "text": train_text.sha256,
        "kind": model.tokenizer,
        "vocab_size": model.vocab_size,
        "min_count": model.min_count,
        "eos": data.lines or model.tokenizer == "word",
        # What version 0.1.0 learnt of lines had words that reach from one line into the next.
        **({"texts": True} if data.lines and model.tokenizer in ("word", "bpe") else {}),
    }
    if tokenizer is None:
        tokenizer = _trained_before(folder, recipe) or train_tokenizer(
            model.tokenizer,
            # Line ends are no symbols where each line is a text.
            train_text.lines() if data.lines else train_text.chunks(),
            texts=data.lines,
            vocab_size=model.vocab_size,
            min_count=model.min_count,
            eos=bool(recipe["eos"]),
        )
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    write_json(folder / "recipe.json", recipe)
    TokenFile.prepare(folder / "train.tokens", train_text, tokenizer, lines=data.lines)
    held_out = TokenFile.prepare(folder / "valid.tokens", valid_text, tokenizer, lines=data.lines)
    if len(held_out) < 2:
        raise InputError(
            f"{valid_text.name}: the held-out text has {len(held_out)} token, and a prediction "
            "needs one before it: hold out more, or give more text"
        )


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Where the block fails, `folder` goes again, and what was made to hold it, if it was new.

    What the system refuses becomes an InputError.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException as error:
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # somebody else has put something there
            for path in missing[1:]:
                path.rmdir()
        if isinstance(error, OSError):
            raise failure(Path(error.filename or folder), error) from error
        raise


def open_prepared(folder: Path) -> Prepared:
    """Open what `prepare` wrote."""
    return Prepared(
        load_tokenizer(folder / "tokenizer.json"),
        TokenFile.open(folder / "train.tokens"),
        TokenFile.open(folder / "valid.tokens"),
    )


def evaluate(model: Scorer, tokens: TokenFile, tokenizer: Tokenizer) -> Evaluation:
    """What a model makes of a text; of a text in lines it reads each for itself."""
    if tokens.line_starts is not None:
        batches = LineBatches(tokens, batch=STREAMS, bptt=SEGMENT, shuffle=False)
        nats, count = lines_nats(model, batches)
        return Evaluation(nats, count, tokens.characters, tokens.words)
    nats, count = stream_nats(model, tokens.data)
    return Evaluation(nats, count, predicted_characters(tokens, tokenizer), tokens.words)


def predicted_characters(tokens: TokenFile, tokenizer: Tokenizer) -> int:
    """The characters of the tokens that are predicted: of one text, all but the first."""
    if tokens.line_starts is not None:
        return tokens.characters
    return max(tokens.characters - len(tokenizer.decode(tokens.data[:1])), 1)


def texts_of(tokens: TokenFile) -> Iterator[np.ndarray]:
    """The texts of a token file, each with the token before its first one that is predicted."""
    if tokens.line_starts is None:
        yield tokens.data
        return
    for begin, end in pairwise(tokens.line_starts.tolist()):
        yield tokens.data[begin : end + 1]


def log_probabilities(model: Scorer, tokens: TokenFile) -> np.ndarray:
    """ln P of each token of a text given those before it, in order; of one text all but the first.

    Returns:
        (N,) float64.
    """
    if tokens.line_starts is None:
        return stream_log_probabilities(model, tokens.data)
    found = []
    for ids in texts_of(tokens):
        inputs, targets = ids[None, :-1].astype(np.int64), ids[None, 1:].astype(np.int64)
        found.append(model.log_probabilities(inputs, targets, model.start(1))[0][0])
    return np.concatenate(found)


def _trained_before(folder: Path, recipe: dict[str, Any]) -> Tokenizer | None:
    """The tokenizer an earlier call made of the same text in the same way, if there is one."""
    try:
        if read_json(folder / "recipe.json") == json.loads(json.dumps(recipe)):
            return load_tokenizer(folder / "tokenizer.json")
    except (InputError, FormatError):
        pass  # none, or damaged: made anew
    return None
