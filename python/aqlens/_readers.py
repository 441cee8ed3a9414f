"""Tables in polars, pyarrow, pandas and DuckDB, each imported when it is asked for."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from aqlens._errors import NoReader

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset

How = Literal["polars", "arrow", "dataset", "pandas", "duckdb"]


def reader(package: str, asked: str) -> Any:
    """The package, imported.

    Raises:
        NoReader: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.split(".")[0]
        raise NoReader(
            f"{asked} needs {name}, which is not installed: `pip install {name}`, or ask for "
            "another reader with how='polars', 'arrow', 'dataset', 'pandas' or 'duckdb'"
        ) from error


def read(files: Sequence[str], how: str, columns: Sequence[str] | None) -> Any:
    """The files as one table, in the words of the reader."""
    ways: dict[str, Callable[[Sequence[str], Sequence[str] | None], Any]] = {
        "polars": _polars,
        "arrow": _arrow,
        "dataset": _dataset,
        "pandas": _pandas,
        "duckdb": _duckdb,
    }
    if how not in ways:
        raise ValueError(f"how={how!r} is no reader; those are {', '.join(map(repr, ways))}")
    return ways[how](files, columns)


def _polars(files: Sequence[str], columns: Sequence[str] | None) -> polars.LazyFrame:
    pl = reader("polars", "how='polars'")
    # A folder's name may have brackets in it, which are no pattern here.
    frame: polars.LazyFrame = pl.scan_parquet(list(files), glob=False)
    return frame if columns is None else frame.select(list(columns))


def _arrow(files: Sequence[str], columns: Sequence[str] | None) -> pyarrow.Table:
    return _dataset(files).to_table(columns=None if columns is None else list(columns))


def _dataset(files: Sequence[str], columns: Sequence[str] | None = None) -> pyarrow.dataset.Dataset:
    if columns is not None:
        raise ValueError("a dataset has all columns: name some to its to_table(columns=...)")
    found: pyarrow.dataset.Dataset = reader("pyarrow.dataset", "how='dataset'").dataset(
        list(files), format="parquet"
    )
    return found


def _pandas(files: Sequence[str], columns: Sequence[str] | None) -> pandas.DataFrame:
    reader("pandas", "how='pandas'")
    frame: pandas.DataFrame = _arrow(files, columns).to_pandas()
    return frame


def _duckdb(files: Sequence[str], columns: Sequence[str] | None) -> duckdb.DuckDBPyRelation:
    module = reader("duckdb", "how='duckdb'")
    relation: duckdb.DuckDBPyRelation = module.read_parquet(duckdb_names(files))
    return relation if columns is None else relation.project(", ".join(map(quoted, columns)))


def duckdb_names(files: Sequence[str]) -> list[str]:
    """Files as DuckDB names them: brackets, `*` and `?` in a name are no patterns."""
    return [re.sub(r"([*?\[])", r"[\1]", file) for file in files]


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def metadata(file: str) -> dict[str, str] | None:
    """A Parquet file's own words (``aqlens.columns``, ``aqlens.row``, ...), by whichever reader is
    installed; None where none of them reads such words."""
    for ask in (_of_pyarrow, _of_polars, _of_duckdb):
        try:
            found: dict[str, str] = ask(file)
        except (ImportError, AttributeError):
            continue
        return found
    return None


def _of_pyarrow(file: str) -> dict[str, str]:
    found = importlib.import_module("pyarrow.parquet").read_metadata(file).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def _of_polars(file: str) -> dict[str, str]:
    found: dict[str, str] = importlib.import_module("polars").read_parquet_metadata(file)
    return found


def _of_duckdb(file: str) -> dict[str, str]:
    query = (
        "SELECT decode(key), decode(value) FROM parquet_kv_metadata(?) "
        "WHERE key::VARCHAR LIKE 'aqlens.%'"
    )
    connection = importlib.import_module("duckdb").connect()
    rows = connection.execute(query, duckdb_names([file])).fetchall()
    return {str(key): str(value) for key, value in rows}


def said_columns(words: dict[str, str]) -> dict[str, dict[str, str]]:
    """Unit and meaning of each column, as a file says them."""
    said: dict[str, dict[str, str]] = json.loads(words["aqlens.columns"])
    return said


def names(file: str, said: Iterable[str]) -> list[str]:
    """The columns of a file in their order, as far as a reader that is installed knows it."""
    try:
        found = list(importlib.import_module("polars").read_parquet_schema(file))
    except ImportError:
        try:
            found = list(importlib.import_module("pyarrow.parquet").read_schema(file).names)
        except ImportError:
            found = list(said)
    return found
