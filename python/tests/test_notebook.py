"""docs/notebook.ipynb, executed from its first cell to its last where nothing else is."""

import os

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook with its outputs; a cell that fails ends the test."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources)
        return client.execute()


def outputs(notebook, kind):
    """All outputs of a kind, `stdout` and `stderr` among them."""
    every = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    return [
        one["text"] if "text" in one else one["data"][kind]
        for one in every
        if one.get("name") == kind or kind in one.get("data", {})
    ]


def test_the_committed_notebook_is_valid_and_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_it_goes_from_yaml_to_figures(executed):
    assert len(outputs(executed, "image/png")) == 2
    assert not outputs(executed, "stderr")
    said = "".join(outputs(executed, "stdout"))
    assert "1200 prompts" in said and "in the way: nothing" in said, said


def test_what_its_text_says_of_the_verdicts_is_so(executed):
    (verdicts,) = [text for text in outputs(executed, "text/plain") if "span_standardised" in text]
    for one in (
        "scenario='two-questions', measure='notebook', verdict='supported'",
        "scenario='same-question', measure='notebook', verdict='supported'",
        "scenario='two-questions', measure='span_standardised', verdict='supported'",
    ):
        assert one in verdicts, verdicts
    for measure in ("span_standardised", "last_standardised", "jsd_bits"):
        found = f"scenario='same-question', measure='{measure}', verdict='supported'"
        assert found not in verdicts, verdicts
