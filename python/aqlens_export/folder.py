"""The model folder: staged beside its place, moved there when it is whole."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
import transformers

from . import __version__
from .errors import ExportError
from .graph import OPSET
from .graphs import GRAPHS
from .source import Source

FORMAT = 1
"""Raised when model.json changes so that an older reader would misread it."""

FILES = (*GRAPHS, "model.onnx.data", "tokenizer.json", "model.json")
"""Everything an export writes, in the order it is moved; model.json last: it seals the folder."""


def refuse_unless_ours(out: Path, checkpoint: str | None) -> None:
    """Raises ExportError when `out` holds something that an export did not make.

    Allowed: nothing there, an empty folder, a model folder of this exporter, or the folder that
    the exported checkpoint itself lies in (`data/demo` for `data/demo/checkpoint`).
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportError(f"--out {out} is a file: name a folder")
    if not any(out.iterdir()) or _is_model_folder(out):
        return
    inside = checkpoint is not None and out.resolve() in Path(checkpoint).resolve().parents
    if inside and not any((out / name).exists() for name in FILES):
        return
    raise ExportError(
        f"--out {out} has files in it but no model.json of aqlens: "
        "name a new folder, or empty this one first"
    )


def _is_model_folder(folder: Path) -> bool:
    try:
        found = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "format" in found and "family" in found


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write to; its files move to `out` if the block succeeds.

    When the block fails, the staging folder is removed and `out` is as it was. While files move,
    `out` has no model.json, so that a half-moved folder is never taken for a model.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        yield staging
        out.mkdir(exist_ok=True)
        (out / "model.json").unlink(missing_ok=True)
        for name in FILES:
            if (staging / name).exists():
                os.replace(staging / name, out / name)
            else:
                (out / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_model_json(folder: Path, source: Source, probe: dict) -> None:
    """Writes `folder`/model.json, of format 1, for the files of a GPT-2 that already lie there."""
    config = source.model.config
    described = {
        "format": FORMAT,
        "family": "gpt2",
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "d_model": config.n_embd,
        "vocab_size": config.vocab_size,
        "n_positions": config.n_positions,
        "source": {
            "name": source.name,
            "revision": source.revision,
            "random_seed": source.random_seed,
        },
        "files": {name: seal_of(folder / name) for name in FILES if (folder / name).exists()},
        "exporter": exporter_versions(),
        "probe": probe,
    }
    (folder / "model.json").write_text(readable_json(described) + "\n", encoding="utf-8")


def exporter_versions() -> dict:
    """What made the folder."""
    return {
        "aqlens_export": __version__,
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "onnx": onnx.__version__,
        "opset": OPSET,
    }


def seal_of(path: Path) -> dict:
    """Hash and size of one file. Units: bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def readable_json(value, indent: str = "") -> str:
    """JSON with one line per innermost object or list: short to scroll, plain to compare."""
    deeper = indent + "  "
    if isinstance(value, dict) and any(isinstance(v, dict | list) and v for v in value.values()):
        flat = all(not _nested(v) for v in value.values())
        if flat and "value" in value:
            return json.dumps(value)
        rows = (f"{json.dumps(k)}: {readable_json(v, deeper)}" for k, v in value.items())
        return "{\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        return "[\n" + ",\n".join(deeper + readable_json(v, deeper) for v in value) + f"\n{indent}]"
    return json.dumps(value)


def _nested(value) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, dict) or any(isinstance(v, dict | list) for v in inner)
