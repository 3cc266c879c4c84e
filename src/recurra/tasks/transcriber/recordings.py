"""Recordings and what was said in them: manifests, folders and archives of wav files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recurra.bounded import read_whole
from recurra.checked import checked
from recurra.data.json_lines import BadJSONError, parse_line
from recurra.errors import InputError
from recurra.given import brief
from recurra.tasks.transcriber.archives import ArchiveError, tar_members
from recurra.tasks.transcriber.wav import Sound, read_wav

ARCHIVES = (".tar.gz", ".tgz", ".tar")
MANIFESTS = (".tsv", ".jsonl", ".json")
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
            columns, or `.jsonl` with objects `{"path": …, "text": …}`; paths are relative to its
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
        raise InputError(f"{named}: expected recordings; there are none that can be read")


def _raise(error: InputError) -> None:
    raise error


def _read_source(path: Path, texts: bool, on_bad: OnBad) -> Iterator[Recording]:
    if path.is_dir():
        wavs = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".wav" and p.is_file())
        if not wavs:
            raise InputError(
                f"{path}: the folder holds no .wav: expected at least one in it, or a manifest "
                "(.tsv, .jsonl) that names them"
            )
        entries: Iterable[_Entry] = (_beside(wav) for wav in wavs)
    elif not path.is_file():
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
                    f"{recording.name}: there is no text: name it in a manifest, or put it in a "
                    ".txt beside the .wav"
                )
            )
            continue
        yield recording


def _beside(wav: Path) -> _Entry:
    beside = wav.with_suffix(".txt")
    text = None
    if beside.is_file():
        text = clean(_decode(_bytes(beside), str(beside)))
    return _Entry(wav, text, str(wav))


def _bytes(path: Path) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: byte {error.start} is not UTF-8") from None


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
                    raise InputError(f"{entry.place}: {archive} has no member {member}")
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
        if above.name.lower().endswith(ARCHIVES) and above.is_file():
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
        raise InputError(f"{archive}: the archive is damaged or cut short: {error}") from None


def _read_manifest(path: Path, on_bad: OnBad) -> Iterator[_Entry]:
    text = _decode(_bytes(path), str(path))
    lines = [(n, line.rstrip("\r")) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    tabular = path.suffix.lower() == ".tsv"
    columns = (0, 1)
    if tabular and lines:
        header = [name.strip().lower() for name in lines[0][1].split("\t")]
        named = [[header.index(n) for n in names if n in header] for names in (_PATHS, _TEXTS)]
        if all(named):
            columns = (named[0][0], named[1][0])
            lines = lines[1:]
    for number, line in lines:
        place = f"{path}, line {number}"
        try:
            where, said = _row(line, columns, place) if tabular else _object(line, place)
        except InputError as error:
            on_bad(error)
            continue
        yield _Entry(path.parent / where, None if said is None else clean(said), place)


def _row(line: str, columns: tuple[int, int], place: str) -> tuple[str, str | None]:
    fields = line.split("\t")
    if len(fields) == 1 and columns == (0, 1):
        return fields[0].strip(), None
    if len(fields) <= max(columns):
        raise InputError(
            f"{place}: expected {max(columns) + 1} fields separated by tabs, received {len(fields)}"
        )
    if columns == (0, 1) and len(fields) > 2:
        raise InputError(f"{place}: expected path TAB text, received {len(fields)} fields")
    return fields[columns[0]].strip(), fields[columns[1]]


def _object(line: str, place: str) -> tuple[str, str | None]:
    try:
        row = parse_line(line)
    except BadJSONError as error:
        raise InputError(f"{place}: no JSON: {error}") from None
    if not isinstance(row, dict):
        raise InputError(
            f'{place}: expected an object {{"path": …, "text": …}}, received {brief(row)}'
        )
    where = next((row[name] for name in _PATHS if name in row), None)
    said = next((row[name] for name in _TEXTS if name in row), None)
    if not isinstance(where, str) or not where:
        raise InputError(
            f"{place}: expected a path under one of {', '.join(_PATHS)}, received {brief(where)}"
        )
    if said is not None and not isinstance(said, str):
        raise InputError(f"{place}: expected a text, received {brief(said)}")
    return where, said
