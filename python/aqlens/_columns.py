"""What the columns of a table mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aqlens import _html


class Column(NamedTuple):
    """A column: its name, its unit (empty where it has none) and what it says."""

    name: str
    unit: str
    meaning: str


class Columns(tuple[Column, ...]):
    """The columns of a table in their order; a table of them in a notebook.

    ``row`` says what one row is.
    """

    row: str

    @classmethod
    def of(cls, columns: Iterable[Column], row: str) -> Columns:
        """The columns, and what one row is."""
        made = cls(columns)
        made.row = row
        return made

    def named(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        for column in self:
            if column.name == name:
                return column
        raise KeyError(name)

    def __str__(self) -> str:
        width = max((len(column.name) for column in self), default=0)
        lines = [f"one row per {self.row}"]
        for column in self:
            unit = f" [{column.unit}]" if column.unit else ""
            lines.append(f"{column.name:<{width}}  {column.meaning}{unit}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<p>One row per {_html.text(self.row)}</p>" + _html.table(Column._fields, self)
