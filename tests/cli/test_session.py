"""Writing in turns, in a real pseudo-terminal; prompts from standard input."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from cli.conftest import COMMAND


class Terminal:
    """A session in a terminal: what is typed, and what appears until it asks again."""

    def __init__(self, *words):
        self.leader, follower = pty.openpty()
        command = [*COMMAND, "generate", *map(str, words)]
        pipes = {"stdin": follower, "stdout": follower, "stderr": follower}
        self.process = subprocess.Popen(command, **pipes, start_new_session=True)
        os.close(follower)

    def read(self, end="» ", seconds=60):
        shown, last = b"", time.monotonic() + seconds
        while not shown.decode(errors="replace").endswith(end):
            assert time.monotonic() < last, shown
            if select.select([self.leader], [], [], 1)[0]:
                shown += os.read(self.leader, 4096)
        return shown.decode().replace("\r\n", "\n").removesuffix(end)

    def type(self, line):
        os.write(self.leader, f"{line}\n".encode())
        return self.read().removeprefix(f"{line}\n")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminal(run):
    one = Terminal(run, "--max-tokens", "20", "--seed", "1")
    yield one
    one.close()


def test_turns(terminal, run):
    hello = terminal.read()
    assert ":retry" in hello
    first = terminal.type("The ").removesuffix("\n")
    done = subprocess.run(
        [*COMMAND, "generate", str(run), "The ", "--max-tokens", "20", "--seed", "1"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"The {first}\n"
    assert terminal.type(":show") == f"The {first}\n"
    more = terminal.type("").removesuffix("\n")
    assert terminal.type(":show") == f"The {first}{more}\n"
    other = terminal.type(":retry").removesuffix("\n")
    assert other != more
    assert terminal.type(":show") == f"The {first}{other}\n"
    assert terminal.type(":back") == f"The {first}\n"
    ways = re.split(r"(?:^|\n)[123]: ", terminal.type(":try 3").removesuffix("\n"))[1:]
    assert len(set(ways)) == 3
    assert terminal.type(":pick 2") == f"The {first}{ways[1]}\n"
    terminal.type(":set max-tokens 5")
    assert "max_tokens 5" in terminal.type(":settings")
    terminal.type(":new")
    assert terminal.type(":show") == "\n"
    os.write(terminal.leader, b":quit\n")
    assert terminal.process.wait(60) == 0


def test_what_makes_no_sense_is_one_line_and_the_session_goes_on(terminal):
    terminal.read()
    for typed, told in (
        (":retry", "nothing is written yet"),
        (":fly", "unknown command :fly: see :help"),
        (":try many", ":try: expected a number from 1 to 100, received many"),
        (":try", ":try: expected other words behind it"),
        (":pick 1", ":pick: expected one of 0 ways"),
        (":set wings 2", ":set: unknown setting wings"),
        (":set temperature -1", "temperature: expected"),
    ):
        shown = terminal.type(typed)
        assert told in shown
        assert shown.count("\n") == 1
    assert terminal.type("The ")
    os.write(terminal.leader, b"\x04")
    assert terminal.process.wait(60) == 0


def test_a_dash_reads_the_prompt(run):
    words = [*COMMAND, "generate", str(run), "-", "--max-tokens", "20", "--seed", "1"]
    piped = subprocess.run(words, input=b"The \n", capture_output=True, check=True)
    given = subprocess.run([*words[:-5], "The ", *words[-4:]], capture_output=True, check=True)
    assert piped.stdout == given.stdout
    wrong = subprocess.run(words, input=b"\xff", capture_output=True, check=False)
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1


def test_without_a_terminal_there_is_no_session(run):
    words = [*COMMAND, "generate", str(run), "--max-tokens", "5", "--seed", "1"]
    done = subprocess.run(words, input=b":quit\n", capture_output=True, check=True)
    assert b"quit" not in done.stdout
