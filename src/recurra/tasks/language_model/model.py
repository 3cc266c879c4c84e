"""`LanguageModel`: train it, measure it, let it write. Only training needs torch."""

import difflib
import inspect
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recurra.errors import FormatError, InputError
from recurra.generate import Carried, Generation, Options, Piece, generate, stream
from recurra.runtime import Architecture, Evaluation, RuntimeLM
from recurra.settings import check
from recurra.storage import ModelFiles, read_model, save_model
from recurra.tasks.language_model.config import DataConfig, LanguageModelConfig
from recurra.tasks.language_model.data import evaluate
from recurra.text import Corpus, TokenFile, Tokenizer

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source
    from recurra.train import Callback, FitResult


class LanguageModel:
    """A recurrent language model of characters, bytes, words or subwords.

    The arguments are the fields of `LanguageModelConfig`, by name:
    `LanguageModel(cell="lstm", layers=2, hidden=512, tokenizer="char", dropout=0.2)`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    def __init__(self, **settings: Any) -> None:
        (chosen,) = _sort(settings, LanguageModelConfig)
        self.config = LanguageModelConfig(**chosen).validate()
        self._files: ModelFiles | None = None
        self._precision = "float32"

    def __repr__(self) -> str:
        c = self.config
        trained = "trained" if self._files else "not trained"
        return f"<LanguageModel: {c.tokenizer}, {c.cell}, {c.layers} × {c.hidden}, {trained}>"

    @classmethod
    def load(cls, directory: str | Path, *, precision: str = "float32") -> "LanguageModel":
        """Read a model directory, or the best model of a run.

        Args:
            directory: its path.
            precision: of the layers' products when it measures and writes, whatever it was trained
                in: `bf16` on CPUs that have such products.

        Raises:
            InputError: there is no model at that path, or the precision cannot be had.
            FormatError: it is damaged, foreign, from a newer version, or of another task.
        """
        return cls.from_files(read_model(directory), precision=precision)

    @classmethod
    def from_files(cls, files: ModelFiles, *, precision: str = "float32") -> "LanguageModel":
        """The model that `read_model` read; `precision` as in `load`."""
        if files.config["task"] != "language_model" or files.tokenizer is None:
            raise FormatError(
                f"{files.path}: expected a language model with its tokenizer, found a model of "
                f"the task {files.config['task']!r}"
            )
        try:
            config = LanguageModelConfig.from_json(files.config["model"])
        except (KeyError, InputError) as error:
            raise FormatError(f'{files.path}: config.json, "model": {error}') from error
        model = cls.__new__(cls)
        model.config, model._files, model._precision = config, files, precision
        if precision != "float32":
            _ = model.runtime  # where it cannot be had, it is told now
        return model

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, replacing an older one in one step; returns its path."""
        files = self._trained()
        return save_model(
            directory,
            config=files.config,
            tensors=files.tensors,
            tokenizer=files.tokenizer,
            card=files.card,
        )

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
        from recurra.train import Progress, TrainConfig

        started = time.monotonic()
        chosen, how = _sort(settings, DataConfig, TrainConfig)
        data_settings, train_settings = DataConfig(**chosen), TrainConfig(**how)
        check(self.config, data_settings, train_settings)
        torch_side = _import_training()
        shown = (Progress(),) if progress else ()
        job = torch_side.Job(
            source=data,
            valid=valid,
            out=None if out is None else Path(out),
            fresh=fresh,
            model=self.config,
            data=data_settings,
            train=train_settings,
            tokenizer=self.tokenizer if self._files else None,
            tensors=self._files.tensors if self._files else None,
            callbacks=(*shown, *callbacks),
            started=started,
        )
        result, best, cleanup = torch_side.train(job)
        with cleanup:
            self._files = read_model(best)
        for name in ("tokenizer", "runtime"):
            self.__dict__.pop(name, None)
        return result

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
        lines = bool(self._trained().config.get("lines"))
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

    @property
    def files(self) -> ModelFiles:
        """What its model directory holds: configuration, weights, tokenizer."""
        return self._trained()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with."""
        layout = self._trained().tokenizer
        assert layout is not None
        return Tokenizer.from_json(layout)

    @cached_property
    def runtime(self) -> RuntimeLM:
        """The model as something that steps (see `recurra.generate.StepModel`)."""
        files = self._trained()
        architecture = Architecture.from_json(files.config.get("architecture"))
        return RuntimeLM(architecture, files.tensors, precision=self._precision)

    def _trained(self) -> ModelFiles:
        if self._files is None:
            raise InputError("this language model is not trained yet: call fit, or recurra.load")
        return self._files


# What help() shows: the settings by name.
LanguageModel.__signature__ = inspect.signature(LanguageModelConfig)  # type: ignore[attr-defined]


def _import_training() -> Any:
    """The torch side, or an error that says how to get torch."""
    try:
        from recurra.tasks.language_model import training
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("training needs torch: pip install recurra[train]") from error
    return training


def _sort(settings: Mapping[str, Any], *tables: Any) -> list[dict[str, Any]]:
    """Settings by the table that has them; InputError for names that none has."""
    known = [name for table in tables for name in table.names()]
    unknown = [name for name in settings if name not in known]
    if unknown:
        close = {n: difflib.get_close_matches(n, known, 1) for n in unknown}
        texts = [f"{n} (did you mean {c[0]}?)" if c else n for n, c in close.items()]
        raise InputError(f"unknown settings: {', '.join(texts)}; known: {', '.join(known)}")
    return [{k: v for k, v in settings.items() if k in table.names()} for table in tables]


def _generation_options(options: Mapping[str, Any]) -> Options:
    known = Options.__dataclass_fields__
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(
            f"generate: unknown options: {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return Options(**options)
