"""Opens every table of a run directory with polars, DuckDB and pyarrow and compares their answers.

Usage: read_tables.py RUN
"""

import json
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq

TABLES = {
    "prompts": "n_tokens",
    "skipped": None,
    "activations": "position",
    "attention": "query",
    "logits": None,
    "similarity": "value",
    "divergence": "mean",
    "attention_focus": "weight",
    "attention_overlap": "value",
    "next_tokens": "probability",
    "verdict": "value",
}

# What a run with stages beyond the notebook's has besides.
MORE_TABLES = {
    "reference": "sd",
    "alignment": "n_tokens",
    "seed_explain": "contribution",
    "vectors": None,
    "contrast": "value",
    "wording_pairs": None,
    "variance_partition": "r2_task",
    "effect": "delta",
    "geometry": "value",
    "attention_mass": "sink_mass",
    "attention_divergence": "value",
    "output_divergence": "jsd_bits",
    "output_divergence_token": "contribution_bits",
    "output_contrast": "value",
    "output_wording_pairs": None,
    "input_surprisal": "surprisal_bits",
    "logit_lens": "entropy_bits",
    "logit_lens_divergence": "jsd_bits",
}

# And what a run of an earlier version has not.
LATER_TABLES = {
    "decoding": "accuracy",
    "sinks": "norm",
    "token_spread": None,
    "attention_wording_pairs": None,
    "surprisal_wording_pairs": None,
    "lens_wording_pairs": None,
    "geometry_wording_pairs": None,
}

# Of runs that exchange the input's reading.
CAUSE_TABLES = {
    "mediation": "gain_nats",
    "use_effect": "value",
    "use_verdict": "necessity",
    "knockout": "loss_nats",
    "patch": "gain_nats",
    "patch_dose": "gain_nats",
    "patch_tokens": "gain_nats",
}

# Tables without rows when nothing happened that they would record; they open all the same.
MAY_BE_EMPTY = {"skipped"}


def check_table(run: Path, name: str, column: str | None) -> int:
    """Row counts and one sum agree between the three readers; returns the rows."""
    folder = run / "tables" / name
    files = sorted(folder.rglob("*.parquet"))
    assert files, f"no files of {name}"
    # A run directory of before `layer` was a column: it is in the names of folders.
    hive = files[0].parent != folder
    glob = str(folder / ("*/*.parquet" if hive else "*.parquet"))

    frame = pl.scan_parquet(glob, hive_partitioning=hive).collect()
    arrow = ds.dataset(folder, format="parquet", partitioning="hive" if hive else None).to_table()
    count = duckdb.sql(f"SELECT count(*) FROM '{glob}'").fetchall()[0][0]
    assert frame.height == arrow.num_rows == count, (name, frame.height, arrow.num_rows, count)
    assert count > 0 or name in MAY_BE_EMPTY, name
    if column is not None:
        of_polars = frame[column].sum()
        of_duckdb = duckdb.sql(f"SELECT sum({column}) FROM '{glob}'").fetchall()[0][0]
        of_arrow = sum(value for value in arrow[column].to_pylist() if value is not None)
        assert abs(of_polars - of_duckdb) < 1e-9 * max(1, abs(of_polars)), name
        assert abs(of_polars - of_arrow) < 1e-9 * max(1, abs(of_polars)), name
    check_types(name, frame, arrow, hive)
    check_metadata(name, files[0])
    return count


def check_types(name: str, frame: pl.DataFrame, arrow, hive: bool) -> None:
    """Keys and measures have the types of the contract; measures are never NaN."""
    wanted = {
        "scenario": pl.String,
        "input": pl.String,
        "task": pl.String,
        "wording": pl.Int16,
        # As a folder's name it had the reader's own type.
        **({} if hive else {"layer": pl.Int16}),
        "head": pl.Int16,
        "position": pl.Int32,
        "token_id": pl.Int32,
        "value": pl.Float64,
        "status": pl.String,
        "reason": pl.String,
        "detail": pl.String,
    }
    for column, kind in wanted.items():
        if column in frame.columns:
            assert frame.schema[column] == kind, (name, column, frame.schema[column])
    for column, kind in frame.schema.items():
        if kind == pl.Float64:
            assert frame[column].is_nan().sum() == 0, (name, column)
    if name in ("activations", "logits", "vectors"):
        assert isinstance(frame.schema["values"], pl.Array), frame.schema["values"]
        assert arrow.schema.field("values").type.value_type == "float"


def check_metadata(name: str, file: Path) -> None:
    """Every column's meaning stands in the file itself."""
    schema = pq.read_schema(file)
    columns = json.loads(schema.metadata[b"aqlens.columns"])
    assert schema.metadata[b"aqlens.table"].decode() == name
    for field in schema:
        assert columns[field.name]["doc"], (name, field.name)


def check_query(run: Path) -> None:
    """A real question: the cosine again, in SQL and in polars, from the stored activations."""
    glob = str(run / "tables/activations/**/*.parquet")
    pair = duckdb.sql(
        f"""
        SELECT a.scenario, a.input, a.layer, a.position,
               list_cosine_similarity(a.values::FLOAT[], b.values::FLOAT[]) AS cosine
        FROM '{glob}' a JOIN '{glob}' b USING (scenario, input, layer, position, wording)
        WHERE a.task < b.task AND a.position = 0 AND wording = 0
        """
    ).fetchall()
    assert pair and all(-1.000001 <= row[-1] <= 1.000001 for row in pair)
    top = (
        pl.scan_parquet(str(run / "tables/next_tokens/*.parquet"))
        .filter(pl.col("rank") == 1)
        .group_by("scenario", "task")
        .agg(pl.col("probability").mean())
        .collect()
    )
    assert top.height > 0


def main() -> None:
    run = Path(sys.argv[1])
    on_disk = {path.name for path in (run / "tables").iterdir()}
    has_more = bool(on_disk & set(MORE_TABLES))
    tables = TABLES | MORE_TABLES if has_more else TABLES
    if on_disk & set(LATER_TABLES):
        tables |= LATER_TABLES
    if on_disk & set(CAUSE_TABLES):
        tables |= CAUSE_TABLES
    assert on_disk == set(tables), on_disk ^ set(tables)
    for name, column in tables.items():
        print(name, check_table(run, name, column))
    check_query(run)


if __name__ == "__main__":
    main()
