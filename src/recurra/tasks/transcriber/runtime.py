"""A CTC network without torch: sound to log probabilities of tokens, whole or as it comes."""

from collections.abc import Mapping, Sequence

import numpy as np

from recurra import native
from recurra.errors import FormatError
from recurra.runtime.architecture import Architecture, Weights
from recurra.runtime.stack import RuntimeStack
from recurra.runtime.streams import Identity
from recurra.tasks.transcriber.features import LogMel, Scale
from recurra.tasks.transcriber.sound_stream import SoundReader, SoundStream

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
        self.stack = RuntimeStack(
            architecture, weights, features=features.size, precision=precision
        )
        head = weights.get("head.weight")
        if head.shape[1] != self.stack.output_size:
            raise FormatError(
                f"model.safetensors: the layers have {self.stack.output_size} outputs, the head "
                f"reads {head.shape[1]}: restore the file from a copy"
            )
        self.classes = head.shape[0]
        self._head = native.Product(head, weights.get("head.bias", (self.classes,)))
        self.bidirectional = architecture.bidirectional

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
            outputs, _ = self.stack.run(x, lengths=lengths)
            for place, row in enumerate(rows):
                found[row] = self.output(outputs[: lengths[place], place])
        return found

    def stream(self, *, rate: int | None = None) -> SoundStream:
        """What reads one recording as it comes, at `rate` samples a second (None: the model's).

        Raises:
            InputError: the model needs the whole recording: it reads in both directions, or scales
                features by those of the recording.
        """
        reader = SoundReader(self, Identity(lambda: self.stack.sha256))
        return SoundStream(reader, reader.begin(rate))

    def output(self, outputs: np.ndarray) -> np.ndarray:
        """ln P (T, V + 1) of outputs (T, R) of the layers."""
        logits = self._head(outputs)
        logits -= logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))
