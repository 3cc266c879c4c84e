"""Whatever lies at the path of a file: a pipe, a device, a file with holes; one line, at once."""

import contextlib
import gzip
import io
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import recurra
from conftest import ROOT
from recurra.bounded import LIMITS, NotRegularError, limit, read_whole
from recurra.data.table_rows import open_table
from recurra.data.tables import read_table
from recurra.errors import FormatError, InputError, RecurraError
from recurra.export import OnnxModel
from recurra.storage import Checkpoints, parse_json, read_manifest
from recurra.storage.manifest import _encode
from recurra.tasks.classifier.labelled import read_numbers
from recurra.tasks.tagger.conll import read_tagged
from recurra.tasks.transcriber.recordings import read_recordings
from recurra.tasks.transcriber.wav import read_wav
from recurra.tasks.translator.pairs import read_pairs
from recurra.text import Corpus, load_tokenizer
from recurra.train.metrics import read_metrics

GOLDEN = ROOT / "tests" / "golden"


def _socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(4 << 30)


#: What lies there instead of a file.
KINDS = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": _socket,
    "folder": Path.mkdir,
    "4 GiB of holes": _sparse,
}


#: The file in a folder copied from tests/golden (or alone), and what reads it.
READERS = {
    **{
        f"model's {name}": ("lm-char-lstm/model", name, recurra.load)
        for name in ("manifest.json", "config.json", "model.safetensors", "tokenizer.json")
    },
    "run's metrics": ("", "metrics.jsonl", lambda folder: read_metrics(folder / "metrics.jsonl")),
    **{
        f"checkpoint's {name}": (
            "run-lm/run",
            f"checkpoints/step-10/{name}",
            lambda folder: Checkpoints(folder / "checkpoints").latest(strict=True),
        )
        for name in ("manifest.json", "state.json", "tensors.safetensors")
    },
    "ONNX": ("", "m.onnx", lambda folder: OnnxModel.load(folder / "m.onnx")),
    "tokenizer": ("", "tokenizer.json", lambda folder: load_tokenizer(folder / "tokenizer.json")),
    "wav": ("", "a.wav", lambda folder: read_wav(folder / "a.wav")),
    "npz": ("", "a.npz", lambda folder: read_numbers(folder / "a.npz")),
    "CoNLL": ("", "a.conll", lambda folder: read_tagged(folder / "a.conll")),
    "pairs": ("", "a.tsv", lambda folder: read_pairs(folder / "a.tsv")),
    "table": ("", "a.csv", lambda folder: open_table(folder / "a.csv")),
    "series": ("", "a.csv", lambda folder: read_table(folder / "a.csv", ["y"])),
    "archive": ("", "a.tar", lambda folder: list(read_recordings(folder / "a.tar"))),
    "text": ("", "a.txt", lambda folder: Corpus.open(folder / "a.txt")),
}

#: A pipe of text is copied to a file, for which its writer is waited: the user's own.
#: A text may be as long as it is: it is read in pieces.
BY_INTENT = {("text", "pipe"), ("text", "device")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_plain_file_is_refused_at_once(reader, kind, tmp_path):
    if (reader, kind) in BY_INTENT:
        pytest.skip("text is read from pipes and devices, as long as they last")
    source, name, read = READERS[reader]
    folder = tmp_path / "here"
    if source:
        shutil.copytree(GOLDEN / source, folder)
        (folder / name).unlink()
    else:
        folder.mkdir()
    KINDS[kind](folder / name)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    failures = []

    def work():
        try:
            read(folder)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    assert time.monotonic() - started < 3
    (error,) = failures
    assert isinstance(error, RecurraError), repr(error)
    assert name.rpartition("/")[2].partition(".")[0] in str(error)
    assert "\n" not in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB


def test_a_pipe_that_somebody_writes_to_is_data(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = os.urandom(3 << 20)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    found = b""
    for _ in range(200):
        with contextlib.suppress(NotRegularError):  # the writer is still to come
            found = read_whole(pipe)
            break
        time.sleep(0.01)
    writer.join(10)
    assert found == data


NAME = "README.md"
GOOD = {"size": 1, "sha256": "0" * 64}
#: Values of a manifest's entries, sealed again.
MANIFESTS = {
    "NUL": {"files": {"a\0b": GOOD}},
    "surrogate": {"files": {"a\ud800": GOOD}},
    "empty name": {"files": {"": GOOD}},
    "long name": {"files": {"a" * 5000: GOOD}},
    "way out": {"files": {"a/../../b": GOOD}},
    "absolute": {"files": {"/etc/passwd": GOOD}},
    **{
        f"size {size!r}": {"files": {NAME: {**GOOD, "size": size}}}
        for size in ("1", None, -1, True, 1.0, 10**30, [], {})
    },
    **{
        f"hash {digest!r}": {"files": {NAME: {**GOOD, "sha256": digest}}}
        for digest in (None, 1, "", "0" * 63, "Z" * 64, ["0" * 64], "0" * 63 + "\n")
    },
    "more in a record": {"files": {NAME: {**GOOD, "more": 1}}},
    "less in a record": {"files": {NAME: {"size": 1}}},
    "a record that is none": {"files": {NAME: 5}},
    "files a list": {"files": [NAME]},
    "files null": {"files": None},
    "extra a list": {"extra": [["a", 1]]},
    "kind a number": {"kind": 5},
    "more": {"more": 1},
    **{f"version {v!r:.20}": {"version": v} for v in (None, "1", True, 0, -1, 10**4000, [0] * 999)},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_cannot_be_is_refused_in_a_line(name, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN / "lm-char-lstm" / "model", folder)
    path = folder / "manifest.json"
    fields = json.loads(path.read_bytes())
    del fields["sha256"]
    path.write_bytes(_encode({**fields, **MANIFESTS[name]}))
    for read in (read_manifest, recurra.load):
        with pytest.raises(FormatError) as caught:
            read(folder)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "data",
    [
        b'["' + b"x" * (4 << 20) + b'", NaN]',
        b'["' + b"\\n" * (2 << 20) + b'", NaN]',
        b"[" + b" " * (4 << 20) + b"NaN]",
        b"[" + b"1" * 4000 + b", " + b"2" * (4 << 20) + b"]",
    ],
    ids=["characters", "escapes", "spaces", "digits"],
)
def test_saying_what_is_wrong_takes_little(data):
    """122 bytes a character would be 500 MB."""
    words = "import sys, resource; from recurra.storage import parse_json\n"
    words += "data = sys.stdin.buffer.read()\n"
    words += "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    words += "try: parse_json(data, 'here')\n"
    words += "except Exception as e: print(type(e).__name__, "
    words += "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    done = subprocess.run(
        [sys.executable, "-c", words], input=data, capture_output=True, timeout=60
    )
    kind, grown = done.stdout.split()
    assert kind == b"FormatError"
    assert int(grown) << 10 < 12 * len(data)
    with pytest.raises(FormatError, match=r"^here: "):
        parse_json(data, "here")


def npy(shape, dtype="<f4", data=b""):
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return file.getvalue()


def broken(data):
    half = data.index(b"x.npy") + 20
    return data[:half] + bytes(b ^ 0x5A for b in data[half : half + 20]) + data[half + 20 :]


def sparse_tar():
    """8 GB in a kilobyte and a half: GNU's format of files with holes."""
    info = tarfile.TarInfo("a.wav")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:398] = b"00000000000\0"
    head[398:410] = b"00000001000\0"
    head[483:495] = b"\x80\0\0\0" + (8 << 30).to_bytes(8, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(512) + bytes(1024)


def tar(size, data=b"", name="a.wav"):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + data


#: Name of a file and its bytes: each asks for gigabytes, or is broken.
ARCHIVES = {
    "npz: shape of a terabyte": ("a.npz", lambda: npz(x=npy((1 << 38, 1, 1)))),
    "npz: axes that hide": ("a.npz", lambda: npz(x=npy((0, 1 << 62, 9)))),
    "npz: negative axis": ("a.npz", lambda: npz(x=npy((-1, 2, 2)))),
    "npz: bomb": ("a.npz", lambda: npz(x=npy((1, 1 << 27, 1), data=bytes(1 << 29)))),
    "npz: objects": ("a.npz", lambda: npz(x=npy((1,), "|O", b"\x80\x04."))),
    "npz: zlib": ("a.npz", lambda: broken(npz(x=npy((1, 99, 1), data=bytes(396))))),
    "npz: no header": ("a.npz", lambda: npz(x=b"\x93NUMPY\x01\0\xff\xff{")),
    "npz: header of brackets": ("a.npz", lambda: npz(x=b"\x93NUMPY\x01\0\x88\x13" + b"(" * 5000)),
    "npz: cut": ("a.npz", lambda: npz(x=npy((1, 1, 1)))[:-9]),
    "tar: holes": ("a.tar", sparse_tar),
    "tar: size of a terabyte": ("a.tar", lambda: tar(1 << 40)),
    "tar: negative size": ("a.tar", lambda: tar(-(1 << 40))),
    "tar: gzip bomb": ("a.tar.gz", lambda: gzip.compress(tar(1 << 29, bytes(1 << 29)))),
    "tar: gzip bomb beside": (
        "a.tar.gz",
        lambda: gzip.compress(tar(1 << 29, bytes(1 << 29), "a.bin")),
    ),
    "tar: a long name": (
        "a.tar.gz",
        lambda: gzip.compress(
            tar(1 << 29, bytes(1 << 29)).replace(b"0" + b"\0" * 100, b"L" + b"\0" * 100, 1)
        ),
    ),
    "pairs: gzip bomb": ("a.tsv.gz", lambda: gzip.compress(bytes(1 << 29))),
    "CoNLL: gzip bomb": ("a.conll", lambda: gzip.compress(bytes(1 << 29))),
}
BY_SUFFIX = {
    ".npz": lambda path: read_numbers(path),
    ".wav": read_wav,
    ".tar": lambda path: list(read_recordings(path)),
    ".tar.gz": lambda path: list(read_recordings(path)),
    ".tsv.gz": read_pairs,
    ".conll": read_tagged,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_ask_for_gigabytes(name, tmp_path):
    file, make = ARCHIVES[name]
    path = tmp_path / file
    path.write_bytes(make())
    assert path.stat().st_size < 1 << 20
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(RecurraError) as caught:
        BY_SUFFIX[file.removeprefix("a")](path)
    assert time.monotonic() - started < 3
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # KiB


def test_limits_are_changed_by_the_environment(monkeypatch, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert limit("data") == LIMITS["data"][0]
    monkeypatch.setenv("RECURRA_LIMIT_DATA", "4")
    with pytest.raises(OSError, match=r"longer than the 4 bytes that are read \(RECURRA_LIMIT_D"):
        read_whole(tmp_path / "a")
    for wrong in ("", "-1", "1e9", "4G", "9" * 30):
        monkeypatch.setenv("RECURRA_LIMIT_DATA", wrong)
        with pytest.raises(InputError, match="RECURRA_LIMIT_DATA: expected a whole number"):
            limit("data")
