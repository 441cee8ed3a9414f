"""Turns GPT-2 checkpoints into the model folders that `aqlens` reads.

The way through: `source` (checkpoint -> PyTorch model) -> `graph`, `past` and `weights` (-> the
graphs, and what they share) -> `check` and `check_past` (ONNX Runtime against PyTorch) -> `probe`
and `folder` (-> model.json, the finished folder). `run.export_model` joins them, `../export.py` is
the command line.
"""

import os

# Read when ONNX Runtime is imported: its builds report on their use otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
