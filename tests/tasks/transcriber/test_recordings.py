"""Manifests, folders and archives of wav files, good and bad."""

import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.tasks.transcriber.recordings import read_recordings
from recurra.tasks.transcriber.wav import Sound, write_wav

SAID = {"a.wav": "one two", "b.wav": "three", "c.wav": ""}


@pytest.fixture
def folder(tmp_path):
    """Three sounds, of which the first sample says which is which, and their texts."""
    place = tmp_path / "sounds"
    (place / "deeper").mkdir(parents=True)
    for n, name in enumerate(SAID, 1):
        where = place / "deeper" if name == "c.wav" else place
        write_wav(where / name, Sound(np.full(10, n / 8, np.float32), 8000))
        (where / name).with_suffix(".txt").write_text(f" {SAID[name]}\n", encoding="utf-8")
    return place


def pack(path, folder, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        file.add(folder, arcname="recordings")
    return path


def read(source, **options):
    return [(r.text, float(r.sound.samples[0] * 8)) for r in read_recordings(source, **options)]


EXPECTED = [("one two", 1.0), ("three", 2.0), ("", 3.0)]


def test_a_folder_is_read_by_path_with_the_texts_beside(folder):
    assert read(folder) == EXPECTED


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar", "w")]
)
def test_an_archive(folder, tmp_path, name, mode):
    archive = pack(tmp_path / name, folder, mode)
    assert read(archive) == EXPECTED
    names = [recording.name for recording in read_recordings(archive)]
    assert names[0] == f"{archive}/recordings/a.wav"


def test_a_wav_by_itself_and_several_sources(folder):
    assert read(folder / "b.wav") == [("three", 2.0)]
    assert read([folder / "b.wav", folder]) == [("three", 2.0), *EXPECTED]


TSV = "a.wav\tone   two\n\nb.wav\tthree\r\ndeeper/c.wav\t\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.tsv", TSV),
        ("m.tsv", "\ufeff" + TSV),
        ("m.tsv", "path\ttext\n" + TSV),
        (
            "m.tsv",
            "client\tsentence\tpath\nx\tone two\ta.wav\nx\tthree\tb.wav\nx\t\tdeeper/c.wav\n",
        ),
        (
            "m.jsonl",
            '{"path": "a.wav", "text": "one two"}\n{"audio_filepath": "b.wav", "text": "three"}\n'
            '{"audio": "deeper/c.wav", "sentence": "", "duration": 1}\n',
        ),
    ],
)
def test_manifests(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8", newline="")
    assert read(folder / name) == EXPECTED


def test_paths_in_a_manifest_may_be_absolute_and_lead_into_archives(folder, tmp_path):
    pack(tmp_path / "x.tar.gz", folder)
    manifest = tmp_path / "m.tsv"
    rows = [
        ("x.tar.gz/recordings/deeper/c.wav", "last"),
        (folder / "a.wav", "first"),
        ("x.tar.gz/recordings/b.wav", "middle"),
    ]
    manifest.write_text("".join(f"{path}\t{text}\n" for path, text in rows))
    assert read(manifest) == [("last", 3.0), ("first", 1.0), ("middle", 2.0)]


def test_without_texts_where_none_are_needed(folder):
    (folder / "a.txt").unlink()
    assert read(folder, texts=False)[0] == (None, 1.0)
    (folder / "m.tsv").write_text("a.wav\nb.wav\n")
    assert read(folder / "m.tsv", texts=False) == [(None, 1.0), (None, 2.0)]
    with pytest.raises(InputError, match=r"a\.wav: there is no text: name it in a manifest"):
        read(folder)


BAD_ROWS = {
    "tsv, three fields": ("m.tsv", "a.wav\tx\ty\n", "line 1: expected path TAB text, received 3"),
    "tsv, too few": ("m.tsv", "id\tpath\ttext\n1\ta.wav\n", "line 2: expected 3 fields"),
    "tsv, no file": ("m.tsv", "\nnone.wav\tx\n", r"line 2: .*none\.wav: cannot be read"),
    "tsv, a zero": (
        "m.tsv",
        "a\0.wav\tx\n",
        r"line 1: .*expected a path or bytes, received the path",
    ),
    "tsv, a folder": ("m.tsv", "deeper\tx\n", "line 1: .*cannot be read"),
    "tsv, no wav": ("m.tsv", "m.tsv\tx\n", "line 1: .*expected a wav file"),
    "tsv, no text": ("m.tsv", "a.wav\n", "there is no text"),
    "tsv, no member": ("m.tsv", "x.tar.gz/none.wav\tx\n", "line 1: .*has no member none.wav"),
    "jsonl, no JSON": ("m.jsonl", "{\n", "line 1: no JSON: "),
    "jsonl, deep": ("m.jsonl", "[" * 100_000 + "\n", "line 1: no JSON"),
    "jsonl, a list": ("m.jsonl", "[1]\n", "line 1: expected an object"),
    "jsonl, no path": ("m.jsonl", '{"text": "x"}\n', "line 1: expected a path under one of path,"),
    "jsonl, a number": ("m.jsonl", '{"path": "a.wav", "text": 5}\n', "expected a text, received 5"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named_and_the_good_ones_are_not_lost_where_asked(folder, case):
    name, text, told = BAD_ROWS[case]
    pack(folder / "x.tar.gz", folder)
    manifest = folder / name
    manifest.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        read(manifest)
    assert "\n" not in str(caught.value)
    good = "2\tb.wav\tfine\n" if text.startswith("id\t") else "b.wav\tfine\n"
    if name.endswith("jsonl"):
        good = json.dumps({"path": "b.wav", "text": "fine"}) + "\n"
    manifest.write_text(text + good)
    errors = []
    assert read(manifest, on_bad=errors.append) == [("fine", 2.0)]
    assert [str(error) for error in errors] == [str(caught.value)]


def test_sources_that_hold_nothing(tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "odd.csv").write_text("")
    (tmp_path / "void").mkdir()
    latin = tmp_path / "latin.tsv"
    latin.write_bytes("é\tx".encode("latin-1"))
    for name, told in [
        ("none", "no such file or folder"),
        ("void", r"the folder holds no \.wav"),
        ("odd.csv", "expected a manifest"),
        ("empty.tsv", "expected recordings; there are none"),
        ("latin.tsv", "byte 0 is not UTF-8"),
    ]:
        with pytest.raises(InputError, match=told):
            read(tmp_path / name)
    with pytest.raises(InputError, match="no source: expected recordings"):
        read([])


def test_a_damaged_archive_says_so(folder, tmp_path):
    whole = pack(tmp_path / "x.tar.gz", folder).read_bytes()
    for n, content in enumerate([whole[: len(whole) // 2], b"", whole[:40] + b"xx" + whole[42:]]):
        path = tmp_path / f"{n}.tar.gz"
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged or cut short"):
            read(path)


def test_nothing_is_ever_unpacked(tmp_path):
    """A member with a name that leads out of its folder is read as any other."""
    content = io.BytesIO()
    write_wav(tmp_path / "a.wav", Sound(np.full(3, 0.125, np.float32), 8000))
    with tarfile.open(fileobj=content, mode="w") as file:
        file.add(tmp_path / "a.wav", arcname="../../evil.wav")
        link = tarfile.TarInfo("link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    archive = tmp_path / "x.tar"
    archive.write_bytes(content.getvalue())
    before = sorted(tmp_path.parent.rglob("*"))
    assert read(archive, texts=False) == [(None, 1.0)]
    assert sorted(tmp_path.parent.rglob("*")) == before


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120) | st.text(alphabet='ab.wv\t\n{}":,[]0', max_size=60).map(str.encode))
def test_any_manifest_is_read_or_refused(tmp_path_factory, content):
    for name in ("m.tsv", "m.jsonl"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        errors = []
        try:
            list(read_recordings(path, on_bad=errors.append))
        except InputError as error:
            errors.append(error)
        assert all("\n" not in str(error) for error in errors)


def test_the_digits_as_they_are_packed(data_dir):
    found = list(read_recordings(data_dir / "fsdd" / "nicolas.tar.gz", texts=False))
    assert len(found) == 500
    assert {r.sound.rate for r in found} == {8000}
    assert all(0.1 < r.sound.seconds < 3 for r in found)
