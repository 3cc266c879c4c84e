"""Write tests/project/messages.txt, every message of our errors and warnings as the source has it:
`python tools/list_messages.py [--check]`.

Each stands under its module, with the function that raises it, so that all can be read in a row.
`{…}` stands for what a message fills in. With `--check` nothing is written; the exit code is 1
where the file differs from the source.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "recurra"
PAGE = ROOT / "tests" / "project" / "messages.txt"
ERRORS = ("RecurraError", "InputError", "FormatError", "RecurraWarning")

HEAD = """\
# Every message of our errors and warnings: module, function, kind, text.
# Written by tools/list_messages.py from src/recurra; change that, not this file.
"""


def main() -> int:
    """Write the list, or with `--check` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} differs from the source: run python tools/list_messages.py")
    return 1


def page() -> str:
    """Return the file as it must be."""
    lines = [HEAD]
    for path in sorted(SOURCE.rglob("*.py")):
        messages = list(messages_of(path))
        if messages:
            lines.append(f"\n{path.relative_to(SOURCE)}\n")
            lines += [f"  {where}  {kind}  {text}\n" for where, kind, text in messages]
    return "".join(lines)


def messages_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the function, the kind and the text of each message of a module, in order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _walk(tree, ())


def _walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for child in ast.iter_child_nodes(node):
        inner = names
        if isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            inner = (*names, child.name)
        elif isinstance(child, ast.Call):
            message = _message(child)
            if message is not None:
                yield ".".join(names) or "(module)", *message
        yield from _walk(child, inner)


def _message(call: ast.Call) -> tuple[str, str] | None:
    name = _name(call.func)
    if name in ERRORS and call.args:
        return name, _text(call.args[0])
    if name == "warn" and len(call.args) > 1 and _name(call.args[1]) in ERRORS:
        return _name(call.args[1]), _text(call.args[0])
    return None


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST) -> str:
    """The text of an expression, with `{…}` around what is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("\n", "\\n")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return "{" + f"{_text(node.body)} | {_text(node.orelse)}" + "}"
    return "{" + ast.unparse(node).replace("\n", " ") + "}"


if __name__ == "__main__":
    sys.exit(main())
