"""`LanguageModel`: train it, measure it, let it write. Only training needs torch."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.errors import FormatError, InputError
from recurra.given import shown
from recurra.runtime import Architecture
from recurra.settings import Settings, option
from recurra.tasks.base import TrainedModel
from recurra.tasks.language_model.dynamic_settings import DynamicConfig
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.scores import Evaluation
from recurra.tasks.language_model.settings import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.text_model import TextModel

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source
    from recurra.train import Callback, FitResult


@dataclass(frozen=True, kw_only=True)
class LanguageModelMeasurement(Settings):
    """Options of `recurra evaluate` for recurrent language models."""

    dynamic: bool = option(False, "let a copy of the model learn from the text on the way")


class LanguageModel(TrainedModel, TextModel):
    """A recurrent language model of characters, bytes, words or subwords.

    The arguments are the fields of `LanguageModelConfig`, by name:
    `LanguageModel(cell="lstm", layers=2, hidden=512, tokenizer="char", dropout=0.2)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "language_model"
    title = "language model"
    Config = LanguageModelConfig
    Data = DataConfig
    Measurement = LanguageModelMeasurement

    def __repr__(self) -> str:
        c = self.config
        trained = "trained" if self._files else "not trained"
        return f"<LanguageModel: {c.tokenizer}, {c.cell}, {c.layers} × {c.hidden}, {trained}>"

    def fit(
        self,
        data: "Source",
        *,
        valid: "Source | None" = None,
        out: str | Path | None = None,
        fresh: bool = False,
        callbacks: "Sequence[Callback]" = (),
        progress: bool = True,
        **settings: Any,
    ) -> "FitResult":
        """Train on a text; afterwards this is the model with the best validation.

        A model that is trained already goes on from its weights, with its tokenizer.

        Args:
            data: a file, a folder, "-" for standard input, or several of them.
            valid: the text held out; by default the last tenth of `data`.
            out: directory of the run: checkpoints, metrics, report, best model. The same call
                again resumes it. By default a temporary one.
            fresh: start over where `out` holds a run.
            callbacks: told of every step and validation.
            progress: show a progress bar, or lines where the output is no terminal.
            **settings: fields of `DataConfig` and of `recurra.train.TrainConfig`, by name:
                `minutes=3`, `batch=64`, `lr=1e-3`.

        Raises:
            InputError: settings or texts that cannot be used; nothing was changed.
            DivergedError: training did not stay finite; `out` keeps the last good checkpoint.
            Interrupted: Ctrl-C; `out` has a checkpoint to go on from.
        """
        return self._train(
            data,
            valid=valid,
            out=out,
            fresh=fresh,
            callbacks=callbacks,
            progress=progress,
            settings=settings,
        )

    def evaluate(
        self,
        data: "Source | None" = None,
        *,
        text: str | None = None,
        dynamic: bool | DynamicConfig = False,
        trained_on: "Source | None" = None,
    ) -> Evaluation:
        """Measure how well the model predicts a text.

        Args:
            data: a file, a folder, "-" for standard input, or several of them; or
            text: the text itself.
            dynamic: let a copy of the model learn from the text on the way (Krause et al. 2018),
                each token after it was predicted; needs torch. The model itself stays as it is.
            trained_on: the training text, from which the rule `rms` takes the sizes of gradients.

        Returns:
            Perplexity, bits per character and nats per token. A model of lines reads each line for
            itself; any other reads the text as one, and its first token is context only.

        Raises:
            InputError: the text cannot be read, or has symbols the model does not know.
        """
        if not dynamic:
            return super().evaluate(data, text=text)
        if not isinstance(dynamic, bool | DynamicConfig):
            raise InputError(
                f"evaluate: dynamic: expected true, or a DynamicConfig, received {shown(dynamic)}"
            )
        how = DynamicConfig() if dynamic is True else dynamic.validate()
        if (how.rule == "rms") != (trained_on is not None):
            raise InputError(
                "evaluate: the rule rms of dynamic evaluation needs trained_on, the training text, "
                "and no other rule does"
            )
        with ExitStack() as stack:
            tokens = stack.enter_context(self._tokens(data, text))
            seen = stack.enter_context(self._tokens(trained_on, None)) if trained_on else None
            side: Any = self._training_side()
            found: Evaluation = side.evaluate_dynamic(self.files, self.config, tokens, how, seen)
            return found

    @cached_property
    def runtime(self) -> RuntimeLM:
        """The model as something that steps (see `recurra.generate.StepModel`)."""
        files = self.files
        architecture = Architecture.from_json(files.config.get("architecture"))
        made = RuntimeLM(architecture, files.tensors, precision=self._precision)
        if made.vocab_size != len(self.tokenizer):
            raise FormatError(
                f"{files.path}: {len(self.tokenizer)} tokens in tokenizer.json, "
                f"{made.vocab_size} in model.safetensors: they are of different models"
            )
        return made
