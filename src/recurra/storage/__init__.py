"""Directories, models and checkpoints on disk: whole, verified, and free of code. No torch."""

from .checkpoints import Checkpoint, Checkpoints
from .directory import atomic_directory, remove_stale
from .disk import failure, make_directory, write_file
from .jsonfile import dump_json, parse_json, read_json, write_json
from .lock import RunLock
from .manifest import (
    FileRecord,
    Manifest,
    NewerFormatError,
    read_manifest,
    verify_manifest,
    write_manifest,
)
from .model import BEST, ModelFiles, read_model, save_model
from .tensors import read_metadata, read_tensors, write_tensors

__all__ = [
    "BEST",
    "Checkpoint",
    "Checkpoints",
    "FileRecord",
    "Manifest",
    "ModelFiles",
    "NewerFormatError",
    "RunLock",
    "atomic_directory",
    "dump_json",
    "failure",
    "make_directory",
    "parse_json",
    "read_json",
    "read_manifest",
    "read_metadata",
    "read_model",
    "read_tensors",
    "remove_stale",
    "save_model",
    "verify_manifest",
    "write_file",
    "write_json",
    "write_manifest",
    "write_tensors",
]
