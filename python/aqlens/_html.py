"""Small pieces of HTML for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """A value as text in HTML; numbers with four significant digits, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return html.escape(str(value))


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, text to the left."""
    style = ' style="text-align:left"'
    head = "".join(f"<th{style}>{text(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{style}>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def frame(document: str, height: int) -> str:
    """A whole document inside another, which cannot reach out of it."""
    inside = html.escape(document, quote=True)
    return (
        f'<iframe srcdoc="{inside}" style="width:100%;height:{height}px;border:1px solid #ccc" '
        'sandbox="allow-scripts allow-popups"></iframe>'
    )
