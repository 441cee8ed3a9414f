"""The command `aqlens-export` where nothing that it needs is installed (`-S`: no packages)."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from aqlens_export import cli


def without_packages(*arguments):
    return subprocess.run(
        [sys.executable, "-S", "-m", "aqlens_export", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_needs_nothing_installed():
    ended = without_packages("--help")
    assert ended.returncode == 0 and "--random-weights" in ended.stdout, ended.stderr


def test_one_sentence_says_what_to_install(tmp_path):
    ended = without_packages("gpt2", "--out", str(tmp_path / "m"))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    needed = ("torch", "pip install 'aqlens[export]'") if sys.version_info >= (3, 11) else ("3.11",)
    for words in needed:
        assert words in line, line
    assert not any(tmp_path.iterdir())


def test_a_wrong_command_line_is_said_before_what_is_missing():
    ended = without_packages("--out", "m")
    assert ended.returncode == 2 and "MODEL" in ended.stderr, ended.stderr


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(cli.sys, "version_info", (3, 10, 4))
    assert cli.what_is_missing() == "aqlens-export needs Python 3.11 or newer, and this is 3.10"


@pytest.mark.parametrize("gone", ["torch", "onnx"])
def test_what_is_missing_alone_is_named(gone, monkeypatch):
    monkeypatch.setattr(cli.sys, "version_info", (3, 12, 0))
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == gone else object())
    assert cli.what_is_missing().startswith(f"aqlens-export needs {gone}: install")
