"""`LanguageModel`: train it, measure it, let it write. Only training needs torch."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recurra.errors import FormatError, InputError
from recurra.generate import Carried, Generation, Options, Piece, generate, stream
from recurra.runtime import Architecture, Evaluation, RuntimeLM
from recurra.tasks.base import TrainedModel
from recurra.tasks.language_model.config import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.data import evaluate
from recurra.text import Corpus, TokenFile, Tokenizer

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source
    from recurra.train import Callback, FitResult


class LanguageModel(TrainedModel):
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

    def evaluate(self, data: "Source | None" = None, *, text: str | None = None) -> Evaluation:
        """Measure how well the model predicts a text.

        Args:
            data: a file, a folder, "-" for standard input, or several of them; or
            text: the text itself.

        Returns:
            Perplexity, bits per character and nats per token. A model of lines reads each line for
            itself; any other reads the text as one, and its first token is context only.

        Raises:
            InputError: the text cannot be read, or has symbols the model does not know.
        """
        if (data is None) == (text is None):
            raise InputError("evaluate: expected either data (a file) or text")
        corpus = Corpus.of(text) if text is not None else Corpus.open(data)  # type: ignore[arg-type]
        lines = bool(self.files.config.get("lines"))
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recurra-")))
            tokens = TokenFile.write(folder / "tokens", corpus, self.tokenizer, lines=lines)
            return evaluate(self.runtime, tokens, self.tokenizer)

    def perplexity(self, data: "Source | None" = None, *, text: str | None = None) -> float:
        """exp of the mean negative log-likelihood of a token; arguments as in `evaluate`."""
        return self.evaluate(data, text=text).perplexity

    @overload
    def generate(
        self, prompt: str = "", *, state: Carried | None = None, **options: Any
    ) -> Generation: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str],
        *,
        state: Carried | Sequence[Carried] | None = None,
        **options: Any,
    ) -> list[Generation]: ...
    def generate(
        self,
        prompt: str | Sequence[str] = "",
        *,
        state: Carried | Sequence[Carried] | None = None,
        **options: Any,
    ) -> Generation | list[Generation]:
        """Continue a prompt, or each of several.

        Args:
            prompt: the beginning; it is read once.
            state: the `state` of an earlier generation, which this then continues.
            **options: fields of `recurra.generate.Options`, by name: `temperature=0.8, top_k=40,
                max_tokens=100, stop=["."]`.

        Returns:
            A `Generation`, of which `str` is the text; a list of them for several prompts.

        Raises:
            InputError: options out of range, or a prompt with symbols the model does not know.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        chosen = _generation_options(options)
        found = generate(self.runtime, self.tokenizer, prompts, chosen, state=state)
        return found[0] if isinstance(prompt, str) else found

    def stream(
        self, prompt: str = "", *, state: Carried | None = None, **options: Any
    ) -> Iterator[Piece]:
        """Continue a prompt and give the text as it is written; arguments as in `generate`."""
        chosen = _generation_options(options)
        return stream(self.runtime, self.tokenizer, prompt, chosen, state=state)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with."""
        layout = self.files.tokenizer
        if layout is None:
            raise FormatError(f"{self.files.path}: a language model without its tokenizer.json")
        return Tokenizer.from_json(layout)

    @cached_property
    def runtime(self) -> RuntimeLM:
        """The model as something that steps (see `recurra.generate.StepModel`)."""
        files = self.files
        architecture = Architecture.from_json(files.config.get("architecture"))
        return RuntimeLM(architecture, files.tensors, precision=self._precision)


def _generation_options(options: Mapping[str, Any]) -> Options:
    known = Options.__dataclass_fields__
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(
            f"generate: unknown options: {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return Options(**options)
