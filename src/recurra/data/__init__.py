"""Examples of tasks: readers of the formats people have, and batches of them. Needs no torch."""

from recurra.data.features import LogMel
from recurra.data.length_batches import LengthBatches, Rows
from recurra.data.recordings import Recording, read_recordings
from recurra.data.wav import Sound, read_wav, write_wav

__all__ = [
    "LengthBatches",
    "LogMel",
    "Recording",
    "Rows",
    "Sound",
    "read_recordings",
    "read_wav",
    "write_wav",
]
