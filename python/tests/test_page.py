"""The blocks of docs/python.md, and the README's, run one after the other, as they stand."""

import re

from conftest import ROOT

PAGE = ROOT / "docs" / "python.md"
README = ROOT / "README.md"


def run_blocks(page, language):
    """Runs the blocks of a page as one program; returns how many there are."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    return len(blocks)


def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_blocks(PAGE, "python") >= 8
    said = capsys.readouterr().out
    for words in (
        "red-ball, notebook: supported",
        "('color', ' red', 0.9",
        "\n2\n",
        "seed",
        "Rows(",
    ):
        assert words in said, said


def test_the_readmes_block_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_blocks(README, "py") == 1
    assert "red-ball, notebook: supported" in capsys.readouterr().out
