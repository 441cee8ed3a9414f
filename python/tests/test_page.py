"""The blocks of docs/python.md run, one after the other, as they stand."""

import re

from conftest import ROOT

PAGE = ROOT / "docs" / "python.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    for words in (
        "red-ball, notebook: supported",
        "('color', ' red', 0.9",
        "\n2\n",
        "seed",
        "Rows(",
    ):
        assert words in said, said
