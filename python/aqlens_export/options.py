"""What an export is asked for; needs nothing but Python."""

from dataclasses import dataclass
from pathlib import Path

DTYPES = ("f32", "f16", "bf16")
"""The types of weights, by the names that the command line and model.json have for them."""


@dataclass
class ExportOptions:
    """What the command line says (`cli.build_parser` documents each)."""

    out: Path
    model: str | None = None
    revision: str | None = None
    config: str | None = None
    family: str | None = None
    seed: int = 0
    tokenizer: Path | None = None
    name: str | None = None
    save_checkpoint: Path | None = None
    threads: int = 0
    dtype: str = "f32"
