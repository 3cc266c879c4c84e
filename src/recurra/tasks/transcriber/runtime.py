"""A CTC network without torch: sound to log probabilities of tokens, whole or as it comes."""

from collections.abc import Mapping, Sequence

import numpy as np

from recurra import native
from recurra.errors import FormatError, InputError
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.tasks.transcriber.features import LogMel, Scale
from recurra.tasks.transcriber.resample import Resampler

_BATCH = 32  # recordings read side by side


class RuntimeTranscriber:
    """Recurrent layers over features, and an output layer over tokens and the blank.

    Args:
        architecture: the recurrent layers.
        tensors: weights, named as in `recurra.tasks.transcriber.network.RecurrentCTC`; float32.
        features: what frames are made of.
        scale: what they are divided by.
        precision: of the layers' products; `bf16` where the kernels can.

    Raises:
        InputError: the cell is not known here, or products of that precision cannot be had.
        FormatError: a weight is missing, or its shape does not fit the others.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: Mapping[str, np.ndarray],
        *,
        features: LogMel,
        scale: Scale,
        precision: str = "float32",
    ) -> None:
        weights = Weights(tensors)
        self.features, self.scale = features, scale
        self._stack = RuntimeStack(
            architecture, weights, features=features.size, precision=precision
        )
        head = weights.get("head.weight")
        if head.shape[1] != self._stack.output_size:
            raise FormatError(
                f"model.safetensors: the layers have {self._stack.output_size} outputs, the head "
                f"reads {head.shape[1]}"
            )
        self.classes = head.shape[0]
        self._head = native.Product(head, weights.get("head.bias", (self.classes,)))
        self._bidirectional = architecture.bidirectional

    def log_probabilities(self, vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Read recordings, (T, features) each: ln P (T, V + 1) of blank and tokens at each step.

        A recording's result does not depend on the others.
        """
        found: list[np.ndarray] = [np.zeros((0, self.classes), np.float32)] * len(vectors)
        order = np.argsort([-len(v) for v in vectors], kind="stable")
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            lengths = np.array([len(vectors[row]) for row in rows])
            if not lengths[0]:
                break
            x = np.zeros((lengths[0], len(rows), self.features.size), np.float32)
            for place, row in enumerate(rows):
                x[: lengths[place], place] = vectors[row]
            outputs, _ = self._stack.run(x, lengths=lengths)
            for place, row in enumerate(rows):
                found[row] = self._output(outputs[: lengths[place], place])
        return found

    def stream(self, *, rate: int | None = None) -> "SoundStream":
        """What reads one recording as it comes, at `rate` samples a second (None: the model's).

        Raises:
            InputError: the model needs the whole recording: it reads in both directions, or scales
                features by those of the recording.
        """
        if self._bidirectional:
            raise InputError(
                "streaming: this model also reads from the end to the start: train one with "
                "bidirectional=False"
            )
        if not self.scale.streams:
            raise InputError(
                "streaming: this model scales features by the mean of the whole recording: train "
                'one with normalise="corpus"'
            )
        return SoundStream(self, rate or self.features.rate)

    def _output(self, outputs: np.ndarray) -> np.ndarray:
        logits = self._head(outputs)
        logits -= logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))


class SoundStream:
    """One recording that arrives in pieces."""

    def __init__(self, model: RuntimeTranscriber, rate: int) -> None:
        self._model = model
        self._resampler = Resampler(rate, model.features.rate)
        self._features = model.features.stream(model.scale)
        self._states = model._stack.start(1)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Read samples (N,): ln P (T, V + 1) at the steps they complete."""
        return self._read(self._resampler.push(samples))

    def finish(self) -> np.ndarray:
        """Return the steps that only the end of the recording completes."""
        return self._read(self._resampler.finish())

    def _read(self, samples: np.ndarray) -> np.ndarray:
        vectors = self._features.push(samples)
        if not len(vectors):
            return np.zeros((0, self._model.classes), np.float32)
        outputs, self._states = self._model._stack.run(vectors[:, None], states=self._states)
        return self._model._output(outputs[:, 0])
