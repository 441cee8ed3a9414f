"""Turns checkpoints of decoder-only language models into the model folders that `aqlens` reads.

The way through: `source` (checkpoint -> PyTorch model), with `refusals` and `twin` before weights
are read; `read` (-> `spec`, the model as data; what its modules are called stands in `layouts`);
`build` and `nodes` (-> the graphs, whose weights `weights` stores), or for a GPT-2 `graph` and
`past`; `check` and `check_past` (ONNX Runtime against PyTorch, with the bounds of `subject` or
`precise`); `probe`, `tokens`, `card` or `folder` (-> model.json, the finished folder).
`run.export_model` joins them, `cli` is the command line, `aqlens-export`.
"""

import os

# Read when ONNX Runtime is imported: its builds report on their use otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
