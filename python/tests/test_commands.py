"""The commands of docs/getting-started.md and docs/compare.md, run by a shell as they stand."""

import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT

import aqlens

STUDY = """
name: study
model: models/step-0
prompt: "{task} {input}:"
scenarios:
  - name: scenes
    inputs: { a: the red ball, b: a green cup, c: the blue table, d: some cloth, e: a chair }
    tasks:
      color: { wordings: ["what color?", "which color is it?"] }
      place: { wordings: ["where is it?", "in which place?"] }
stages:
  - kind: extract
    layers: [0, 4]
  - kind: similarity
  - kind: divergence
  - kind: contrast
    measures: [span]
  - kind: effect
  - kind: summary
    measures: [span]
"""


def blocks(page, language):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """A function that runs a script in an empty folder, where `aqlens` is the program, and returns
    what it prints."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "aqlens").symlink_to(Path(aqlens.find_bin()).resolve())
    work = tmp_path / "work"
    work.mkdir()

    def run(script):
        environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
        command = ["sh", "-eu", "-c", script]
        ended = subprocess.run(command, cwd=work, env=environ, capture_output=True, text=True)
        assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    run.folder = work
    return run


def flat(text):
    return " ".join(text.split())


def test_getting_started_says_what_the_commands_print(shell):
    """All of it but what is installed, and the model that has to be exported first."""
    page = ROOT / "docs" / "getting-started.md"
    scripts = [one for one in blocks(page.name, "sh") if not re.search("pip install|gpt2", one)]
    assert len(scripts) == 6, scripts
    printed = flat("\n".join(map(shell, scripts)))
    for shown in blocks(page.name, "text"):
        for part in shown.split("...\n"):
            # A line of `check` stands alone; a verdict goes over several.
            lines = part.splitlines() if "prompts  " in part else [part]
            for line in filter(None, map(flat, lines)):
                assert line.removesuffix("; ...") in printed, line
    assert (shell.folder / "aqlens-demo/runs/experiment-037/report.html").is_file()


def test_a_loop_over_checkpoints_stands_side_by_side(shell, monkeypatch, capsys):
    """The checkpoints are one model under three names: what is shown is that the page's commands do
    what it says."""
    for step in (0, 1000, 4000):
        (shell.folder / "models").mkdir(exist_ok=True)
        (shell.folder / f"models/step-{step}").symlink_to(ROOT / "tests" / "fixtures" / "tiny")
    (shell.folder / "study.yml").write_text(STUDY)
    (script,) = [one for one in blocks("compare.md", "sh") if "for step" in one]
    printed = shell(script)
    places = [printed.index(f"step-{step} ") for step in (0, 1000, 4000)]
    assert places == sorted(places), printed
    assert "scenes: span" in flat(printed), printed
    drawn = (shell.folder / "checkpoints.html").read_text(encoding="utf-8")
    assert "Along the runs" in drawn and "step-4000" in drawn
    (query,) = blocks("compare.md", "python")
    monkeypatch.chdir(shell.folder)
    names = {}
    exec(compile(query, "compare.md", "exec"), names)
    assert names["by_step"]["step"].to_list() == [0, 1000, 4000]
    assert names["by_step"].schema["delta"] == pl.Float64 and "step" in capsys.readouterr().out
