"""From speech to text."""

from functools import partial

from recurra import moved
from recurra.tasks.transcriber.features import LogMel
from recurra.tasks.transcriber.recordings import Recording, read_recordings
from recurra.tasks.transcriber.scores import TranscriberScores
from recurra.tasks.transcriber.settings import Decoding, TranscriberData, TranscriberSettings
from recurra.tasks.transcriber.stream import TranscriptStream
from recurra.tasks.transcriber.task import Transcriber
from recurra.tasks.transcriber.transcript import Transcript
from recurra.tasks.transcriber.wav import Sound, read_wav, write_wav

__all__ = [
    "Decoding",
    "LogMel",
    "Recording",
    "Sound",
    "Transcriber",
    "TranscriberData",
    "TranscriberScores",
    "TranscriberSettings",
    "Transcript",
    "TranscriptStream",
    "read_recordings",
    "read_wav",
    "write_wav",
]

__getattr__ = partial(moved.lookup, __name__)
