"""From speech to text."""

from recurra.tasks.transcriber.features import LogMel
from recurra.tasks.transcriber.recordings import Recording, read_recordings
from recurra.tasks.transcriber.settings import Decoding, TranscriberConfig, TranscriberData
from recurra.tasks.transcriber.task import Transcriber
from recurra.tasks.transcriber.transcript import Judgement, Transcript, TranscriptStream
from recurra.tasks.transcriber.wav import Sound, read_wav, write_wav

__all__ = [
    "Decoding",
    "Judgement",
    "LogMel",
    "Recording",
    "Sound",
    "Transcriber",
    "TranscriberConfig",
    "TranscriberData",
    "Transcript",
    "TranscriptStream",
    "read_recordings",
    "read_wav",
    "write_wav",
]
