"""The files of a run directory, as FORMAT.md has them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from aqlens._errors import DamagedRun, NoRun, NotInRun

#: A sealed file ends with the SHA-256 of its text without that field.
SEAL = re.compile(rb',\n  "sha256": "([0-9a-f]{64})"(?=\n}\n\Z)')

#: Tables that `retain` of a pipeline keeps or not.
RAW = ("activations", "attention", "logits")


def sealed(path: Path) -> dict[str, Any]:
    """A sealed JSON document, without its seal.

    Raises:
        DamagedRun: its seal does not hold, or it is no such document.
    """
    text = path.read_bytes()
    seal = SEAL.search(text)
    whole = SEAL.sub(b"", text)
    if seal is None or hashlib.sha256(whole).hexdigest().encode() != seal.group(1):
        raise DamagedRun(
            f"{path} is damaged or was edited: its seal does not hold; `aqlens verify` says what "
            "else is, and running the pipeline again makes a new one"
        )
    document: dict[str, Any] = json.loads(whole)
    return document


def plain(path: Path) -> dict[str, Any]:
    """A JSON document."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedRun(f"{path} is damaged: {error}; run the pipeline again") from error
    if not isinstance(document, dict):
        raise DamagedRun(f"{path} is damaged: it is no JSON object; run the pipeline again")
    return document


def open_run(path: Path) -> dict[str, Any]:
    """The record of the run in a folder.

    Raises:
        NoRun: there is none.
        DamagedRun: it is not what aqlens wrote.
    """
    record = path / "run.json"
    if record.is_file():
        return sealed(record)
    if not path.is_dir():
        raise NoRun(f"{path} does not exist; runs are in runs/NAME unless run_dir said otherwise")
    raise NoRun(f"{path} is no run directory: it has no run.json")


def tables(path: Path) -> tuple[str, ...]:
    """The tables of which there are files, by name."""
    folder = path / "tables"
    if not folder.is_dir():
        return ()
    return tuple(sorted(each.name for each in folder.iterdir() if any(each.glob("*.parquet"))))


def parts(path: Path, table: str) -> list[str]:
    """The files of a table in the order of their rows.

    Raises:
        NotInRun: there are none, with why.
    """
    folder = path / "tables" / table
    found = sorted(folder.glob("*.parquet")) if _is_name(table) and folder.is_dir() else []
    if found:
        return [str(file) for file in found]
    if _is_name(table) and next(folder.glob("layer=*/*.parquet"), None) is not None:
        raise NotInRun(
            f"the table {table} of {path} is of an early format, one folder a layer: run its "
            f"pipeline again, or read {folder}/**/*.parquet with hive partitioning"
        )
    known = ", ".join(tables(path)) or "none"
    if table in RAW:
        raise NotInRun(
            f"{path} keeps no table {table}: add it to `retain` of its pipeline and run it again. "
            f"It has: {known}"
        )
    raise NotInRun(
        f"{path} has no table {table!r}: its pipeline has no stage that writes it, or it is not "
        f"that far yet. It has: {known}"
    )


def _is_name(table: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]*", table) is not None
