"""What every model of text can do: measure a text, and write one. Needs no torch."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.generate import Carried, Generation, Piece, generate
from recurra.given import listed, shown
from recurra.runtime.stream_state import StreamState
from recurra.runtime.streams import Identity
from recurra.settings import Settings, sort
from recurra.storage import ModelFiles
from recurra.tasks.copies import derived
from recurra.tasks.language_model.data import evaluate, log_probabilities
from recurra.tasks.language_model.scores import LanguageModelScores
from recurra.tasks.language_model.stream import TextReader, TextStream, generation_options
from recurra.text import EOS, Corpus, TokenFile, Tokenizer

if TYPE_CHECKING:
    from recurra.tasks.language_model.data import Source


class TextModel:
    """Base of models of text: what follows from their files and from what runs them.

    `runtime` is a `recurra.generate.StepModel` and a `recurra.runtime.Scorer`.
    """

    @property
    def files(self) -> ModelFiles:
        """What its model directory holds."""
        raise NotImplementedError

    @derived
    def runtime(self) -> Any:
        """What runs the model."""
        raise NotImplementedError

    @derived
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with."""
        layout = self.files.tokenizer
        if layout is None:
            raise FormatError(
                f"{self.files.path}: expected a tokenizer.json, found none: copied in part? Copy "
                "all of its files: restore the file from a copy"
            )
        made = Tokenizer.from_json(layout)
        wanted = getattr(getattr(self, "config", None), "tokenizer", made.kind)
        if made.kind != wanted:
            raise FormatError(
                f"{self.files.path}: tokenizer.json: expected one of the kind {wanted}, as "
                f"config.json says, found {made.kind}: they are of different models: restore both "
                "from a copy"
            )
        if self.files.config.get("lines") and made.eos_id is None:
            raise FormatError(
                f"{self.files.path}: tokenizer.json: a model of lines needs {EOS}, which it lacks: "
                "they are of different models: restore both from a copy"
            )
        return made

    def evaluate(
        self, data: "Source | None" = None, *, text: str | None = None
    ) -> LanguageModelScores:
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
        with self._tokens(data, text) as tokens:
            return evaluate(self.runtime, tokens, self.tokenizer)

    def log_probabilities(
        self, data: "Source | None" = None, *, text: str | None = None
    ) -> np.ndarray:
        """ln P (N,) of each token of a text given those before it; arguments as in `evaluate`.

        Of a text that is not in lines, the first token is context alone and has none.
        """
        with self._tokens(data, text) as tokens:
            return log_probabilities(self.runtime, tokens)

    def perplexity(self, data: "Source | None" = None, *, text: str | None = None) -> float:
        """exp of the mean negative log-likelihood of a token; arguments as in `evaluate`."""
        return self.evaluate(data, text=text).perplexity

    def predict(self, inputs: Sequence[str], **options: Any) -> list[str]:
        """The most probable next token after each of some texts.

        Raises:
            InputError: a text with symbols the model does not know.
        """
        sort(options, Settings)
        texts = _texts(inputs, "predict")
        found = self.generate(texts, max_tokens=1, temperature=0.0, eos=False)
        return [generation.text for generation in found]

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
        prompts = _texts([prompt] if isinstance(prompt, str) else prompt, "generate")
        chosen = generation_options(options)
        found = generate(self.runtime, self.tokenizer, prompts, chosen, state=state)
        return found[0] if isinstance(prompt, str) else found

    def stream(
        self, prompt: str = "", *, state: Carried | None = None, **options: Any
    ) -> Iterator[Piece]:
        """Continue a prompt and give the text as it is written; arguments as in `generate`."""
        _texts([prompt], "stream")
        chosen = generation_options(options)
        return self.open_stream(state=state).write_with(prompt, chosen)

    def open_stream(self, *, state: StreamState | Carried | None = None) -> TextStream:
        """A text that the model reads as it comes, and writes on: see `TextStream`.

        Args:
            state: where to begin: the `state` of such a stream, or of an earlier generation.

        Raises:
            InputError: a state of another model.
            FormatError: a damaged one.
        """
        reader = self._text_reader
        if isinstance(state, Carried):
            return TextStream(reader, reader.begin(state))
        return TextStream(reader, reader.begin()).at(state)

    @cached_property
    def _text_reader(self) -> TextReader:
        identity = Identity.of(self.files, getattr(self, "_precision", "float32"))
        return TextReader(self.runtime, self.tokenizer, identity)

    @contextmanager
    def _tokens(self, data: "Source | None", text: str | None) -> "Iterator[TokenFile]":
        """A text that is to be measured, in the model's tokens."""
        if (data is None) == (text is None):
            raise InputError(
                "evaluate: expected either data (a file) or text, received "
                f"{'neither' if data is None else 'both'}"
            )
        corpus = Corpus.of(text) if text is not None else Corpus.open(data)
        lines = bool(self.files.config.get("lines"))
        with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
            yield TokenFile.write(Path(folder) / "tokens", corpus, self.tokenizer, lines=lines)


def _texts(given: Any, what: str) -> list[str]:
    """Some texts; InputError where they are none."""
    found = listed(given, what, "a text, or a list of texts")
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise InputError(f"{what}: text {number}: expected a text, received {shown(text)}")
    return found
