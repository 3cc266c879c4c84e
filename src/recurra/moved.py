"""Names that moved: the one table by which code and pickles of before go on working.

A module that moved is imported by its old name as the module it is now; a name that left a package
is looked up where it went. Both warn, once for each place that asks, and say the new name.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Modules by their old name, without "recurra.".
MODULES = {
    "baselines.bag_of_words": "baselines.classifier.bag_of_words",
    "baselines.classifying": "baselines.classifier.rival",
    "baselines.crf_features": "baselines.tagger.crf_features",
    "baselines.crfsuite": "baselines.tagger.crfsuite",
    "baselines.forecasting": "baselines.forecaster.classical",
    "baselines.hmm": "baselines.tagger.hmm",
    "baselines.mixture": "baselines.language_model.mixture",
    "baselines.ngram": "baselines.language_model.ngram",
    "baselines.tagging": "baselines.tagger.rival",
    "baselines.text_rival": "baselines.language_model.rival",
    "baselines.transcribing": "baselines.transcriber.rival",
    "baselines.transformer_classifier": "baselines.classifier.transformer",
    "baselines.transformer_language_model": "baselines.language_model.transformer",
    "baselines.transformer_tagger": "baselines.tagger.transformer",
    "baselines.transformer_transcriber": "baselines.transcriber.transformer",
    "baselines.transformer_translator": "baselines.translator.transformer",
    "baselines.translating": "baselines.translator.rival",
    "baselines.trigram_hmm": "baselines.tagger.trigram_hmm",
    "data.archives": "tasks.transcriber.archives",
    "data.arrays": "tasks.classifier.arrays",
    "data.augment": "tasks.transcriber.augment",
    "data.beside": "tasks.tagger.beside",
    "data.comments": "tasks.tagger.comments",
    "data.conll": "tasks.tagger.conll",
    "data.examples": "tasks.classifier.examples",
    "data.features": "tasks.transcriber.features",
    "data.labelled": "tasks.classifier.labelled",
    "data.pairs": "tasks.translator.pairs",
    "data.panel": "tasks.forecaster.panel",
    "data.recordings": "tasks.transcriber.recordings",
    "data.resample": "tasks.transcriber.resample",
    "data.series": "tasks.forecaster.series",
    "data.series_cells": "tasks.forecaster.series_cells",
    "data.time_axis": "tasks.forecaster.time_axis",
    "data.wav": "tasks.transcriber.wav",
    "data.word_features": "tasks.tagger.word_features",
    "data.word_forms": "tasks.tagger.word_forms",
    "export.activations": "interop.onnx.activations",
    "export.equations": "interop.onnx.equations",
    "export.external": "interop.onnx.external",
    "export.files": "interop.onnx.files",
    "export.graph": "interop.onnx.graph",
    "export.layers": "interop.onnx",
    "export.layers.modules": "interop.modules",
    "export.layers.of_keras": "interop.keras",
    "export.layers.of_onnx": "interop.onnx.layers",
    "export.layers.of_torch": "interop.torch",
    "export.layers.write_module": "interop.onnx.write_module",
    "export.layouts": "interop.layouts",
    "export.memory": "interop.onnx.memory",
    "export.network": "interop.network",
    "export.numpy_operators": "interop.onnx.numpy_operators",
    "export.onnx_file": "interop.onnx.read",
    "export.onnx_model": "interop.onnx.run",
    "export.operators": "interop.onnx.operators",
    "export.recurrence": "interop.onnx.recurrence",
    "export.writer": "interop.onnx.write",
    "generate.ctc": "tasks.transcriber.ctc",
    "generate.search": "tasks.translator.search",
    "metrics": "tasks",
    "metrics.classification": "tasks.classifier.scores",
    "metrics.figures": "tasks.figures",
    "metrics.forecasting": "tasks.forecaster.figures",
    "metrics.tagging": "tasks.tagger.scores",
    "metrics.transcription": "tasks.transcriber.scores",
    "metrics.translation": "tasks.translator.scores",
    "nn.classifier": "tasks.classifier.network",
    "nn.crf": "tasks.tagger.crf",
    "nn.ctc": "tasks.transcriber.network",
    "nn.distributions": "tasks.forecaster.distributions",
    "nn.encoder_decoder": "tasks.translator.network",
    "nn.forecaster": "tasks.forecaster.network",
    "nn.language_model": "tasks.language_model.network",
    "nn.observed": "nn.recording",
    "nn.tagger": "tasks.tagger.network",
    "nn.transformer": "baselines.transformer_network",
    "nn.transformer_encoder_decoder": "baselines.translator.transformer_network",
    "nn.transformer_lm": "baselines.language_model.transformer_network",
    "ops.observed": "ops.recording",
    "runtime.classifier": "tasks.classifier.runtime",
    "runtime.described": "tasks.forecaster.described",
    "runtime.draws": "tasks.forecaster.draws",
    "runtime.forecast_paths": "tasks.forecaster.paths",
    "runtime.forecaster": "tasks.forecaster.runtime",
    "runtime.language_model": "tasks.language_model.runtime",
    "runtime.scoring": "tasks.language_model.scores",
    "runtime.student_t": "tasks.forecaster.student_t",
    "runtime.tagger": "tasks.tagger.runtime",
    "runtime.transcriber": "tasks.transcriber.runtime",
    "runtime.translator": "tasks.translator.runtime",
    "runtime.viterbi": "tasks.tagger.viterbi",
    "tasks.forecaster.config": "tasks.forecaster.settings",
    "tasks.forecaster.model": "tasks.forecaster.task",
    "tasks.forecaster.scoring": "tasks.forecaster.scores",
    "tasks.language_model.config": "tasks.language_model.settings",
    "tasks.language_model.model": "tasks.language_model.task",
    "tasks.sequence_classifier": "tasks.classifier",
    "tasks.sequence_classifier.config": "tasks.classifier.settings",
    "tasks.sequence_classifier.data": "tasks.classifier.data",
    "tasks.sequence_classifier.inputs": "tasks.classifier.inputs",
    "tasks.sequence_classifier.model": "tasks.classifier.task",
    "tasks.sequence_classifier.training": "tasks.classifier.training",
    "tasks.sequence_tagger": "tasks.tagger",
    "tasks.sequence_tagger.config": "tasks.tagger.settings",
    "tasks.sequence_tagger.data": "tasks.tagger.data",
    "tasks.sequence_tagger.model": "tasks.tagger.task",
    "tasks.sequence_tagger.scheme": "tasks.tagger.scheme",
    "tasks.sequence_tagger.training": "tasks.tagger.training",
    "tasks.transcriber.config": "tasks.transcriber.settings",
    "tasks.transcriber.model": "tasks.transcriber.task",
    "tasks.translator.config": "tasks.translator.settings",
    "tasks.translator.model": "tasks.translator.task",
    "train.dynamic": "tasks.language_model.dynamic",
    "train.dynamic_config": "tasks.language_model.dynamic_settings",
    "train.running": "train.run",
}

#: By package, names that left it, and the module that has them; "module:name" where they changed.
NAMES = {
    "data": {
        "LogMel": "tasks.transcriber",
        "Recording": "tasks.transcriber",
        "Sound": "tasks.transcriber",
        "read_recordings": "tasks.transcriber",
        "read_wav": "tasks.transcriber",
        "write_wav": "tasks.transcriber",
    },
    "runtime": {
        "Evaluation": "tasks.language_model.scores:LanguageModelScores",
        "RuntimeLM": "tasks.language_model.runtime",
        "Scorer": "tasks.language_model.scores",
        "lines_nats": "tasks.language_model.scores",
        "stream_log_probabilities": "tasks.language_model.scores",
        "stream_nats": "tasks.language_model.scores",
    },
    "tasks.classifier": {
        "DataConfig": "tasks.classifier:ClassifierData",
        "PredictionConfig": "tasks.classifier:ClassifierOptions",
        "SequenceClassifierConfig": "tasks.classifier:ClassifierSettings",
    },
    "tasks.forecaster": {
        "ForecastDataConfig": "tasks.forecaster:ForecasterData",
        "ForecastScores": "tasks.forecaster:ForecasterScores",
        "ForecasterConfig": "tasks.forecaster:ForecasterSettings",
    },
    "tasks.language_model": {
        "DataConfig": "tasks.language_model:LanguageModelData",
        "DynamicConfig": "tasks.language_model:DynamicSettings",
        "LanguageModelConfig": "tasks.language_model:LanguageModelSettings",
    },
    "tasks.tagger": {
        "DataConfig": "tasks.tagger:TaggerData",
        "SequenceTaggerConfig": "tasks.tagger:TaggerSettings",
    },
    "tasks.transcriber": {
        "Judgement": "tasks.transcriber:TranscriberScores",
        "TranscriberConfig": "tasks.transcriber:TranscriberSettings",
    },
    "tasks.translator": {
        "DataConfig": "tasks.translator:TranslatorData",
        "TranslationScores": "tasks.translator:TranslatorScores",
        "TranslatorConfig": "tasks.translator:TranslatorSettings",
    },
}


def lookup(package: str, name: str) -> Any:
    """A name that left `package`, whose `__getattr__` ends here.

    Raises:
        AttributeError: the package never had it.
    """
    key = package.removeprefix("recurra.")
    home = NAMES.get(key, {}).get(name)
    if home is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module, _, new = home.partition(":")
    _warn(f"{key}.{name}", f"{module}.{new or name}", 3)
    return getattr(import_module(f"recurra.{module}"), new or name)


def install() -> None:
    """Make the old names importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds modules by their old names.

    It comes first: the folder of a package that moved would be searched under the old name as
    well, and its modules would be loaded twice.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if not fullname.startswith("recurra."):
            return None
        old = moved = fullname.removeprefix("recurra.")
        while moved and moved not in MODULES:
            moved = moved.rpartition(".")[0]
        if not moved:
            return None
        new = MODULES[moved] + old[len(moved) :]
        _warn(old, new, 3)
        return ModuleSpec(fullname, _Alias(f"recurra.{new}"))  # type: ignore[arg-type]


class _Alias:
    """Loads a module under an old name: it is the module of the new name."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See `importlib.abc.Loader`."""
        module = import_module(self._target)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`: the module has run, and keeps its own specification."""
        module.__spec__ = self._spec


def _warn(old: str, new: str, level: int) -> None:
    message = f"recurra.{old} is now recurra.{new}: use the new name"
    warnings.warn(message, DeprecationWarning, stacklevel=level)
