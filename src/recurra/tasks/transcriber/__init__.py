"""From speech to text."""

from recurra.tasks.transcriber.config import Decoding, TranscriberConfig, TranscriberData
from recurra.tasks.transcriber.model import Transcriber
from recurra.tasks.transcriber.transcript import Judgement, Transcript, TranscriptStream

__all__ = [
    "Decoding",
    "Judgement",
    "Transcriber",
    "TranscriberConfig",
    "TranscriberData",
    "Transcript",
    "TranscriptStream",
]
