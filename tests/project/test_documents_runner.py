"""The runner of the documents: what is true passes, what is false does not."""

import pytest

from project.documents import DocumentError, blocks, broken_links, matches, run


def fence(language, text, ticks="```"):
    return f"{ticks}{language}\n{text}\n{ticks}\n"


def write(folder, *parts):
    path = folder / "page.md"
    path.write_text("\n".join(parts))
    return path


TRUE = {
    "python output": [fence("python", "print(6 * 7)"), fence("output", "42")],
    "one namespace": [fence("python", "a = 1"), "Then:", fence("python", "assert a == 1")],
    "function sees globals": [fence("python", "def f(): return g()\ndef g(): return 1\nf()")],
    "console output": [fence("console", "$ echo a; echo b\na\nb\n$ echo c\nc")],
    "console wildcard": [fence("console", "$ printf 'took 12 ms\\nend\\n'\ntook ... ms\nend")],
    "console in two lines": [fence("console", "$ echo a \\\n> b\na b")],
    "console, nothing shown": [fence("console", "$ echo anything")],
    "console with an output block": [fence("console", "$ echo a"), fence("output", "a")],
    "error shown": ["<!-- exit: 3 -->", fence("console", "$ echo no >&2; exit 3\nno")],
    "sh": [fence("sh", "echo 1 > f\ncat f"), fence("output", "1")],
    "sh finds this python": [fence("sh", "python -c 'import pytest'")],
    "not run": ["<!-- not run: takes a minute -->", fence("python", "1 / 0")],
    "only shown": [fence("json", "{"), fence("text", "$ false")],
    "folder is shared": [
        fence("sh", "echo hi > f"),
        fence("python", "with open('f') as f: print(f.read())"),
    ],
    "indented": ["- item\n\n  ```python\n  print(1)\n  ```\n\n  ```output\n  1\n  ```\n"],
    "nested": [fence("text", fence("python", "1 / 0"), ticks="````")],
}

FALSE = {
    "wrong output": ([fence("python", "print(6 * 7)"), fence("output", "41")], "shows"),
    "output not printed": ([fence("python", "x = 1"), fence("output", "1")], "shows"),
    "more output than shown": ([fence("console", "$ echo a; echo b\na")], "shows"),
    "second command wrong": ([fence("console", "$ echo a\na\n$ echo b\nc")], "shows"),
    "wildcard is no excuse": ([fence("console", "$ echo a1\nb...")], "shows"),
    "exception": ([fence("python", "1 / 0")], "ZeroDivisionError"),
    "warning": ([fence("python", "import warnings; warnings.warn('x')")], "UserWarning"),
    "exit code": ([fence("console", "$ exit 2")], "exit code 2"),
    "no failure where one is shown": (["<!-- exit: 2 -->", fence("sh", "true")], "exit code 0"),
    "sh goes on after an error": ([fence("sh", "false\ntrue")], "exit code 1"),
    "unset variable": ([fence("sh", "echo $NO_SUCH_VARIABLE")], "exit code 1"),
    "unknown language": ([fence("bash", "true")], "marked"),
    "no language": ([fence("", "true")], "marked"),
    "no reason": (["<!-- not run: -->", fence("python", "1 / 0")], "reason"),
    "note too far away": (["<!-- not run: why -->\n\nx", fence("python", "1 / 0")], "Zero"),
    "output of nothing": (["Text", fence("output", "1")], "directly after"),
    "output elsewhere": ([fence("python", "1"), "Text", fence("output", "1")], "directly after"),
    "console without a prompt": ([fence("console", "echo a")], "begins with"),
    "no end": (["```python\nprint(1)"], "no end"),
}


@pytest.mark.parametrize("case", TRUE)
def test_true_documents_pass(case, tmp_path):
    run(write(tmp_path, *TRUE[case]), tmp_path)


@pytest.mark.parametrize("case", FALSE)
def test_false_documents_fail(case, tmp_path):
    parts, message = FALSE[case]
    with pytest.raises(DocumentError, match=rf"page\.md:\d+: (?s:.)*{message}"):
        run(write(tmp_path, *parts), tmp_path)


def test_the_error_names_the_line(tmp_path):
    page = write(tmp_path, "# Title\n", fence("python", "a = 1"), fence("python", "\n1 / 0"))
    with pytest.raises(DocumentError, match=r"page\.md:8:") as caught:
        run(page, tmp_path)
    assert caught.value.__cause__.__traceback__.tb_next.tb_lineno == 9


def test_what_ran_is_counted(tmp_path):
    page = write(tmp_path, fence("python", "1"), "<!-- not run: no -->", fence("sh", "exit 1"))
    assert run(page, tmp_path) == 1
    assert [block.not_run for block in blocks(page)] == [None, "no"]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a", "a  \n", True),
        ("a b", "a  b", False),
        ("...", "", True),
        ("a...z", "a\nb\nz", True),
        ("a.b", "axb", False),
        ("a", "ab", False),
        ("a\nb", "b\na", False),
    ],
)
def test_matches(shown, printed, same):
    assert matches(shown, printed) is same


def test_links(tmp_path):
    (tmp_path / "other.md").write_text("# A title, with *marks*\n")
    page = write(
        tmp_path,
        "# Here",
        "[a](other.md) [b](other.md#a-title-with-marks) [c](#here) [d](https://example.org/x)",
        "[e](missing.md) [f](other.md#elsewhere) [g](#there)",
        fence("text", "[h](not-a-link.md)"),
    )
    assert broken_links(page) == ["missing.md", "other.md#elsewhere", "#there"]
