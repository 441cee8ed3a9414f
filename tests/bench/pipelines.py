"""Pipelines that the benchmarks make: one scenario of texts from a file, every stage as it is by default."""

import json
from collections.abc import Iterable
from pathlib import Path


def write_pipeline(
    path: Path, model: Path, name: str, inputs: tuple[Path, Iterable[tuple[str, str]]], tasks: dict, stages: list, **more
) -> Path:
    """Writes `path`, and beside it the file of the inputs' ids and texts; `more` are further keys of the pipeline."""
    file, texts = inputs
    with file.open("w", encoding="utf-8") as lines:
        for key, text in texts:
            lines.write(json.dumps({"id": key, "text": text}) + "\n")
    pipeline = {
        "name": name,
        "model": str(model),
        "provider": "cpu",
        **more,
        "retain": [],
        "scenarios": [
            {
                "name": "scenes",
                "inputs": {"file": file.name, "id": "id", "text": "text"},
                "tasks": tasks,
            }
        ],
        "stages": [{"kind": kind} for kind in stages],
    }
    # JSON is YAML.
    path.write_text(json.dumps(pipeline, indent=1) + "\n", encoding="utf-8")
    return path
