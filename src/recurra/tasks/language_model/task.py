"""`LanguageModel`: train it, measure it, let it write. Only training needs torch."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.errors import FormatError, InputError
from recurra.given import listed, shown
from recurra.runtime import Architecture
from recurra.settings import Settings, option
from recurra.tasks.copies import derived
from recurra.tasks.language_model.dynamic_settings import DynamicSettings
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.scores import LanguageModelScores
from recurra.tasks.language_model.settings import LanguageModelData, LanguageModelSettings
from recurra.tasks.language_model.text_model import TextModel
from recurra.tasks.protocol import Fitting, Task
from recurra.text import Corpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self, Unpack

    from recurra.tasks.language_model.data import Source
    from recurra.tasks.language_model.options import Chosen, Measured, Trained


@dataclass(frozen=True, kw_only=True)
class LanguageModelMeasurement(Settings):
    """Options of `recurra evaluate` for recurrent language models."""

    dynamic: Any = option(  # noqa: RUF009
        False,
        "let a copy of the model learn from the text on the way (Krause et al. 2018), each token "
        "after it was predicted; in Python also `DynamicSettings`",
        objects=True,
    )
    text: str | None = option(None, "the text itself, instead of data", text=True, python=True)
    trained_on: Any = option(  # noqa: RUF009
        None,
        "the training text, from which the rule rms takes the sizes of gradients",
        text=True,
        objects=True,
        python=True,
    )


class LanguageModel(Task, TextModel):
    """A recurrent language model of characters, bytes, words or subwords.

    The arguments are the fields of `LanguageModelSettings`, by name:
    `LanguageModel(cell="lstm", layers=2, hidden=512, tokenizer="char", dropout=0.2)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "language_model"
    title = "language model"
    fitting = Fitting(
        reads="a text",
        keeps="tokenizer",
        data=(
            'a file, a folder, "-" for standard input, or several of them; instead of it '
            "`text=`, a text or a list of texts, each a line."
        ),
        answers="None: a text is its own answer.",
        valid="the text held out; by default the last tenth of `data`.",
        example="`minutes=3`, `batch=64`, `lr=1e-3`",
    )
    Config = LanguageModelSettings
    Data = LanguageModelData
    Measurement = LanguageModelMeasurement
    figure = ("nats_per_token", -1.0)

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any = None,
            y: Any = None,
            *,
            text: Any = None,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[object]" = (),
            progress: bool | None = None,
            warm_start: "bool | str | Path | None" = None,
            **settings: Unpack[Trained],
        ) -> Self: ...

    def _data_of(self, data: Any, y: Any, settings: dict[str, Any]) -> Any:
        text = settings.pop("text", None)
        if text is None:
            return super()._data_of(data, y, settings)
        if data is not None or y is not None:
            raise InputError("fit: expected data or text=, received both: leave one out")
        if isinstance(text, str):
            return Corpus.of(text)
        texts = listed(text, "text", "a text, or a list of texts")
        for place, one in enumerate(texts):
            if not isinstance(one, str):
                raise InputError(f"text {place}: expected a text, received {shown(one)}")
            if settings.get("lines") and "\n" in one:
                raise InputError(
                    f"text {place}: expected one line, as lines=True says, received several: split "
                    "it, or leave lines out"
                )
        return Corpus.of("\n".join(texts) + "\n")

    @classmethod
    def _joined(cls, X: Any, y: Any) -> Any:
        raise InputError(f"y: a text is its own answer, received {shown(y)}: leave y out")

    def __repr__(self) -> str:
        c = self.config
        trained = "trained" if self._files else "not trained"
        return f"<LanguageModel: {c.tokenizer}, {c.cell}, {c.layers} × {c.hidden}, {trained}>"

    def evaluate(
        self, data: "Source | None" = None, **options: "Unpack[Measured]"
    ) -> LanguageModelScores:
        """Measure how well the model predicts a text.

        Args:
            data: a file, a folder, "-" for standard input, or several of them.
            **options: by name. Dynamic evaluation needs torch; the model stays as it is.

        Returns:
            Perplexity, bits per character and nats per token. A model of lines reads each line for
            itself; any other reads the text as one, and its first token is context only.

        Raises:
            InputError: the text cannot be read, or has symbols the model does not know.
        """
        wanted = self._options(LanguageModelMeasurement, options)
        text, dynamic, trained_on = wanted.text, wanted.dynamic, wanted.trained_on
        if not dynamic:
            return super().evaluate(data, text=text)
        if not isinstance(dynamic, bool | DynamicSettings):
            raise InputError(
                f"evaluate: dynamic: expected true, or a DynamicSettings, received {shown(dynamic)}"
            )
        how = dynamic.validate() if isinstance(dynamic, DynamicSettings) else DynamicSettings()
        if (how.rule == "rms") != (trained_on is not None):
            raise InputError(
                "evaluate: the rule rms of dynamic evaluation needs trained_on, the training text, "
                "and no other rule does"
            )
        with ExitStack() as stack:
            tokens = stack.enter_context(self._tokens(data, text))
            seen = stack.enter_context(self._tokens(trained_on, None)) if trained_on else None
            side: Any = self._training_side()
            found: LanguageModelScores = side.evaluate_dynamic(
                self.files, self.config, tokens, how, seen
            )
            return found

    @derived
    def runtime(self) -> RuntimeLM:
        """The model as something that steps (see `recurra.generate.StepModel`)."""
        files = self.files
        architecture = Architecture.from_json(files.config.get("architecture"))
        made = RuntimeLM(architecture, files.tensors, precision=self._precision)
        if made.vocab_size != len(self.tokenizer):
            raise FormatError(
                f"{files.path}: {len(self.tokenizer)} tokens in tokenizer.json, "
                f"{made.vocab_size} in model.safetensors: they are of different models: restore "
                "both from a copy"
            )
        return made
