"""Tables through every reader, columns, failed values, damaged and missing things."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest

import aqlens


def recorded(run):
    """Rows of each table as the receipts have them."""
    rows = {}
    for file in (run.path / "receipts").rglob("*.json"):
        for part in json.loads(file.read_text())["parts"]:
            if part["path"].startswith("tables/"):
                table = part["path"].split("/")[1]
                rows[table] = rows.get(table, 0) + part["rows"]
    return rows


def count(table, how):
    if how == "polars":
        assert isinstance(table, pl.LazyFrame)
        return table.select(pl.len()).collect().item()
    if how == "dataset":
        return table.count_rows()
    return table.aggregate("count(*)").fetchall()[0][0] if how == "duckdb" else len(table)


@pytest.mark.parametrize("how", ["polars", "arrow", "dataset", "pandas", "duckdb"])
@pytest.mark.parametrize("which", ["tiny", "kinds"])
def test_every_reader_gives_every_row_of_every_table(request, which, how):
    run = request.getfixturevalue(which)
    rows = recorded(run)
    assert set(run.tables) == set(rows)
    for name in run.tables:
        assert count(run.table(name, how), how) == rows[name], name


@pytest.mark.parametrize("how", ["polars", "arrow", "pandas", "duckdb"])
def test_only_the_columns_that_are_asked_for_are_read(tiny, how):
    table = tiny.table("similarity", how, columns=["value", "layer"])
    names = (
        table.collect_schema().names() if how == "polars" else getattr(table, "column_names", None)
    )
    assert list(names if names is not None else table.columns) == ["value", "layer"]


def test_duckdb_has_every_table_as_a_view(kinds):
    connection = kinds.duckdb()
    query = "SELECT count(*) FROM similarity JOIN divergence USING (scenario, layer, measure)"
    assert connection.sql(query).fetchall()[0][0] > 0
    views = {name for (name,) in connection.sql("SELECT view_name FROM duckdb_views()").fetchall()}
    assert set(kinds.tables) <= views


def test_columns_are_those_of_the_program_with_unit_and_meaning(kinds):
    document = {table["name"]: table for table in aqlens.schema()["tables"]}
    for name in kinds.tables:
        columns, of_program = kinds.columns(name), document[name]
        said = [(column["name"], column["unit"], column["doc"]) for column in of_program["columns"]]
        assert [tuple(column) for column in columns] == said
        assert columns.row == of_program["row"]
    effect = kinds.columns("effect")
    assert effect.named("ci_low").meaning in str(effect)
    assert "<table" in effect._repr_html_()


@pytest.mark.parametrize("package", ["pyarrow", "polars", "duckdb"])
def test_each_reader_alone_reads_the_files_own_words(kinds, package):
    """The others are kept from being imported, in a Python of its own."""
    script = (
        "import sys; import aqlens\n"
        "readers = {'pyarrow', 'polars', 'duckdb'}\n"
        f"for name in readers - {{{package!r}}}: sys.modules[name] = None\n"
        # The program would say the same: only polars 1.0 needs to ask it.
        "import importlib; of_package = importlib.import_module(sys.argv[2])\n"
        "if sys.argv[2] != 'polars' or hasattr(of_package, 'read_parquet_metadata'):\n"
        "    aqlens._calls.schema = None\n"
        "columns = aqlens.Run(sys.argv[1]).columns('effect')\n"
        "print(len(columns), columns.row, columns.named('auc').unit)"
    )
    command = [sys.executable, "-c", script, kinds.path, package]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = f"{len(kinds.columns('effect'))} {kinds.columns('effect').row} probability"
    assert ended.stdout.strip() == expected, ended.stderr


def test_failed_values_are_null_and_their_status_is_a_known_word(kinds):
    words = aqlens.statuses()
    n = 0
    for name in kinds.tables:
        if not any(column.name == "status" for column in kinds.columns(name)):
            with pytest.raises(ValueError, match="no column status"):
                kinds.failed(name)
            continue
        failed, whole = kinds.failed(name).collect(), kinds.table(name).collect()
        assert set(whole["status"]) <= set(words), name
        assert failed.height == whole.filter(pl.col("status") != "ok").height
        n += failed.height
        if "value" in failed.columns:
            assert failed["value"].null_count() == failed.height, name
    assert n > 0, "the run has skipped prompts"


def test_what_is_not_there_is_named_with_what_is(tiny, tmp_path):
    with pytest.raises(aqlens.NotInRun, match=r"no table 'effect'.*similarity"):
        tiny.table("effect")
    with pytest.raises(aqlens.NotInRun, match=r"no table '\.\./tables'"):
        tiny.table("../tables")
    with pytest.raises(ValueError, match="'csv' is no reader"):
        tiny.table("similarity", how="csv")
    with pytest.raises(aqlens.NotInRun, match="no stage `report`"):
        _ = tiny.report
    with pytest.raises(aqlens.NoRun, match="does not exist"):
        aqlens.Run(tmp_path / "none")
    with pytest.raises(aqlens.NoRun, match=r"no run\.json"):
        aqlens.Run(tmp_path)


def test_a_raw_table_that_was_not_kept_says_how_to_keep_it(tmp_path):
    from conftest import TINY

    run = aqlens.run(TINY, tmp_path / "run", retain=[])
    assert "activations" not in run.tables
    with pytest.raises(aqlens.NotInRun, match="`retain`"):
        run.activations(layer=0)


def test_a_record_that_was_edited_is_refused(tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny.path, copy)
    record = copy / "run.json"
    text = record.read_text()
    assert '"provider": "cpu"' in text
    record.write_text(text.replace('"provider": "cpu"', '"provider": "gpu"'))
    with pytest.raises(aqlens.DamagedRun, match="seal does not hold"):
        aqlens.Run(copy)


def test_verify_names_what_was_altered(tiny, tmp_path):
    assert "sound" in tiny.verify()
    copy = tmp_path / "copy"
    shutil.copytree(tiny.path, copy)
    part = next((copy / "tables" / "similarity").iterdir())
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(aqlens.AqlensError, match="similarity") as caught:
        aqlens.Run(copy).verify()
    assert caught.value.exit_code == 1


def test_an_early_format_says_how_to_read_it():
    from conftest import ROOT

    run = aqlens.Run(ROOT / "tests" / "fixtures" / "runs" / "v1")
    assert "similarity" in run.tables and len(run.verdict) > 0
    with pytest.raises(aqlens.NotInRun, match="early format"):
        run.table("activations")


def test_a_reader_that_is_missing_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(aqlens.NoReader, match="pip install polars"):
        tiny.table("similarity")


def test_no_reader_is_imported_before_it_is_asked_for(tiny):
    script = (
        "import sys; import aqlens; run = aqlens.Run(sys.argv[1]); run.verdict; run._repr_html_()\n"
        "readers = {'polars', 'pyarrow', 'pandas', 'duckdb', 'tqdm'}\n"
        "print(sorted(readers & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, tiny.path]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
