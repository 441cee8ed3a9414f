"""aqlens from Python: run pipelines, and read what they wrote.

>>> import aqlens
>>> run = aqlens.run("pipelines/experiment-037.yml", stages__tokens__top_k=7)   # or Run("runs/...")
>>> run.verdict                                            # what the run says, scenario by scenario
>>> run.table("similarity").filter(layer=11).collect()     # a polars LazyFrame; or how="pandas",
... >>> values, index = run.vectors(layer=11, site="last")     # float32 [n, d_model], and what each
row is

Nothing here computes a measure: the program `aqlens` does, and its tables say what came out.
Polars, pyarrow, pandas and DuckDB are imported when they are asked for, never before.
"""

from importlib.metadata import PackageNotFoundError, version

from aqlens._arrays import Rows
from aqlens._calls import check, demo, run, schema, status, statuses
from aqlens._columns import Column, Columns
from aqlens._errors import (
    AqlensError,
    BrokenError,
    DamagedRun,
    Failed,
    Interrupted,
    Later,
    NoProgram,
    NoReader,
    NoRun,
    NotInRun,
    Problem,
    WrongPipeline,
)
from aqlens._program import find_bin
from aqlens._report import Report
from aqlens._run import Run
from aqlens._verdict import Verdict, Verdicts

try:
    __version__ = version("aqlens")
except PackageNotFoundError:  # A checkout on the path, not installed.
    __version__ = "unknown"

__all__ = [
    "AqlensError",
    "BrokenError",
    "Column",
    "Columns",
    "DamagedRun",
    "Failed",
    "Interrupted",
    "Later",
    "NoProgram",
    "NoReader",
    "NoRun",
    "NotInRun",
    "Problem",
    "Report",
    "Rows",
    "Run",
    "Verdict",
    "Verdicts",
    "WrongPipeline",
    "__version__",
    "check",
    "demo",
    "find_bin",
    "run",
    "schema",
    "status",
    "statuses",
]
