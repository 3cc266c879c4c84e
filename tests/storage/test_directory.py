"""Atomic directories: whole or not at all, whatever fails and whenever."""

import builtins
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import (
    atomic_directory,
    disk,
    read_manifest,
    save_model,
    verify_manifest,
    write_tensors,
)


def fill(target, value, **options):
    with atomic_directory(target, kind="test", **options) as folder:
        (folder / "a.txt").write_text(value)
        (folder / "deep" / "er").mkdir(parents=True)
        write_tensors(folder / "deep" / "er" / "b.safetensors", {"w": np.full(1000, len(value))})


def content(target):
    verify_manifest(target, kind="test")
    return (target / "a.txt").read_text()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc/self/fd")


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    """Replacing with the system's exchange of names, and where it has none."""
    if request.param == "two renames":
        monkeypatch.setattr(disk, "exchange", lambda a, b: False)
    return request.param


def test_exchange_is_what_runs_here(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    swapped = disk.exchange(tmp_path / "a", tmp_path / "b")
    assert swapped == (sys.platform in ("linux", "darwin"))
    assert (tmp_path / "a" / "b").exists() == swapped
    assert not disk.exchange(tmp_path / "a", tmp_path / "none")


def test_made_and_replaced(tmp_path, way):
    target = tmp_path / "new" / "folder" / "m"
    for value in ("one", "two", "three"):
        fill(target, value, extra={"n": 3})
        assert content(target) == value
        assert [p.name for p in target.parent.iterdir()] == ["m"]
    manifest = read_manifest(target)
    assert manifest.extra == {"n": 3}
    assert sorted(manifest.files) == ["a.txt", "deep/er/b.safetensors"]
    assert manifest.files["a.txt"].size == 5


def test_the_hash_is_sha256(tmp_path):
    fill(tmp_path / "m", "abc")  # the first example of FIPS 180-2, appendix B
    assert read_manifest(tmp_path / "m").files["a.txt"].sha256 == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_nothing_is_at_the_name_before_the_end(tmp_path):
    with atomic_directory(tmp_path / "m") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".m.tmp-")
        assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), OSError(5, "mine")])
def test_an_error_in_the_body_passes_and_leaves_nothing(tmp_path, error):
    fill(tmp_path / "m", "old")

    def work(folder):
        (folder / "a.txt").write_text("new")
        raise error

    for name in ("m", "n"):
        with (
            pytest.raises(type(error)) as caught,
            atomic_directory(tmp_path / name, kind="test") as folder,
        ):
            work(folder)
        assert caught.value is error
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert content(tmp_path / "m") == "old"


CALLS = [
    (os, "fsync"),
    (os, "rename"),
    (os, "replace"),
    (os, "mkdir"),
    (os, "open"),
    (builtins, "open"),
]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "over an old one"])
def test_whatever_call_fails(tmp_path, monkeypatch, way, code, exists):
    """Let the 1st, 2nd, 3rd … call to the system fail, until none is left to fail."""
    target = tmp_path / "m"
    failures = 0
    if exists:
        fill(target, "old")
    while True:
        made = 0

        def fails(call, allowed):
            def wrapped(*args, **kwargs):
                nonlocal made
                made += 1
                if made - 1 == allowed:
                    raise OSError(code, os.strerror(code))
                return call(*args, **kwargs)

            return wrapped

        with monkeypatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, fails(getattr(module, name), failures))
            try:
                with atomic_directory(target, kind="test") as folder:
                    write_tensors(folder / "b.safetensors", {"w": np.ones(3)})
                    disk.write_file(folder / "a.txt", [b"new"])
                break
            except InputError as error:
                message = str(error)
        failures += 1
        assert message.startswith(str(tmp_path))
        assert "\n" not in message
        if code == errno.ENOSPC:
            # Reading the older manifest is the one call that names a file within.
            line = rf"{target}(/manifest\.json)?: the disk is full \([\d,]+ bytes free\)"
            assert re.match(line, message)
        else:
            assert os.strerror(code).lower() in message
        assert [p.name for p in tmp_path.iterdir()] == (["m"] if exists else [])
        if exists:
            assert content(target) == "old"
    assert failures > 15
    assert content(target) == "new"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_quota_is_a_full_disk(tmp_path, code):
    error = OSError(code, os.strerror(code))
    assert disk.full(error) is error
    assert "the disk is full" in str(disk.failure(tmp_path / "not" / "there", error))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 kB; only root can mount one, and the test above needs none."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    target = small_disk / "m"
    small, large = {"w": np.zeros(1 << 15)}, {"w": np.ones(1 << 15)}  # 256 kB each
    save_model(target, config={"task": "lm"}, tensors=small)
    with pytest.raises(InputError) as caught:
        save_model(target, config={"task": "lm"}, tensors=large)
    message = str(caught.value)
    free = re.match(rf"{target}: the disk is full \(([\d,]+) bytes free\)", message)
    assert free, message
    assert 100_000 < int(free[1].replace(",", "")) < 260_000
    assert "\n" not in message
    assert [p.name for p in small_disk.iterdir()] == ["m"]
    verify_manifest(target, kind="model")
    with pytest.raises(InputError, match="the disk is full"):
        disk.write_file(small_disk / "single", [bytes(400_000)])
    assert not (small_disk / "single").exists()
    # A body that writes by itself gets the same line.
    with (
        pytest.raises(InputError, match=rf"^{small_disk}/n: the disk is full"),
        atomic_directory(small_disk / "n") as folder,
    ):
        (folder / "x").write_bytes(bytes(400_000))
    assert [p.name for p in small_disk.iterdir()] == ["m"]


@linux
def test_a_directory_damaged_on_its_way_is_taken_back(tmp_path, monkeypatch, way):
    def damaging(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name.endswith("manifest.json") or ".manifest.json.tmp" in name:
            (Path(name).parent / "a.txt").write_text("bad")

    fill(tmp_path / "m", "old")
    monkeypatch.setattr(disk.os, "fsync", damaging)
    for name in ("m", "n"):
        with pytest.raises(FormatError, match=r"a\.txt: its SHA-256 is not"):
            fill(tmp_path / name, "new")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert content(tmp_path / "m") == "old"


@linux
def test_all_is_on_the_disk_before_the_name_and_the_name_at_the_end(tmp_path, monkeypatch):
    events = []
    fsync, rename = os.fsync, os.rename

    def name_of(path):
        return re.sub(r"\.m\.tmp[^/]*", "TMP", str(path)).removeprefix(str(tmp_path))

    def record_fsync(descriptor):
        events.append(f"sync {name_of(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        fsync(descriptor)

    def record_rename(a, b):
        events.append(f"rename {name_of(a)} {name_of(b)}")
        rename(a, b)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    with atomic_directory(tmp_path / "m") as folder:
        (folder / "a.txt").write_text("a")
        (folder / "deep").mkdir()
        (folder / "deep" / "b.txt").write_text("b")
    [manifest] = [e for e in events if ".manifest.json.tmp" in e]
    assert events == [
        "sync /TMP/a.txt",
        "sync /TMP/deep/b.txt",
        manifest,
        "sync /TMP",
        "sync /TMP/deep",
        "sync /TMP",
        "rename /TMP /m",
        "sync ",
    ]


@pytest.mark.parametrize("present", ["file", "folder", "model with notes", "damaged model"])
def test_what_is_not_ours_is_never_replaced(tmp_path, present):
    target = tmp_path / "m"
    if present == "file":
        target.write_text("precious")
    elif present == "folder":
        (target / "photos").mkdir(parents=True)
        (target / "photos" / "1.jpg").write_text("precious")
    else:
        fill(target, "old")
        name = "notes.txt" if present == "model with notes" else "manifest.json"
        (target / name).write_text("precious")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=f"^{target}: ") as caught:
        fill(target, "new")
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    if present not in ("file",):
        fill(target, "new", replace=True)
        assert content(target) == "new"


def test_an_empty_folder_and_a_link_to_one_of_ours_are_replaced(tmp_path):
    (tmp_path / "m").mkdir()
    fill(tmp_path / "m", "one")
    (tmp_path / "link").symlink_to("m")
    fill(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "m") == "two"


def test_links_inside_are_refused(tmp_path):
    with (
        pytest.raises(InputError, match="expected regular files"),
        atomic_directory(tmp_path / "m") as f,
    ):
        (f / "passwd").symlink_to("/etc/passwd")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_process(tmp_path):
    with atomic_directory(tmp_path / "m", kind="test") as folder:
        (folder / "a.txt").write_text("first")
        with pytest.raises(InputError, match="is being written by this process already"):
            fill(tmp_path / "m", "second")
    assert content(tmp_path / "m") == "first"


def test_the_manifest_is_plain_json(tmp_path):
    fill(tmp_path / "m", "x")
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["kind"] == "test"
