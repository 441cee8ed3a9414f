"""Makes what the tests compare against (`make fixtures`): the tiny model folder and the notebook's
numbers, for the tiny pipeline and for the notebook's own on the demo model.

    tests/fixtures/tiny/checkpoint/          the tiny model in Hugging Face layout
    tests/fixtures/tiny/                     the same model, exported
    tests/fixtures/reference/tiny.json       the notebook's numbers for tests/fixtures/tiny.yml
    tests/fixtures/reference/experiment-037.json     the same for pipelines/experiment-037.yml on
                                             data/demo/checkpoint, once that is trained

The pipelines are written by hand; everything above is written here. Made again with the pinned
versions, the files come out the same to the byte on one kind of processor, and to 1e-6 on others.
"""

import argparse
import itertools
import sys
from pathlib import Path

import torch

# This checkout's package, wherever the environment's own was installed from.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import reference
import tiny_model
from aqlens_export.errors import ExportError
from aqlens_export.run import ExportOptions, export_model

ROOT = Path(__file__).resolve().parent.parent
DEMO_CHECKPOINT = ROOT / "data" / "demo" / "checkpoint"

CLEARLY_APART = 1e-5
"""Attention weights and ratios of probabilities closer than this may change ranks elsewhere."""

COSINE_NOISE = 1e-6
"""What float32 cosines of the same activations differ by, between PyTorch and exact sums."""


def make_tiny(fixtures: Path, pipeline: Path) -> None:
    """Writes the tiny checkpoint, its export and its reference numbers below `fixtures`."""
    folder = fixtures / "tiny"
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    tiny_model.write_checkpoint(checkpoint)
    export_model(ExportOptions(out=folder, model=str(checkpoint), name="tiny", threads=1))
    make_numbers(pipeline, checkpoint, fixtures / "reference" / "tiny.json")


def make_numbers(pipeline: Path, checkpoint: Path, out: Path) -> None:
    """Writes the notebook's numbers, with a list of those that stand on an edge."""
    torch.set_num_threads(1)
    numbers = reference.make_reference(
        reference.read_pipeline(pipeline), reference.Notebook(str(checkpoint))
    )
    numbers["close_calls"] = list(close_calls(numbers))
    for call in numbers["close_calls"]:
        print(f"close     {call}")
    out.parent.mkdir(parents=True, exist_ok=True)
    reference.write_json(out, numbers)
    print(f"written   {out.name}, {out.stat().st_size:,} bytes")


def close_calls(numbers: dict):
    """Describes each rank and printed digit that rounding could turn over.

    A test compares those of the demo model loosely; the tiny model has none.
    """
    for scenario in numbers["scenarios"]:
        for layer, value in scenario["mean_similarity"].items():
            if value is not None and _near_boundary(value, 4, COSINE_NOISE):
                yield f"mean similarity {value} of {scenario['name']} layer {layer}"
        for row in scenario["inputs"]:
            where = f"{scenario['name']}/{row['input']}"
            last = str(scenario["layers"][-1])
            for i, line in enumerate(row["similarity"][last]):
                for value in line[i + 1 :]:
                    if _near_boundary(value, 4, COSINE_NOISE):
                        yield f"similarity {value} of {where}"
            for prompt in row["prompts"]:
                yield from _close_prompt(prompt, f"{where}/{prompt['task']}")


def _close_prompt(prompt: dict, where: str):
    gap = prompt["focus"]["gap"]
    if gap is not None and gap < CLEARLY_APART:
        yield f"attention gap {gap} of {where}"
    for layer, row in prompt["logit_lens"].items():
        if row["gap"] < CLEARLY_APART:
            yield f"logit lens gap {row['gap']} of {where} layer {layer}"
    tokens = [token["probability"] for token in prompt["next_tokens"]]
    for higher, lower in itertools.pairwise(tokens):
        if higher < lower * (1 + CLEARLY_APART):
            yield f"next-token probabilities {higher} and {lower} of {where}"
    for probability in tokens:
        if _near_boundary(probability, 4, probability * CLEARLY_APART):
            yield f"next-token probability {probability} of {where}"


def _near_boundary(value: float, digits: int, noise: float) -> bool:
    """Whether a difference of `noise` could print other digits."""
    return f"{value - noise:.{digits}f}" != f"{value + noise:.{digits}f}"


def main(arguments: list[str] | None = None) -> int:
    """Writes every fixture; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the fixtures of the tests.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "tests" / "fixtures", help="folder to write to"
    )
    fixtures = parser.parse_args(arguments).out
    try:
        make_tiny(fixtures, ROOT / "tests" / "fixtures" / "tiny.yml")
        if (DEMO_CHECKPOINT / "model.safetensors").is_file():
            notebook = ROOT / "pipelines" / "experiment-037.yml"
            make_numbers(notebook, DEMO_CHECKPOINT, fixtures / "reference" / "experiment-037.json")
        else:
            print("skipped   experiment-037.json: data/demo/checkpoint is not trained yet")
    except (ExportError, reference.PipelineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
