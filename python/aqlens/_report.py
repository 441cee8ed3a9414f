"""The report of a run."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from aqlens import _html


class Report:
    """``report.html`` of a run: shows itself in a notebook; ``path`` is the file, ``html`` its
    text."""

    def __init__(self, path: Path, height: int = 800) -> None:
        self.path = path
        self.height = height

    @property
    def html(self) -> str:
        """The whole document; it needs nothing from elsewhere."""
        return self.path.read_text(encoding="utf-8")

    def open(self) -> bool:
        """Opens it in the web browser; False when there is none."""
        return webbrowser.open(self.path.absolute().as_uri())

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return _html.frame(self.html, self.height)
