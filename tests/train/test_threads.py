"""The bytes of a trained model do not depend on the number of threads, whatever the task."""

import dataclasses
import hashlib

import pytest
import torch

import recurra
from recurra import ops
from recurra.baselines.classifier.transformer import TransformerClassifier
from recurra.baselines.language_model.transformer import TransformerLanguageModel
from recurra.baselines.protocol import Budget
from recurra.baselines.tagger.transformer import TransformerTagger
from recurra.baselines.transcriber.transformer import TransformerTranscriber
from recurra.baselines.translator.transformer import TransformerTranslator
from recurra.train import TrainConfig, fit
from tasks.classified import ordered
from tasks.forecaster.test_task import seasonal
from tasks.tagged import grammar
from tasks.texts import prose
from tasks.tones import recordings
from tasks.translator.test_task import LETTERS, reversals
from train.small import SmallTask

THREADS = (1, 2, 3, 8)
STEPS = 2


def own(kind, data, valid, model, **settings):
    """Trains the class of a task."""

    def train(threads, directory):
        made = kind(**model)
        made.fit(
            data(directory) if callable(data) else data,
            valid=valid,
            progress=False,
            threads=threads,
            steps=STEPS,
            lr=0.003,
            **settings,
        )
        return made.save(directory)

    return train


def rival(kind, data, valid, parameters, **settings):
    """Trains a Transformer."""

    def train(threads, directory):
        made = kind(**settings)
        made._how = dataclasses.replace(made._how, epochs=None, steps=STEPS)
        made.fit(
            data(directory) if callable(data) else data,
            valid=valid,
            budget=Budget(parameters=parameters, threads=threads),
        )
        return made.save(directory)

    return train


def text(directory):
    """A file of sentences."""
    path = directory.with_name("prose.txt")
    path.write_text(prose(9000))
    return path


def sentences():
    """Pairs of three words each."""
    thirds = [reversals(260, seed) for seed in range(3)]
    return [tuple(map(" ".join, zip(*pairs, strict=True))) for pairs in zip(*thirds, strict=False)]


TEXTS, LABELS = ordered(120)
TAGGED, PAIRS, TONES = grammar(160, seed=0), sentences(), recordings(48, most=24)
#: The sizes are those at which torch divides its work: each row failed where torch's own
#: operations ran on `threads` threads, but for those whose operations all divide by rows.
TASKS = {
    "lm": own(recurra.LanguageModel, text, None, {"hidden": 96}, batch=16, bptt=64),
    "classify": own(
        recurra.SequenceClassifier, (TEXTS, LABELS), (TEXTS[:20], LABELS[:20]), {"hidden": 96}
    ),
    "tag": own(recurra.SequenceTagger, TAGGED, TAGGED[:20], {"hidden": 96}, batch=32),
    "forecast": own(
        recurra.Forecaster,
        seasonal(4, 500),
        None,
        {"horizon": 24, "lookback": 96, "hidden": 96, "output": "student_t"},
    ),
    "translate": own(recurra.Translator, PAIRS, PAIRS[:20], {**LETTERS, "hidden": 96}, batch=32),
    "transcribe": own(recurra.Transcriber, TONES, TONES[:8], {"hidden": 96, "layers": 1}, batch=24),
    "lm transformer": rival(TransformerLanguageModel, text, None, 300_000, batch=16, bptt=64),
    "classify transformer": rival(
        TransformerClassifier, (TEXTS, LABELS), (TEXTS[:20], LABELS[:20]), 200_000
    ),
    "tag transformer": rival(TransformerTagger, TAGGED, TAGGED[:20], 300_000, batch=32),
    "translate transformer": rival(
        TransformerTranslator, PAIRS, PAIRS[:20], 300_000, batch=32, **LETTERS
    ),
    "transcribe transformer": rival(TransformerTranscriber, TONES, TONES[:8], 300_000, batch=16),
}


def digests(directory):
    """The hash of every file of a model directory."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in directory.iterdir()}


@pytest.mark.parametrize("name", TASKS)
def test_every_number_of_threads_gives_the_same_bytes(name, tmp_path):
    before = torch.get_num_threads()
    found = [digests(TASKS[name](threads, tmp_path / f"{threads}")) for threads in THREADS]
    assert torch.get_num_threads() == before
    different = [n for f in found[1:] for n in f if f[n] != found[0][n]]
    assert different == []


def test_kernels_take_the_threads_and_torch_takes_one():
    before = torch.get_num_threads()
    with ops.fixed_order(5):
        assert (ops.threads(), torch.get_num_threads()) == (5, 1)
        with ops.fixed_order():
            assert ops.threads() == 5
        with ops.fixed_order(2):
            assert ops.threads() == 2
        assert (ops.threads(), torch.get_num_threads()) == (5, 1)
    assert (ops.threads(), torch.get_num_threads()) == (before, before)


class Failing(SmallTask):
    def validate(self):
        raise KeyError("no figures")


def test_the_number_of_threads_is_restored_whatever_happens(tmp_path):
    before = torch.get_num_threads()
    with pytest.raises(KeyError):
        fit(Failing(), tmp_path, TrainConfig(steps=3, threads=7), report=False)
    assert (ops.threads(), torch.get_num_threads()) == (before, before)
