"""From examples to what the network trains on: labels to classes, inputs to numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.labels import TEXTS, LabelKinds
from recurra.errors import FormatError, InputError
from recurra.given import NOTHING, LeftOut, brief, reason
from recurra.storage import ModelFiles
from recurra.tasks.classifier.examples import Examples, hold_out
from recurra.tasks.classifier.inputs import NumberInputs, TextInputs
from recurra.tasks.classifier.settings import ClassifierData, ClassifierSettings
from recurra.tasks.pretrained import weights_sha256
from recurra.text import Tokenizer
from recurra.text.lexicon import Lexicon
from recurra.text.tokenizer import whole_characters

Inputs = TextInputs | NumberInputs


@dataclass(frozen=True)
class Encoded:
    """Inputs as arrays: forms (T,) int64 of a lexicon, or numbers (T, F) where there is none."""

    inputs: list[np.ndarray]
    lexicon: Lexicon | None

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each, (N,)."""
        return np.array([len(one) for one in self.inputs], np.int64)


@dataclass(frozen=True)
class Prepared:
    """Training and held-out examples, and what was learnt of the former.

    labels: the distinct ones, as texts; kinds: what they stand for. classes: of the training
    examples, and of those held out, (N,) each. about: the data, for the model's card. left_out:
    rows that could not be used. weights: of the training examples in the loss, (N,) float32; None
    where all count alike.
    """

    labels: tuple[str, ...]
    reader: Inputs
    train: Encoded
    valid: Encoded
    classes: tuple[np.ndarray, np.ndarray]
    about: dict[str, Any]
    kinds: LabelKinds = TEXTS
    left_out: LeftOut = NOTHING
    weights: np.ndarray | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one it continues."""
        hashes = ("train_sha256", "valid_sha256", "pretrained_sha256")
        return {n.removesuffix("_sha256"): self.about[n] for n in hashes if n in self.about}


@dataclass(frozen=True)
class Learnt:
    """What a network is built for: labels, and how inputs are read."""

    labels: tuple[str, ...]
    reader: Inputs


def prepare(
    source: Any,
    valid: Any,
    config: ClassifierSettings,
    data: ClassifierData,
    *,
    seed: int,
    files: ModelFiles | None,
    pretrained: ModelFiles | None = None,
    weights: Any = None,
) -> Prepared:
    """Read the examples; learn labels, vocabulary and scales from those for training alone.

    weights: of the examples in the loss, (N,) for those of `source`.

    Of a model that is trained further (`files`) they stay what they are; the vocabulary of a
    language model to begin from (`pretrained`) too.

    Raises:
        InputError: examples that cannot be used.
    """
    train = data.read(source, config, labelled=True).weighted(weights)
    left_out = train.left_out
    if valid is None:
        train, held_out = hold_out(train, data.valid_share, seed=seed)
    else:
        held_out = data.read(valid, config, labelled=True)
        left_out += held_out.left_out
    for examples in (train, held_out):
        if not len(examples) or examples.labels is None:
            raise InputError(f"{examples.name}: expected labelled examples, received none")
        if config.reads_text:
            whole_characters(config.tokenizer, examples.inputs, examples.places)
    assert train.labels is not None
    reader: Inputs
    if files is not None:
        (labels, kinds), reader = labels_of(files), reader_of(files, config)
    else:
        kinds = train.kinds
        labels = sort_labels(train.labels, kinds)
        if config.reads_text:
            layout = None if pretrained is None else pretrained.tokenizer
            given = None if layout is None else Tokenizer.from_json(layout)
            reader = TextInputs.fit(config, train.inputs, tokenizer=given)
        else:
            reader = NumberInputs.fit(config, train.inputs)
    if len(labels) < 2:
        raise InputError(
            f"{train.name}: expected at least two labels, received one class only: "
            f"{brief(labels[0])}"
        )
    about = {
        "name": train.name,
        "train_examples": len(train),
        "valid_examples": len(held_out),
        "train_sha256": train.sha256,
        "valid_sha256": held_out.sha256,
        **({} if pretrained is None else {"pretrained_sha256": weights_sha256(pretrained)}),
        "skipped": len(train.skipped) + (len(held_out.skipped) if valid is not None else 0),
    }
    return Prepared(
        labels,
        reader,
        encode(train, reader),
        encode(held_out, reader),
        (classes_of(train, labels), classes_of(held_out, labels)),
        about,
        kinds,
        left_out,
        None if train.weights is None else train.weights.astype(np.float32),
    )


def encode(examples: Examples, reader: Inputs) -> Encoded:
    """The inputs of examples as the network reads them; InputError where it cannot."""
    if isinstance(reader, TextInputs):
        lexicon = reader.lexicon()
        return Encoded([lexicon.encode(text) for text in examples.inputs], lexicon)
    both = zip(examples.inputs, examples.places, strict=True)
    return Encoded([reader.encode(array, place) for array, place in both], None)


def classes_of(examples: Examples, labels: Sequence[str]) -> np.ndarray:
    """The class of each example, (N,); InputError for a label that is not among `labels`."""
    classes = {label: index for index, label in enumerate(labels)}
    assert examples.labels is not None
    for label, place in zip(examples.labels, examples.places, strict=True):
        if label not in classes:
            known = ", ".join(map(brief, labels[:5])) + (" …" if len(labels) > 5 else "")
            raise InputError(
                f"{place}: the label {brief(label)} was not in the training data, which had "
                f"{known}: take the example out, or train with it"
            )
    return np.array([classes[label] for label in examples.labels], np.int64)


def sort_labels(labels: Sequence[str], kinds: LabelKinds = TEXTS) -> tuple[str, ...]:
    """The distinct labels, numbers by value where all are, else by code points."""
    distinct = sorted(set(labels))
    if kinds.values:
        return kinds.sorted(distinct)
    if all(re.fullmatch("-?[0-9]{1,18}", label) for label in distinct):
        distinct.sort(key=lambda label: (int(label), label))
    return tuple(distinct)


def reader_of(files: ModelFiles, config: ClassifierSettings) -> Inputs:
    """How a model reads its inputs; FormatError where its files do not say."""
    state = files.config.get("inputs")
    if config.reads_text:
        return TextInputs.from_json(config, state, files.tokenizer)
    return NumberInputs.from_json(config, state)


def labels_of(files: ModelFiles) -> tuple[tuple[str, ...], LabelKinds]:
    """The labels of a model as texts, and what they stand for; FormatError where its files do not
    say."""
    labels = files.config.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise FormatError(
            f"{files.path}: config.json, labels: expected a list of texts, found {brief(labels)}: "
            "restore the file from a copy"
        )
    try:
        return tuple(labels), LabelKinds.from_json(files.config.get("label_kinds"), labels)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{files.path}: config.json, label_kinds: expected a kind of each label, which cannot "
            "be "
            f"read ({reason(error)}): restore the file from a copy"
        ) from error
