"""The manifest: name, size and SHA-256 of every file of a directory, sealed by its own hash."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..bounded import limit
from ..errors import FormatError, InputError
from ..given import brief
from .disk import failure, open_file, read_file, sync, write_file
from .jsonfile import dump_json, parse_json

NAME = "manifest.json"
FORMAT = "recurra-manifest"
VERSION = 1

_LONGEST = 4096  # bytes of a path, as Linux takes it
_DIGEST = re.compile("[0-9a-f]{64}")


class NewerFormatError(FormatError):
    """Whole, but written by a version of this package that knows more than this one."""


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 in hexadecimal of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a directory is (`kind`), what its writer noted (`extra`), and its files by name."""

    kind: str
    files: dict[str, FileRecord]
    extra: dict[str, Any] = field(default_factory=dict)


def write_manifest(
    directory: Path, *, kind: str = "directory", extra: Mapping[str, Any] | None = None
) -> Manifest:
    """Bring every file below `directory` to the disk, hash it, and write `manifest.json` last.

    Raises InputError for a link or device among them, and for what the system refuses.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(
                f"{path}: expected regular files and folders alone, received a link, pipe or "
                "device: "
                "remove it"
            )
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name != NAME:
            files[name] = _record(path, durable=True)
    manifest = Manifest(kind, files, dict(extra or {}))
    write_file(directory / NAME, [_encode(_fields(manifest))])
    return manifest


def read_manifest(directory: Path, *, kind: str | None = None) -> Manifest:
    """The manifest of a directory, itself checked; the files it names are not looked at.

    `kind`: what the directory has to be.
    Raises FormatError (NewerFormatError where a newer version wrote it).
    """
    path = directory / NAME
    data = read_file(path, limit=limit("manifest"))
    fields = parse_json(data, str(path))
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise FormatError(
            f'{path}: expected "format": "{FORMAT}", received another file: give the directory '
            "that "
            "`save` or `train` made"
        )
    check_version(fields.get("version"), VERSION, str(path))
    fields.pop("sha256", None)
    # The seal covers every byte, spaces too: what is not exactly as written is damaged.
    if _encode(fields) != data:
        raise FormatError(f"{path}: differs from its own SHA-256: damaged, restore it from a copy")
    if fields.keys() != {"format", "version", "kind", "extra", "files"}:
        raise FormatError(
            f"{path}: not laid out as a manifest: expected format, version, kind, extra and files, "
            f"found {brief(sorted(fields))}: restore it from a copy"
        )
    for name, expected in (("kind", str), ("extra", dict), ("files", dict)):
        if not isinstance(fields[name], expected):
            raise FormatError(
                f"{path}: {name}: expected {'a text' if expected is str else 'an object'}, found "
                f"{brief(fields[name])}: restore it from a copy"
            )
    files = {name: _listed(name, record, path) for name, record in fields["files"].items()}
    manifest = Manifest(fields["kind"], files, fields["extra"])
    if kind is not None and manifest.kind != kind:
        raise FormatError(
            f"{directory}: expected a {kind}, received a {manifest.kind}: give the path of a {kind}"
        )
    return manifest


def verify_manifest(directory: Path, *, kind: str | None = None) -> Manifest:
    """Hash every file that the manifest names; FormatError naming the first that differs.

    Files it does not name are not looked at. `kind`: what the directory has to be.
    """
    manifest = read_manifest(directory, kind=kind)
    for name, expected in manifest.files.items():
        path = directory / name
        found = _record(path, size=expected.size)
        if found.size != expected.size:
            raise FormatError(
                f"{path}: {found.size:,} bytes, {NAME} says {expected.size:,}: "
                "cut short or changed, restore it from a copy"
            )
        if found.sha256 != expected.sha256:
            raise FormatError(
                f"{path}: its SHA-256 is not the one in {NAME}: "
                "damaged or changed, restore it from a copy"
            )
    return manifest


def _listed(name: str, record: object, path: Path) -> FileRecord:
    """A file's record as a manifest at `path` has it; FormatError for what cannot be one."""
    shown = repr(name[:80])
    where = f"{path}: not laid out as a manifest: {shown}"
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise FormatError(
            f"{path}: expected names of files in this directory, found {shown}, which leads out of "
            "it: do not use this directory; restore it from a copy"
        )
    try:
        possible = 0 < len(os.fsencode(name)) <= _LONGEST and "\0" not in name
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        possible = False
    if not possible:
        raise FormatError(
            f"{path}: expected names of files, found {shown}, which none can have: restore it "
            "from a "
            "copy"
        )
    if not isinstance(record, dict) or record.keys() != {"size", "sha256"}:
        raise FormatError(
            f"{where}: expected its size and sha256, found {brief(record)}: restore it from a copy"
        )
    size, digest = record["size"], record["sha256"]
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise FormatError(
            f"{where}: expected a size in bytes, found {brief(size)}: restore it from a copy"
        )
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise FormatError(
            f"{where}: expected a sha256 of 64 digits, found {brief(digest)}: restore it from a "
            "copy"
        )
    return FileRecord(size, digest)


def check_version(version: object, newest: int, where: str) -> None:
    """Refuse what is no version (FormatError) or a later one than `newest` (NewerFormatError)."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(
            f"{where}: expected a version of 1 or more, found {brief(version)}: restore the file "
            "from a copy"
        )
    if version > newest:
        raise NewerFormatError(
            f"{where}: written by a newer version of recurra "
            f"(format {brief(version)}; this one reads up to {newest}): upgrade"
        )


def _record(path: Path, *, durable: bool = False, size: int | None = None) -> FileRecord:
    """Size and hash of a file; no hash where its size is not `size`."""
    import hashlib

    with open_file(path) as file:
        try:
            actual = os.fstat(file.fileno()).st_size
            if size is not None and actual != size:
                return FileRecord(actual, "")
            if durable:
                sync(file.fileno())
            return FileRecord(actual, hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise failure(path, error) from error


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": manifest.kind,
        "extra": manifest.extra,
        "files": {
            name: {"size": record.size, "sha256": record.sha256}
            for name, record in manifest.files.items()
        },
    }


def _encode(fields: dict[str, Any]) -> bytes:
    import hashlib

    seal = hashlib.sha256(dump_json(fields)).hexdigest()
    return dump_json({**fields, "sha256": seal}, indent=2, where=NAME)
