"""Runs what a Markdown document shows, and holds what comes out against what it says.

````
```python        run in order, one namespace a document; a traceback names the document's own line
```console       each line `$ command` run with bash (`> ` continues it); lines below: its output
```sh            the whole block run with bash
```output        directly after one of these: what it printed; `...` stands for anything
<!-- not run: the reason -->      on the line before a block: the block is left alone
<!-- exit: 2 -->                  on the line before a console or sh block: it ends with this code
````

Every document runs in an empty folder of its own that holds `corpus.txt` and `held-out.txt`.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUN = {"python", "console", "sh"}
SHOWN = {"text", "json", "toml", "makefile", "math", "cpp", "latex", "html"}
SECONDS = 120  # for one command

FENCE = re.compile(r"^( *)(`{3,})([\w+-]*)\s*$")
NOTE = re.compile(r"^\s*<!--\s*(not run|exit):\s*(.*?)\s*-->\s*$")
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


class DocumentError(AssertionError):
    """A document that says what is not so: `path:line: what is wrong`."""


@dataclass(frozen=True)
class Block:
    """One fenced block: where its first line stands, its language, its text, the notes above it."""

    path: Path
    line: int
    language: str
    text: str
    not_run: str | None = None
    exit: int = 0
    output: str | None = None

    def error(self, message: str) -> DocumentError:
        return DocumentError(f"{self.path}:{self.line}: {message}")


def blocks(path: Path) -> list[Block]:
    """Every fenced block of the document, each with the `output` block that belongs to it."""
    found: list[Block] = []
    for block, touching in _fenced(path):
        if block.language == "output":
            if not (touching and found and found[-1].language in RUN):
                raise block.error("an output block stands directly after the block it belongs to")
            found[-1] = Block(**{**vars(found[-1]), "output": block.text})
        elif block.language not in RUN | SHOWN:
            raise block.error(
                f"a block is marked with one of {sorted(RUN | SHOWN | {'output'})}, "
                f"this one with {block.language!r}"
            )
        else:
            found.append(block)
    return found


def _fenced(path: Path) -> Iterator[tuple[Block, bool]]:
    """Each block, and whether nothing but blank lines lies between it and the block before."""
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    notes: dict[str, str] = {}
    touching = False
    for number, line in lines:
        if note := NOTE.match(line):
            notes[note[1]] = note[2]
        elif fence := FENCE.match(line):
            indent, ticks, language = fence.groups()
            text = []
            for _, inner in lines:
                if inner.strip() == ticks:
                    break
                text.append(inner.removeprefix(indent) + "\n")
            else:
                raise DocumentError(f"{path}:{number}: this block has no end")
            code = notes.get("exit", "0")
            block = Block(
                path, number + 1, language, "".join(text), notes.get("not run"), int(code)
            )
            if block.not_run == "":
                raise block.error("`not run` needs its reason")
            yield block, touching
            notes, touching = {}, True
        elif line.strip():
            notes, touching = {}, False


def run(path: Path, folder: Path) -> int:
    """Run the document's blocks in `folder`; the number that ran. `DocumentError` at a lie."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    runnable = [b for b in blocks(path) if b.language in RUN and b.not_run is None]
    with contextlib.chdir(folder):
        for block in runnable:
            if block.language == "python":
                _compare(block, block.output, _python(block, namespace))
            elif block.language == "sh":
                _compare(block, block.output, _bash(block, block.text))
            else:
                for command, shown in _commands(block):
                    _compare(block, shown or block.output, _bash(block, command))
    return len(runnable)


def _python(block: Block, namespace: dict[str, object]) -> str:
    # Blank lines in front, and the document as file name: tracebacks show the document's own lines.
    source = "\n" * (block.line - 1) + block.text
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(block.path), "exec"), namespace)
    except Exception as error:
        raise block.error(f"the block raised {type(error).__name__}: {error}") from error
    return printed.getvalue()


def _commands(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the lines shown under it."""
    if not block.text.startswith("$ "):
        raise block.error("a console block begins with `$ ` and a command")
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *rest = part.splitlines(keepends=True)
        while rest and command.endswith("\\\n"):
            command += rest.pop(0).removeprefix("> ")
        yield command, "".join(rest)


def _bash(block: Block, command: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env={**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise block.error(f"not done after {SECONDS} s: {command.strip()}") from None
    if done.returncode != block.exit:
        raise block.error(
            f"exit code {done.returncode}, expected {block.exit}: {command.strip()}\n{done.stdout}"
        )
    return done.stdout


def _compare(block: Block, shown: str | None, printed: str) -> None:
    if shown and not matches(shown, printed):
        raise block.error(f"the document shows\n{shown}\nand what came out is\n{printed}")


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what is `shown`, where `...` stands for anything; line ends stripped."""
    expected, got = ("\n".join(map(str.rstrip, s.strip().splitlines())) for s in (shown, printed))
    return re.fullmatch(".*?".join(map(re.escape, expected.split("..."))), got, re.S) is not None


def broken_links(path: Path) -> list[str]:
    """The document's relative links that lead nowhere: no such file, no such heading."""
    text = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    broken = []
    for link in LINK.findall(text):
        file, _, heading = link.partition("#")
        target = path.parent / file if file else path
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (heading and heading not in _anchors(target)):
            broken.append(link)
    return broken


def _anchors(path: Path) -> set[str]:
    """The names GitHub gives to the document's headings."""
    headings = re.findall(r"^#+ +(.*?) *$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]), Path(sys.argv[2]))
    except DocumentError as error:
        raise SystemExit(str(error)) from None
