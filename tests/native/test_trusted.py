"""Nobody else's code is loaded: folders that others could change, and those who try to.

Parts need a second user, to whom only root can give a folder.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from native.test_cell_cache import GOOD, Machine
from recurra import native
from recurra.native import cache, trusted
from recurra.native.trusted import UnusableError

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the kernels are not compiled"),
    pytest.mark.skipif(os.name != "posix", reason="files and users of POSIX"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another")

STRANGER = 65534


@pytest.fixture
def root():
    """A folder that other users can reach, and not change."""
    with tempfile.TemporaryDirectory(prefix="recurra-test-") as made:
        os.chmod(made, 0o755)
        yield Path(made).resolve()


def opened(path: Path) -> Path:
    descriptor, place = trusted.open_folder(path)
    assert os.fstat(descriptor).st_ino == place.stat().st_ino
    assert os.listdir(descriptor) is not None
    os.close(descriptor)
    return place


def test_missing_folders_are_made_for_the_user_alone(root):
    old = os.umask(0)
    try:
        assert opened(root / "a" / "b" / "cells") == root / "a" / "b" / "cells"
    finally:
        os.umask(old)
    for made in (root / "a", root / "a" / "b", root / "a" / "b" / "cells"):
        assert made.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileNotFoundError):
        trusted.open_folder(root / "c" / "cells", make=False)
    assert not (root / "c").exists()


#: What may be so of a folder above: mode, whose, and what is said of it; None: it is let pass.
ABOVE = [
    (0o755, 0, None),
    (0o711, 0, None),
    (0o1777, 0, None),
    (0o1770, 0, None),
    (0o775, 0, "others can write to"),
    (0o770, 0, "others can write to"),
    (0o777, 0, "others can write to"),
    (0o702, 0, "others can write to"),
    (0o755, STRANGER, "belongs to another user"),
    (0o700, STRANGER, "belongs to another user"),
    (0o1777, STRANGER, "belongs to another user"),
]


@pytest.mark.parametrize(("mode", "owner", "why"), ABOVE, ids=[f"{m:o}, {o}" for m, o, _ in ABOVE])
@pytest.mark.parametrize("depth", [1, 2])
def test_folders_above(root, mode, owner, why, depth):
    if owner and os.geteuid() != 0:
        pytest.skip("only root can give a folder to another")
    above = root / "above"
    path = above.joinpath(*"ab"[: depth - 1]) / "cells"
    path.mkdir(parents=True)
    for made in (path, *path.parents[: depth - 1]):
        made.chmod(0o700)
    if owner:
        os.chown(above, owner, owner)
    above.chmod(mode)
    if why is None:
        assert opened(path) == path
    else:
        with pytest.raises(UnusableError) as caught:
            opened(path)
        assert str(above) in str(caught.value)
        assert why in str(caught.value)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_the_folder_itself_is_nobody_elses(root, mode):
    (root / "cells").mkdir()
    (root / "cells").chmod(mode)
    with pytest.raises(UnusableError, match=r"others can write to .*cells"):
        opened(root / "cells")


def test_links_of_ones_own_are_followed(root):
    (root / "real").mkdir(mode=0o700)
    (root / "up").mkdir(mode=0o700)
    (root / "up" / "absolute").symlink_to(root / "real")
    (root / "relative").symlink_to("up/../real")
    (root / "chain").symlink_to(root / "relative")
    for name in ("up/absolute", "relative", "chain", "up/../real", "./real/."):
        assert opened(root / name / "cells") == root / "real" / "cells"
    (root / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"):
        opened(root / "circle" / "cells")


def test_where_a_link_leads_is_checked_as_well(root):
    (root / "open").mkdir()
    (root / "open").chmod(0o777)
    (root / "open" / "cells").mkdir(mode=0o700)
    (root / "link").symlink_to("open/cells")
    with pytest.raises(UnusableError, match=r"others can write to .*open"):
        opened(root / "link")


@as_root
def test_links_of_another_are_not_followed(root):
    (root / "shared").mkdir()
    (root / "shared").chmod(0o1777)
    (root / "real").mkdir(mode=0o700)
    (root / "shared" / "link").symlink_to(root / "real")
    os.lchown(root / "shared" / "link", STRANGER, STRANGER)
    with pytest.raises(UnusableError, match="link is a link of another user"):
        opened(root / "shared" / "link" / "cells")


def test_what_is_no_plain_file(root):
    folder, place = trusted.open_folder(root / "cells")
    os.mkfifo(place / "fifo")
    (place / "link").symlink_to(place / "fifo")
    (place / "folder").mkdir(mode=0o700)
    (place / "open").touch()
    (place / "open").chmod(0o660)
    try:
        for name, why in {
            "fifo": "no plain file",
            "folder": "no plain file",
            "open": "others can",
        }.items():
            with pytest.raises(UnusableError, match=why):
                trusted.open_file(folder, name, place / name)
        with pytest.raises(OSError, match="symbolic links"):
            trusted.open_file(folder, "link", place / "link")
    finally:
        os.close(folder)


def test_what_is_loaded_are_the_bytes_that_were_compared(root, monkeypatch):
    """Also where the file is another by the time of loading; and no two loads have one name."""
    monkeypatch.setenv("RECURRA_CACHE", str(root))
    path = root / "cells" / "name.so"
    paths = []

    def load(at):
        path.write_bytes(b"another")
        paths.append(at)
        return Path(at).read_bytes()

    def make(at):
        at.write_bytes(b"what was made")

    assert cache.obtain("name", make, load) == b"what was made"
    path.write_bytes(b"what was made")
    assert cache.obtain("name", pytest.fail, load) == b"what was made"
    path.write_bytes(b"what was made")
    assert cache.any_of("na", load) == b"what was made"
    assert len(set(paths)) == 3
    assert sorted(p.name for p in (root / "cells").iterdir()) == ["name.sha256", "name.so"]
    assert cache.once(root / "once", make, load) == b"what was made"
    assert not list((root / "once").iterdir())


#: Renames two folders into each other's place for ever, as another user.
SWAP = """
import os, sys
os.setgid({user}); os.setuid({user})
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    for one, other in (("cells", "mine"), ("evil", "cells"), ("cells", "evil"), ("mine", "cells")):
        try:
            os.rename(one, other)
        except OSError:
            pass
"""
CONSTRUCTOR = """
#include <cstdio>
__attribute__((constructor)) static void run() {{ std::fclose(std::fopen("{marker}", "w")); }}
"""


@pytest.fixture
def attacked(root, tmp_path):
    """A cache in a stranger's folder, who swaps it for one with code of his own all the time."""
    machine = Machine(tmp_path)
    machine.cache = root / "x"
    machine.environment["RECURRA_CACHE"] = str(machine.cache)
    assert machine.run() == GOOD
    (file,) = machine.files
    evil = machine.cache / "evil"
    evil.mkdir(mode=0o700)
    source, marker = root / "evil.cpp", root / "marker"
    source.write_text(CONSTRUCTOR.format(marker=marker))
    target = evil / file.name
    subprocess.run(["c++", "-shared", "-fPIC", source, "-o", target], check=True)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_suffix(".sha256").write_text(digest)
    for path in (evil, target, target.with_suffix(".sha256")):
        path.chmod(0o700)
        os.chown(path, STRANGER, STRANGER)
    os.chown(machine.cache, STRANGER, STRANGER)
    machine.cache.chmod(0o1777)
    swap = subprocess.Popen(
        [sys.executable, "-c", SWAP.format(user=STRANGER), str(machine.cache)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert swap.stdout.readline() == "ready\n"
    yield machine, marker
    swap.kill()
    swap.wait()
    swap.stdout.close()


@as_root
def test_a_swap_in_a_loop_never_wins(attacked):
    machine, marker = attacked
    seen, tries = set(), 0
    begun = time.monotonic()
    while time.monotonic() < begun + 3 or (tries <= 1000 and time.monotonic() < begun + 60):
        place = machine.cache / "cells"
        tries += 1
        with suppress(FileNotFoundError):
            seen.add(os.stat(place).st_uid)
        with pytest.raises(UnusableError, match="x belongs to another user"):
            opened(place)
    assert seen == {0, STRANGER}, "nothing was swapped"
    assert tries > 1000
    for _ in range(3):
        found = machine.run()
        assert found["found"]
        assert found["same"]
        ((_, text),) = found["told"]
        assert f"{machine.cache} belongs to another user" in text
    assert not marker.exists(), "the stranger's code ran"
