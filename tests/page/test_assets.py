"""The page's files: small, without markup from strings, from this server alone."""

import re
import shutil
import subprocess

import pytest

from recurra import page
from serve.conftest import running

SOURCES = {name: page.read(name).data.decode("utf-8") for name in page.names()}
SCRIPTS = [name for name in SOURCES if name.endswith(".js")]
#: What makes markup, code or requests of strings, and what styles that the policy forbids.
FORBIDDEN = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
    "DOMParser", "createContextualFragment", "srcdoc", "setAttribute(\"style\"", "javascript:",
    "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "importScripts", "http://", "https://",
)  # fmt: skip


def test_all_of_it_is_small():
    assert sum(len(page.read(name).data) for name in page.names()) <= 150_000


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_makes_markup_or_code_of_strings(name):
    text = SOURCES[name].replace("http://www.w3.org/2000/svg", "")
    assert [word for word in FORBIDDEN if word in text] == []
    assert not re.search(r"\son\w+=|<style|style=", text) or name != page.INDEX


@pytest.mark.parametrize("name", SCRIPTS)
def test_modules_import_what_there_is(name):
    imported = re.findall(r'from "\./([\w.]+)"', SOURCES[name])
    assert set(imported) <= set(SOURCES)
    assert len(re.findall(r"^import ", SOURCES[name], re.M)) == len(imported)


def test_only_the_backend_makes_requests():
    assert [name for name in SCRIPTS if re.search(r"\bfetch\(", SOURCES[name])] == ["backend.js"]


def test_a_name_that_is_no_file():
    with pytest.raises(KeyError):
        page.read("../files.py")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_sound(name, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    path = tmp_path / f"{name}.mjs"
    path.write_text(SOURCES[name], encoding="utf-8")
    done = subprocess.run([node, "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def client():
    with running(keys=("k" * 32,)) as made:
        yield made


@pytest.mark.parametrize("path", ["/", *(f"/static/{name}" for name in page.names())])
def test_it_is_served_to_anybody_under_its_policy(client, path):
    client.key, key = None, client.key
    try:
        status, headers, data = client.raw("GET", path)
        head = client.raw("HEAD", path)
    finally:
        client.key = key
    name = path.removeprefix("/static/") if path != "/" else page.INDEX
    assert (status, data) == (200, page.read(name).data)
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-type"].startswith(page.read(name).media)
    assert (head[0], head[2]) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/static/", "/static/files.py", "/static/..%2ffiles.py", "/static/x.js"]
)
def test_nothing_else_is_served(client, path):
    assert client.raw("GET", path)[0] == 404
