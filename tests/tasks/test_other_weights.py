"""Weights that are no numbers of float32, or of another model, are refused when a model loads."""

from dataclasses import replace

import numpy as np
import pytest

import recurra
from golden.outputs import DIRECTORIES, HERE
from recurra.errors import FormatError
from recurra.storage import read_model

#: Their tensors are counts, which are checked as such.
COUNTS = {"lm-ngram-char", "lm-ngram-word"}
WRONG = {
    "float64 beyond float32": lambda w: np.full(w.shape, 1e300),
    "negative float64": lambda w: np.full(w.shape, -1e300),
    "int64": lambda w: w.astype(np.int64),
    "uint8": lambda w: w.astype(np.uint8),
    "bool": lambda w: w > 0,
}


@pytest.mark.parametrize("name", [name for name in DIRECTORIES if name not in COUNTS])
@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_every_tensor_has_numbers_of_float32(name, make, tmp_path):
    files = read_model(HERE / name / "model")
    floating = [n for n, tensor in files.tensors.items() if tensor.dtype == np.float32]
    for tensor in (floating[0], floating[-1]):
        wrong = make(files.tensors[tensor])
        replace(files, tensors={**files.tensors, tensor: wrong}).save(tmp_path / "model")
        with pytest.raises(FormatError, match=r"model\.safetensors") as caught:
            recurra.load(tmp_path / "model")
        assert "\n" not in str(caught.value)
        assert tensor.rsplit(".", 1)[-1] in str(caught.value)


MODELS = [name for name in DIRECTORIES if name.startswith("lm-") and name != "lm-mixture"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("other", ["lm-char-lstm", "lm-word-gru", "lm-byte-rnn", "lm-bpe-lstm"])
def test_the_tokenizer_of_another_model_is_refused(name, other, tmp_path):
    files, foreign = read_model(HERE / name / "model"), read_model(HERE / other / "model")
    if files.tokenizer == foreign.tokenizer:
        pytest.skip("is the same tokenizer")
    replace(files, tokenizer=foreign.tokenizer).save(tmp_path / "model")
    with pytest.raises(FormatError, match=r"tokenizer\.json|model\.safetensors|mismatch"):
        recurra.load(tmp_path / "model")


def test_the_weights_of_another_model_are_refused(tmp_path):
    files, foreign = (read_model(HERE / f"lm-{n}" / "model") for n in ("byte-rnn", "char-lstm"))
    replace(files, tensors=foreign.tensors).save(tmp_path / "model")
    with pytest.raises(FormatError):
        recurra.load(tmp_path / "model")
