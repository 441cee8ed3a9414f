"""Prints the table of families of `README.md`: each as a tiny model, its graphs against PyTorch.

cd export && python families_table.py
"""

import sys
import tempfile
from pathlib import Path

import torch
import transformers

# This checkout's package, wherever the environment's own was installed from.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from aqlens_export.graphs import check_graphs, write_spec
from aqlens_export.read import read_spec
from aqlens_export.subject import subject_of
from tests.tiny_families import FAMILIES, make_model

POSITIONS = 96

KINDS = (
    *("hidden", "attention", "logits", "head", "past", "past_attention"),
    *("elsewhere", "elsewhere_attention", "patch"),
)


def main() -> None:
    """One row a family, then the largest of each column."""
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    kinds = "hidden | attention | logits | head | with prefixes | its attention"
    print(f"| tiny model | {kinds} | elsewhere | its attention | patched |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    largest = dict.fromkeys(KINDS, 0.0)
    for name, (model_type, changes) in FAMILIES.items():
        model = make_model(model_type, changes)
        spec = read_spec(model, POSITIONS)
        with tempfile.TemporaryDirectory() as folder:
            write_spec(Path(folder), spec)
            found = check_graphs(Path(folder), subject_of(model, spec)).largest
        largest = {kind: max(largest[kind], found[kind]) for kind in KINDS}
        _row(name, found)
    _row("largest", largest)


def _row(name: str, values: dict[str, float]) -> None:
    print(f"| {name} | " + " | ".join(f"{values[kind]:.1e}" for kind in KINDS) + " |")


if __name__ == "__main__":
    main()
