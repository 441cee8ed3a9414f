"""Every query of the documentation, in this environment's versions of the readers.

tests/it/readers.rs runs most of them too, in one version each. docs/python.md and the README's
block are in test_page.py.
"""

import importlib
import re
import sys

import pytest
from conftest import ROOT

import aqlens

sys.path.insert(0, str(ROOT / "tests" / "readers"))
import page_queries

MEASURES = sorted((ROOT / "docs" / "measures").glob("[!R]*.md"))
# The others have an environment each, in tests/readers/matrix.py.
READERS = {"polars": "polars", "pyarrow": "pyarrow.dataset", "pandas": "pandas"}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    """A folder in which RUN is a run of all kinds of stages on the demo model."""
    folder = tmp_path_factory.mktemp("oracle")
    aqlens.run(ROOT / "tests" / "oracle" / "pipeline.yml", folder / "RUN")
    return folder


@pytest.mark.parametrize("page", MEASURES, ids=lambda page: page.stem)
def test_the_queries_of_a_page_of_measures_answer(page, oracle, monkeypatch):
    monkeypatch.chdir(oracle)
    page_queries.check(page.read_text(encoding="utf-8"), 1)


def test_the_queries_of_the_tables_answer(demo, monkeypatch):
    monkeypatch.chdir(demo.path.parents[1])
    page_queries.check((ROOT / "docs" / "tables.md").read_text(encoding="utf-8"), 3)


def test_each_reader_reads_as_its_page_says(oracle, monkeypatch):
    monkeypatch.chdir(oracle)
    text = (ROOT / "docs" / "readers.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```python\n# (\w+).*?\n(.*?)\n```", text, re.DOTALL))
    n_rows = {}
    for name, module in READERS.items():
        importlib.import_module(module)
        root = {"pl": importlib.import_module("polars"), name: importlib.import_module(name)}
        table = eval(blocks[name], root)
        table = table.collect() if hasattr(table, "collect") else table
        n_rows[name] = len(table)
    (query,) = re.findall(r"```sql\n-- DuckDB\n(.*?)```", text, re.DOTALL)
    n_rows["DuckDB"] = sum(n for _, n in importlib.import_module("duckdb").sql(query).fetchall())
    assert len(set(n_rows.values())) == 1 and n_rows["polars"] > 0, n_rows
