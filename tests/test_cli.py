"""The top level: help, exit codes, and one line for whatever goes wrong."""

import argparse
import errno
import importlib
import io
import os
import re
import subprocess
import sys

import pytest

from facedet import __version__
from facedet.cli import COMMANDS, REMOVED, main
from facedet.errors import FacedetError, UsageError


def call(*words):
    """The exit code of `facedet WORDS`."""
    try:
        return main(list(words))
    except SystemExit as stop:  # argparse's way out
        return stop.code


def process(*words, **options):
    """`facedet WORDS` in a process of its own."""
    code = "import sys; from facedet.cli import main; sys.exit(main())"
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run([sys.executable, "-c", code, *words], timeout=60, **given)


@pytest.fixture
def run(monkeypatch):
    """Makes `facedet cost` do something else."""

    def replace(action):
        monkeypatch.setattr("facedet.commands.cost.run", action)

    return replace


def raising(error):
    def action(_):
        raise error

    return action


def test_help_and_version(capsys):
    assert call("--help") == 0
    out = capsys.readouterr().out
    for name, text in COMMANDS.items():
        assert re.search(rf"^    {name}\b", out, flags=re.MULTILINE), name
        assert text.split()[0] in out
    assert "examples:" in out
    assert (call(), capsys.readouterr().out) == (2, out)
    assert (call("--version"), capsys.readouterr().out) == (0, f"facedet {__version__}\n")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("evalute", "the nearest is evaluate"), ("prdict", "predict"), ("xyz", "there are train, ")],
)
def test_a_misspelt_command(capsys, word, hint):
    assert call(word, "--weights", "a") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"facedet: {word}: there is no such command; ")
    assert hint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("word", REMOVED)
def test_a_removed_command_names_its_replacement(capsys, word):
    assert call(word, "a.ckpt", "--count", "3") == 2
    assert capsys.readouterr().err == (
        f"facedet: {word} is no longer a command: {REMOVED[word]} (see facedet --help)\n"
    )
    assert word not in COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys, name):
    assert call(name, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: facedet {name} ")
    assert re.search(rf"examples?:\n  facedet {name}\b", out)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"facedet.commands.{name}").add_arguments(parser)
    for action in parser._actions:
        assert action.help, f"{name} {action.dest} has no help"
    assert call(name, "--banana") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"facedet {name}: ")
    assert err.count("\n") == 1


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from facedet.cli import main\n"
        "for words in [['--help'], *([name, '--help'] for name in sys.argv[1:])]:\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS], stdout=subprocess.DEVNULL)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FacedetError("a.pth: no such file"), 1, "a.pth: no such file"),
        (UsageError("x=3: wanted 4"), 2, "x=3: wanted 4"),
        (OSError(errno.ENOTDIR, "Not a directory", "out/a"), 1, "out/a: Not a directory"),
        (OSError(errno.ENOSPC, "No space"), 1, "the output: No space"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line_and_a_code(run, capsys, error, code, line):
    run(raising(error))
    assert call("cost") == code
    captured = capsys.readouterr()
    assert captured.err == f"facedet cost: {line}\n"
    assert captured.out == ""


def test_a_defect_keeps_its_traceback_and_a_result_is_the_exit_code(run):
    run(raising(ZeroDivisionError("a defect")))
    with pytest.raises(ZeroDivisionError):
        call("cost")
    run(lambda _: 1)
    assert call("cost") == 1


def test_options_stand_anywhere(monkeypatch):
    seen = []
    monkeypatch.setattr("facedet.commands.cost.run", lambda args: seen.append(args) or 0)
    assert call("cost", "a", "--json", "b", "--size", "3", "4", "c") == 0
    assert (seen[0].presets, seen[0].json, seen[0].size) == (["a", "b", "c"], True, [3, 4])


def test_letters_that_the_terminal_lacks(run, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    run(lambda _: print("a\udcff ü …") or 0)
    assert call("cost") == 0
    assert stream.buffer.getvalue() == b"a\\udcff \\xfc \\u2026\n"


def test_a_reader_that_goes_away():
    """As `| head` does: no traceback, neither from the command nor from Python's own end."""
    reader, writer = os.pipe()
    os.close(reader)
    done = process("train", "--show", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_behind_the_output():
    with open("/dev/full", "w") as full:
        done = process("train", "--show", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "facedet train: the output: No space left on device\n"


COMPLETE = """
source <(facedet --print-completion bash)
for line in "facedet tr" "facedet train trainer=d" "facedet predict --j"; do
  COMP_LINE=$line COMP_WORDS=($line) COMP_CWORD=$(( $(wc -w <<< "$line") - 1 )) COMPREPLY=()
  _shtab_facedet
  echo "${COMPREPLY[*]}"
done
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="bash is not here")
def test_bash_completes_commands_options_and_keys(tmp_path):
    program = tmp_path / "facedet"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m facedet.cli "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/bash", "-c", COMPLETE], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == [
        "train",
        "trainer=ddp trainer=debug trainer=default",
        "--json --jsonl",
    ]


def test_hydras_own_completion_asks_the_program(capsys, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "facedet tr")
    assert call("-sc", "query=bash") == 0
    assert capsys.readouterr().out.split() == list(COMMANDS)
    monkeypatch.setenv("COMP_LINE", "facedet train trainer.max_s")
    assert call("-sc", "query=bash") == 0
    assert capsys.readouterr().out == "trainer.max_steps=\n"
