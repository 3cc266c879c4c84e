"""Recordings and what was said in them: manifests, folders and archives of wav files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recurra.bounded import is_file, is_folder, read_whole
from recurra.checked import checked
from recurra.data.cells import BadRowError, as_utf8, read_bytes, sniff, split_record
from recurra.data.json_lines import BadJSONError, parse_line
from recurra.errors import InputError
from recurra.given import brief
from recurra.tasks.transcriber.archives import ArchiveError, tar_members
from recurra.tasks.transcriber.wav import Sound, read_wav

ARCHIVES = (".tar.gz", ".tgz", ".tar")
_TABLES = (".tsv", ".csv")
MANIFESTS = (*_TABLES, ".jsonl", ".json")
#: Names of columns and keys, ours and those of Common Voice and NeMo.
_PATHS = ("path", "audio", "audio_filepath", "wav", "file")
_TEXTS = ("text", "sentence", "transcript")

Source = str | Path
OnBad = Callable[[InputError], None]


@dataclass(frozen=True, eq=False)
class Recording:
    """A sound, what was said in it (None where that is not known), and what errors call it."""

    sound: Sound
    text: str | None = None
    name: str = "recording"


@dataclass(frozen=True)
class _Entry:
    """A wav file to read, by itself or in an archive; `place` is where the user named it."""

    path: Path
    text: str | None
    place: str


@checked
def read_recordings(
    source: Source | Iterable[Source], *, texts: bool = True, on_bad: OnBad | None = None
) -> Iterator[Recording]:
    """Read recordings one after the other.

    Args:
        source: one or several of
            a manifest: `.tsv` with a line `path TAB text` each, or with a header that names the
            columns, or the same as `.csv`, or `.jsonl` with objects `{"path": …, "text": …}`;
            paths are relative to its
            folder, and may lead into an archive (`digits.tar.gz/recordings/7_jackson_32.wav`);
            a folder: every `.wav` in it and in the folders in it, sorted by path;
            a `.tar.gz`, `.tgz` or `.tar`: every `.wav` in it, sorted by name;
            a wav file. Of the last three the text is in a file beside each, `.txt` for `.wav`.
        texts: whether a recording needs its text.
        on_bad: told of each recording that cannot be read, which is then left out; without it
            the first one is raised.

    Raises:
        InputError: no source can be read, a line or a recording is bad, or there are none.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    found = False
    for each in sources:
        for recording in _read_source(Path(each), texts, on_bad or _raise):
            found = True
            yield recording
    if not found:
        named = ", ".join(map(str, sources)) or "no source"
        raise InputError(
            f"{named}: expected recordings, received none that can be read: give wav files, or a "
            "manifest (.tsv, .jsonl) of them"
        )


def _raise(error: InputError) -> None:
    raise error


#: The cure of a wrong line of a manifest.
_MEND = "correct the line, or leave it out (--skip-bad)"


def _read_source(path: Path, texts: bool, on_bad: OnBad) -> Iterator[Recording]:
    if is_folder(path):
        wavs = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".wav" and is_file(p))
        if not wavs:
            raise InputError(
                f"{path}: expected a folder with .wav files, received one without: give wav "
                "files, or a manifest "
                "(.tsv, .jsonl) that names them"
            )
        entries: Iterable[_Entry] = (_beside(wav) for wav in wavs)
    elif not is_file(path):
        raise InputError(f"{path}: no such file or folder: check the path")
    elif path.name.lower().endswith(ARCHIVES):
        yield from _checked(_read_archive(path, on_bad), texts, on_bad)
        return
    elif path.suffix.lower() in MANIFESTS:
        entries = _read_manifest(path, on_bad)
    elif path.suffix.lower() == ".wav":
        entries = [_beside(path)]
    else:
        raise InputError(
            f"{path}: expected a manifest (.tsv, .jsonl), a folder, an archive (.tar.gz) or a .wav"
        )
    yield from _checked(_read_entries(entries, on_bad), texts, on_bad)


def _checked(found: Iterable[Recording], texts: bool, on_bad: OnBad) -> Iterator[Recording]:
    for recording in found:
        if texts and recording.text is None:
            on_bad(
                InputError(
                    f"{recording.name}: expected its text, received none: name it in a manifest, "
                    "or "
                    "put it in a .txt beside the .wav"
                )
            )
            continue
        yield recording


def _beside(wav: Path) -> _Entry:
    beside = wav.with_suffix(".txt")
    text = None
    if is_file(beside):
        text = clean(_decode(_bytes(beside), str(beside)))
    return _Entry(wav, text, str(wav))


def _bytes(path: Path) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: {told}: check the path and its permissions") from None


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: expected UTF-8, received the byte 0x{content[error.start]:02x} at offset "
            f"{error.start}: convert the file, as with iconv -f CP1252 -t UTF-8"
        ) from None


def clean(text: str) -> str:
    """A transcript with single spaces between words and none around."""
    return " ".join(text.split())


def _read_entries(entries: Iterable[_Entry], on_bad: OnBad) -> Iterator[Recording]:
    """Recordings in the order of the entries; what lies in an archive is read with its first."""
    rows = list(entries)
    wanted: dict[Path, dict[str, None]] = {}
    parts = [_split(entry.path) for entry in rows]
    for archive, member in parts:
        if archive is not None:
            wanted.setdefault(archive, {})[member] = None
    opened: dict[Path, dict[str, Sound | InputError]] = {}
    for entry, (archive, member) in zip(rows, parts, strict=True):
        try:
            if archive is None:
                sound = _read_wav(entry)
            else:
                if archive not in opened:
                    opened[archive] = _members(archive, wanted[archive])
                found = opened[archive].get(member)
                if found is None:
                    raise InputError(
                        f"{entry.place}: expected a member {member} of {archive}, which has none "
                        "of "
                        "that name: correct the path"
                    )
                if isinstance(found, InputError):
                    raise found
                sound = found
        except InputError as error:
            on_bad(error)
            continue
        yield Recording(sound, entry.text, str(entry.path))


def _read_wav(entry: _Entry) -> Sound:
    try:
        return read_wav(entry.path)
    except InputError as error:
        if entry.place == str(entry.path):
            raise
        raise InputError(f"{entry.place}: {error}") from None


def _split(path: Path) -> tuple[Path | None, str]:
    """The archive that a path leads into, and the member's name in it."""
    for above in path.parents:
        if above.name.lower().endswith(ARCHIVES) and is_file(above):
            return above, path.relative_to(above).as_posix()
    return None, ""


def _members(archive: Path, wanted: Iterable[str]) -> dict[str, Sound | InputError]:
    found: dict[str, Sound | InputError] = {}
    names = set(wanted)
    for name, content in _contents(archive):
        if name in names:
            try:
                found[name] = read_wav(content, name=f"{archive}/{name}")
            except InputError as error:
                found[name] = error
    return found


def _read_archive(archive: Path, on_bad: OnBad) -> Iterator[Recording]:
    contents = dict(_contents(archive))
    for name in sorted(contents):
        if not name.lower().endswith(".wav"):
            continue
        beside = contents.get(name[:-4] + ".txt")
        shown = f"{archive}/{name}"
        try:
            text = None if beside is None else clean(_decode(beside, shown[:-4] + ".txt"))
            yield Recording(read_wav(contents[name], name=shown), text, shown)
        except InputError as error:
            on_bad(error)


def _contents(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The wav and txt files in an archive: never unpacked to disk, whatever their names."""
    try:
        yield from tar_members(archive, (".wav", ".txt"))
    except (ArchiveError, OSError) as error:
        raise InputError(
            f"{archive}: the archive is damaged or cut short: {error}: restore it from a copy"
        ) from None


def _read_manifest(path: Path, on_bad: OnBad) -> Iterator[_Entry]:
    data = as_utf8(read_bytes(path), path)
    _decode(data, str(path))
    lines = data.split(b"\n")
    tabular = path.suffix.lower() in _TABLES
    rows = _table_rows(path, lines, on_bad) if tabular else _object_rows(path, lines)
    for place, read in rows:
        try:
            where, said = read()
        except InputError as error:
            on_bad(error)
            continue
        yield _Entry(path.parent / where, None if said is None else clean(said), place)


_Read = Callable[[], tuple[str, str | None]]


def _object_rows(path: Path, lines: list[bytes]) -> Iterator[tuple[str, _Read]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{path}, line {number}"
            yield place, partial(_object, line.decode().rstrip("\r"), place)


def _table_rows(path: Path, lines: list[bytes], on_bad: OnBad) -> Iterator[tuple[str, _Read]]:
    """Rows of a table with tabs, or with what else parts the cells of a .csv."""
    dialect = sniff(
        [line for line in lines[:100] if line.strip()], tab=path.suffix.lower() == ".tsv"
    )
    columns: tuple[int, int] | None = None
    at = 0
    while at < len(lines):
        start, place = at, f"{path}, line {at + 1}"
        at += 1
        if not lines[start].strip():
            continue
        try:
            cells, at = split_record(lines, start, dialect)
        except BadRowError as error:
            on_bad(InputError(f"{place}: {error}"))
            continue
        if columns is None:
            header = [name.strip().lower() for name in cells]
            named = [[header.index(n) for n in names if n in header] for names in (_PATHS, _TEXTS)]
            columns = (0, 1)
            if all(named):
                columns = (named[0][0], named[1][0])
                continue
        yield place, partial(_row, cells, columns, place)


def _row(fields: list[str], columns: tuple[int, int], place: str) -> tuple[str, str | None]:
    if len(fields) == 1 and columns == (0, 1):
        return fields[0].strip(), None
    if len(fields) <= max(columns):
        raise InputError(
            f"{place}: expected {max(columns) + 1} fields separated by tabs, received "
            f"{len(fields)}: {_MEND}"
        )
    if columns == (0, 1) and len(fields) > 2:
        raise InputError(f"{place}: expected path TAB text, received {len(fields)} fields: {_MEND}")
    return fields[columns[0]].strip(), fields[columns[1]]


def _object(line: str, place: str) -> tuple[str, str | None]:
    try:
        row = parse_line(line)
    except BadJSONError as error:
        raise InputError(
            f"{place}: expected JSON, received what cannot be read as JSON ({error}): {_MEND}"
        ) from None
    if not isinstance(row, dict):
        raise InputError(
            f'{place}: expected an object {{"path": …, "text": …}}, received {brief(row)}: {_MEND}'
        )
    where = next((row[name] for name in _PATHS if name in row), None)
    said = next((row[name] for name in _TEXTS if name in row), None)
    if not isinstance(where, str) or not where:
        raise InputError(
            f"{place}: expected a path under one of {', '.join(_PATHS)}, received {brief(where)}: "
            f"{_MEND}"
        )
    if said is not None and not isinstance(said, str):
        raise InputError(f"{place}: expected a text, received {brief(said)}: {_MEND}")
    return where, said
