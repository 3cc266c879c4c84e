"""Completion in real shells: what the script says is what the parsers take."""

import shutil
import subprocess

import pytest

from recurra.cli.completion import SHELLS
from recurra.cli.parser import VERBS

#: What is typed before the cursor, what has to be among the completions, and what must not.
TYPED = {
    "recurra ": ({"train", "predict", "completion"}, {"lm", "--hidden"}),
    "recurra pre": ({"predict"}, {"train"}),
    "recurra train ": ({"lm", "classify", "tag", "forecast", "translate", "transcribe"}, {"--lr"}),
    "recurra train tag --hid": ({"--hidden"}, {"--horizon"}),
    "recurra train forecast --hor": ({"--horizon"}, set()),
    "recurra train forecast x.csv --output ": ({"point", "quantiles", "student_t"}, {"--output"}),
    "recurra predict run --n-": ({"--n-best"}, set()),
    "recurra generate run --top-": ({"--top-k", "--top-p"}, set()),
    "recurra completion ": (set(SHELLS), {"train"}),
    "recurra predict corp": ({"corpus.txt"}, {"--json"}),
}


@pytest.fixture(scope="module")
def scripts():
    import contextlib
    import io

    from recurra.cli import main

    found = {}
    for shell in SHELLS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["completion", shell]) == 0
        found[shell] = out.getvalue()
    return found


@pytest.mark.parametrize("typed", TYPED)
def test_bash(typed, scripts, tmp_path):
    (tmp_path / "corpus.txt").write_text("text")
    script = f"""{scripts["bash"]}
typed={typed!r}
read -ra COMP_WORDS <<< "$typed"
[[ $typed == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_recurra
[[ ${{#COMPREPLY[@]}} -eq 0 ]] && COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p recurra
"""
    done = subprocess.run(
        ["bash", "-u", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *words, registered = done.stdout.splitlines()
    assert "-o default -F _recurra recurra" in registered
    wanted, unwanted = TYPED[typed]
    assert wanted <= set(words)
    assert not unwanted & set(words)
    assert done.stderr == ""


def test_fish(scripts, tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (tmp_path / "r.fish").write_text(scripts["fish"])
    command = f"source {tmp_path}/r.fish; complete -C 'recurra pre'"
    done = subprocess.run(["fish", "-c", command], capture_output=True, text=True, check=True)
    assert "predict" in done.stdout


def test_zsh(scripts, tmp_path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (tmp_path / "r.zsh").write_text(
        f"autoload -U compinit && compinit -u\n{scripts['zsh']}\nwhence -w _recurra"
    )
    done = subprocess.run(
        ["zsh", "-f", tmp_path / "r.zsh"], capture_output=True, text=True, check=True
    )
    assert "_recurra: function" in done.stdout


def test_every_verb_is_in_every_script(scripts):
    for script in scripts.values():
        assert all(verb in script for verb in VERBS)


def test_another_shell_is_named(recurra):
    done = recurra("completion", "tcsh")
    assert done.code == 2
    assert "bash" in done.err
