"""Vectors of tables as NumPy arrays, with a frame that says what each row is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqlens._readers import reader

#: Which frames can name the rows of an array.
FRAMES = ("polars", "pandas", "arrow")


@dataclass(frozen=True)
class Rows:
    """An array and what its rows are; unpacks as ``values, index``.

    Attributes:
        values: float32 ``[n, width]``.
        index: a frame of n rows: the keys of each row of `values`, in its order.
        missing: a frame of the rows that have no values, with their ``status``; they are in neither
            of the others.
    """

    values: NDArray[np.float32]
    index: Any
    missing: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.values, self.index))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        n = len(self.missing)
        without = f", {n} without values" if n else ""
        return f"Rows({self.values.shape[0]} x {self.values.shape[1]}{without})"


def rows_of(
    files: Sequence[str], table: str, column: str, wanted: Mapping[str, Any], how: str
) -> Rows:
    """The rows of a table that have these keys, `column` of them as an array.

    A key that is None takes every value; a list or a tuple takes several. Rows of different lengths
    are padded with NaN.

    Raises:
        ValueError: no row has these keys; it says which there are.
    """
    if how not in FRAMES:
        raise ValueError(f"how={how!r} names no rows; those are {', '.join(map(repr, FRAMES))}")
    keys = {
        key: list(value) if isinstance(value, (list, tuple, set, range)) else [value]
        for key, value in wanted.items()
        if value is not None
    }
    return (_of_polars if how == "polars" else _of_arrow)(files, table, column, keys, how)


def _of_polars(
    files: Sequence[str], table: str, column: str, keys: Mapping[str, list[Any]], how: str
) -> Rows:
    pl = reader("polars", "how='polars'")
    scan = pl.scan_parquet(list(files), glob=False)
    frame = scan
    for key, values in keys.items():
        frame = frame.filter(pl.col(key).is_in(values))
    found = frame.collect()
    if found.is_empty():
        there = (
            scan.select(pl.col(key).unique() for key in list(keys)[:1]).collect() if keys else None
        )
        _none(table, keys, [] if there is None else sorted(there.to_series().to_list()))
    # A vector that could not be computed is zeros, and only the status says so.
    has = pl.col("status") == "ok" if "status" in found.columns else pl.lit(True)
    good, missing = found.filter(has), found.filter(~has)
    lists = good[column]
    flat = lists.explode().to_numpy().astype(np.float32, copy=False)
    n = len(lists)
    is_even = lists.dtype == pl.Array
    lengths = np.full(n, len(flat) // max(n, 1)) if is_even else lists.list.len().to_numpy()
    index = good.drop([name for name in (column, "status") if name in good.columns])
    return Rows(_shaped(flat, lengths), index, missing.drop(column))


def _of_arrow(
    files: Sequence[str], table: str, column: str, keys: Mapping[str, list[Any]], how: str
) -> Rows:
    ds = reader("pyarrow.dataset", f"how={how!r}")
    pc = reader("pyarrow.compute", f"how={how!r}")
    if how == "pandas":
        reader("pandas", "how='pandas'")
    dataset = ds.dataset(list(files), format="parquet")
    condition = None
    for key, values in keys.items():
        one = ds.field(key).isin(values)
        condition = one if condition is None else condition & one
    found = dataset.to_table(filter=condition)
    if found.num_rows == 0:
        first = list(keys)[:1]
        there = pc.unique(dataset.to_table(columns=first)[first[0]]).to_pylist() if first else []
        _none(table, keys, sorted(there))
    good, missing = found, found.slice(0, 0)
    if "status" in found.column_names:
        has = pc.equal(found["status"], "ok")
        good, missing = found.filter(has), found.filter(pc.invert(has))
    lists = good[column].combine_chunks()
    if hasattr(lists, "chunks"):  # A ChunkedArray without rows, in some versions.
        lists = lists.chunk(0)
    flat = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    index = good.drop([name for name in (column, "status") if name in good.column_names])
    missing = missing.drop([column])
    if how == "pandas":
        return Rows(_shaped(flat, lengths), index.to_pandas(), missing.to_pandas())
    return Rows(_shaped(flat, lengths), index, missing)


def _none(table: str, keys: Mapping[str, list[Any]], there: list[Any]) -> None:
    asked = ", ".join(
        f"{key}={values[0] if len(values) == 1 else values}" for key, values in keys.items()
    )
    first = next(iter(keys), None)
    others = ", ".join(map(repr, there[:20])) + (", ..." if len(there) > 20 else "")
    known = f"; of {first} there are {others}" if first is not None else ""
    raise ValueError(f"no row of table {table} has {asked or 'anything'}{known}")


def _shaped(flat: NDArray[np.float32], lengths: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of these lengths as one array, shorter ones with NaN behind."""
    n, width = len(lengths), int(lengths.max(initial=0))
    if n * width == len(flat):
        shaped = flat.reshape(n, width)
        # Readers give memory of their own, which nobody may write to.
        return shaped if shaped.flags.writeable else shaped.copy()
    padded = np.full((n, width), np.nan, dtype=np.float32)
    padded[np.arange(width) < lengths[:, None]] = flat
    return padded
