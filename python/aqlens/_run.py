"""A run directory, for reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from aqlens import _folder, _html, _program, _readers
from aqlens._arrays import Rows, rows_of
from aqlens._columns import Column, Columns
from aqlens._errors import NotInRun
from aqlens._report import Report
from aqlens._verdict import Verdicts

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow
    import pyarrow.dataset

#: A key of rows: one value, several, or None for all of them.
Keys = str | int | Sequence[str] | Sequence[int] | None


class Run:
    """A run directory that `aqlens run` wrote, finished or not; nothing in it is changed.

    Args:
        path: the run directory.

    Raises:
        NoRun: there is none.
        DamagedRun: its `run.json` is not what aqlens wrote.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.record: dict[str, Any] = _folder.open_run(self.path)
        """`run.json`, without its seal: see FORMAT.md."""

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.lineage["pipeline"])

    @property
    def is_finished(self) -> bool:
        """Whether every stage is done. An unfinished run has the rows of what is done."""
        return bool(self.record["state"] == "finished")

    @property
    def lineage(self) -> dict[str, Any]:
        """What the numbers depend on: versions and hashes of model, tokenizer, prompts, pipeline
        and runtime."""
        lineage: dict[str, Any] = self.record["lineage"]
        return lineage

    @property
    def n_skipped(self) -> int:
        """How many prompts could not be run; table ``skipped`` has each with its reason."""
        return int(self.record["counts"]["skipped"])

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables that there are."""
        return _folder.tables(self.path)

    @overload
    def table(
        self, name: str, how: Literal["polars"] = ..., columns: Sequence[str] | None = ...
    ) -> polars.LazyFrame: ...
    @overload
    def table(
        self, name: str, how: Literal["arrow"], columns: Sequence[str] | None = ...
    ) -> pyarrow.Table: ...
    @overload
    def table(self, name: str, how: Literal["dataset"]) -> pyarrow.dataset.Dataset: ...
    @overload
    def table(
        self, name: str, how: Literal["pandas"], columns: Sequence[str] | None = ...
    ) -> pandas.DataFrame: ...
    @overload
    def table(
        self, name: str, how: Literal["duckdb"], columns: Sequence[str] | None = ...
    ) -> duckdb.DuckDBPyRelation: ...

    def table(self, name: str, how: str = "polars", columns: Sequence[str] | None = None) -> Any:
        """All rows of a table.

        A value that could not be computed is null, and ``status`` says why
        (:func:`aqlens.statuses`); :meth:`failed` gives these rows.

        Args:
            name: the table; :attr:`tables` lists them, :meth:`columns` says what they hold.
            how: ``"polars"`` (a LazyFrame), ``"dataset"`` (of pyarrow) and ``"duckdb"`` (a
                relation) read nothing until they are asked; ``"arrow"`` (a Table) and ``"pandas"``
                (a DataFrame) are in memory.
            columns: only these.

        Raises:
            NotInRun: the run has no such table, or does not keep it.
            NoReader: the reader is not installed.
        """
        return _readers.read(_folder.parts(self.path, name), how, columns)

    def failed(self, name: str) -> polars.LazyFrame:
        """The rows of a table whose values could not be computed: all with another ``status`` than
        ``ok``.

        Raises:
            NotInRun: there is no such table.
            ValueError: the table has no column ``status``: all its values were computed.
        """
        pl = _readers.reader("polars", "Run.failed")
        if not any(column.name == "status" for column in self.columns(name)):
            raise ValueError(f"table {name} has no column status: every row of it was computed")
        frame: polars.LazyFrame = self.table(name).filter(pl.col("status") != "ok")
        return frame

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """A new DuckDB connection that has every table of the run as a view of its name."""
        connection: duckdb.DuckDBPyConnection = _readers.reader("duckdb", "Run.duckdb").connect()
        for name in self.tables:
            files = _readers.duckdb_names(_folder.parts(self.path, name))
            connection.read_parquet(files).create_view(name)
        return connection

    def columns(self, name: str) -> Columns:
        """What each column of a table says, and its unit, as the table's own files have it; as the
        installed program has it where no reader that is installed reads such words (polars before
        1.31 alone).

        Raises:
            NotInRun: there is no such table.
        """
        file = _folder.parts(self.path, name)[0]
        words = _readers.metadata(file)
        if words is None:
            from aqlens._calls import schema

            table = next(one for one in schema()["tables"] if one["name"] == name)
            columns = table["columns"]
            return Columns.of(
                (Column(c["name"], c["unit"], c["doc"]) for c in columns), table["row"]
            )
        said = _readers.said_columns(words)
        names = _readers.names(file, said)
        return Columns.of(
            (Column(name, said[name]["unit"], said[name]["doc"]) for name in names),
            words["aqlens.row"],
        )

    @property
    def prompts(self) -> polars.DataFrame:
        """Table ``prompts``: every prompt, its text, its tokens and where the input stands in
        them."""
        return self.table("prompts").collect()

    def vectors(
        self,
        layer: Keys = None,
        site: Keys = None,
        *,
        scenario: Keys = None,
        input: Keys = None,
        task: Keys = None,
        wording: Keys = None,
        how: str = "polars",
    ) -> Rows:
        """One vector a prompt, layer and site, of stage ``vectors``: float32 ``[n, d_model]``, the
        residual stream behind block `layer`, before the final layer norm.

        Args:
            layer: which layers, counted from 0; None for all, a list for several; so for all keys.
            site: ``"last"``, the prompt's last token, or ``"span"``, the mean over the input's
                tokens.
            how: what `index` is: ``"polars"``, ``"pandas"`` or ``"arrow"``.

        Raises:
            NotInRun: the pipeline has no stage ``vectors``.
            ValueError: there are no such rows.
        """
        keys = {"layer": layer, "site": site, "scenario": scenario, "input": input}
        return self._rows("vectors", "values", {**keys, "task": task, "wording": wording}, how)

    def activations(
        self,
        layer: Keys = None,
        *,
        scenario: Keys = None,
        input: Keys = None,
        task: Keys = None,
        wording: Keys = None,
        position: Keys = None,
        how: str = "polars",
    ) -> Rows:
        """The residual stream at every token of every prompt: float32 ``[n, d_model]``, one row a
        prompt, layer and position; `index` has these and ``token_id``. Needs ``activations`` in the
        pipeline's `retain`.
        """
        keys = {"layer": layer, "scenario": scenario, "input": input, "task": task}
        keys |= {"wording": wording, "position": position}
        return self._rows("activations", "values", keys, how)

    def attention(
        self,
        layer: Keys = None,
        head: Keys = None,
        *,
        scenario: Keys = None,
        input: Keys = None,
        task: Keys = None,
        wording: Keys = None,
        how: str = "polars",
    ) -> Rows:
        """The attention of each prompt's last token: float32 ``[n, longest prompt]``, one row a
        prompt, layer and head, over the prompt's own tokens, NaN behind these. Needs ``attention``
        in the pipeline's `retain`.
        """
        keys = {"layer": layer, "head": head, "scenario": scenario, "input": input}
        return self._rows("attention", "weights", {**keys, "task": task, "wording": wording}, how)

    def logits(
        self,
        *,
        scenario: Keys = None,
        input: Keys = None,
        task: Keys = None,
        wording: Keys = None,
        how: str = "polars",
    ) -> Rows:
        """The scores of the next token: float32 ``[n, vocab_size]``, one row a prompt. Needs
        ``logits`` in the pipeline's `retain`.
        """
        keys = {"scenario": scenario, "input": input, "task": task, "wording": wording}
        return self._rows("logits", "values", keys, how)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`summary.json`: verdicts and headline numbers by scenario; see FORMAT.md.

        Raises:
            NotInRun: the pipeline has no stage ``summary``, or the run is not that far.
        """
        return _folder.plain(self._result("summary.json", "summary"))

    @property
    def verdict(self) -> Verdicts:
        """What the run says, scenario by scenario and measure by measure, each with its reason."""
        return Verdicts.of(self.summary)

    @property
    def report(self) -> Report:
        """The report; shows itself in a notebook.

        Raises:
            NotInRun: the pipeline has no stage ``report``, or the run is not that far.
        """
        return Report(self._result("report.html", "report"))

    def verify(self) -> str:
        """Hashes every file of the run and says that all is sound.

        Raises:
            Failed: something is missing, altered or foreign; it names each.
        """
        return _program.output_of(["verify", os.fspath(self.path)], says_all=True)

    def _rows(self, table: str, column: str, keys: dict[str, Keys], how: str) -> Rows:
        return rows_of(_folder.parts(self.path, table), table, column, keys, how)

    def _result(self, name: str, stage: str) -> Path:
        path = self.path / name
        if path.is_file():
            return path
        reason = (
            f"its pipeline has no stage `{stage}`" if self.is_finished else "it is not finished"
        )
        raise NotInRun(f"{self.path} has no {name}: {reason}")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        lineage, counts = self.lineage, self.record["counts"]
        state = "" if self.is_finished else ", not finished"
        head = (
            f"<p><b>{_html.text(self.name)}</b> on {_html.text(lineage['model'])}: "
            f"{counts['prompts']} prompts{state} ({_html.text(self.path)})</p>"
        )
        has_verdict = (self.path / "summary.json").is_file()
        return head + (self.verdict._repr_html_() if has_verdict else "<p>No verdict.</p>")
