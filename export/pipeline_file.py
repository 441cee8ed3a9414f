"""Reads from a pipeline file what the notebook has constants for. For `reference.py` alone: aqlens
reads pipelines with its own reader, and the tests compare the two.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

DEFAULT_PROMPT = "{task}\n\nContext: {input}\n\nAnswer:"
DEFAULT_TOP_K = 5
DEFAULT_THRESHOLD = 0.9


class PipelineError(Exception):
    """A pipeline or checkpoint that the reference cannot be made from."""


@dataclass
class Scenario:
    """Inputs and tasks as id -> text, in the pipeline's order."""

    name: str
    inputs: dict[str, str]
    tasks: dict[str, str]


@dataclass
class Pipeline:
    """What the notebook's constants were: texts, layers, k, threshold."""

    name: str
    prompt: str
    scenarios: list[Scenario]
    layers: list[int] | None
    attention_top_k: int
    tokens_top_k: int
    threshold: float


def read_pipeline(path: Path) -> Pipeline:
    """Reads the parts of a pipeline file that the notebook has."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror}; name a pipeline") from error
    except yaml.YAMLError as error:
        raise PipelineError(f"{path} is not YAML: {error}") from error
    stages = {stage["kind"]: stage for stage in raw.get("stages", [])}

    def option(kind, key, default):
        return stages.get(kind, {}).get(key, default)

    return Pipeline(
        name=raw["name"],
        prompt=raw.get("prompt", DEFAULT_PROMPT),
        scenarios=[_read_scenario(path, scenario) for scenario in raw["scenarios"]],
        layers=option("extract", "layers", None),
        attention_top_k=option("attention", "top_k", DEFAULT_TOP_K),
        tokens_top_k=option("tokens", "top_k", DEFAULT_TOP_K),
        threshold=option("divergence", "threshold", DEFAULT_THRESHOLD),
    )


def _read_scenario(path: Path, raw: dict) -> Scenario:
    inputs = _read_texts(path, raw["inputs"])
    tasks = _read_texts(path, raw["tasks"])
    return Scenario(raw["name"], inputs, {key: _first_wording(task) for key, task in tasks.items()})


def _first_wording(task) -> str:
    return task["wordings"][0] if isinstance(task, dict) else task


def _read_texts(pipeline: Path, raw: dict) -> dict:
    """A mapping as it stands, or the rows of `{file, id, text}` (.jsonl or .csv)."""
    if not isinstance(raw.get("file"), str) or not {"id", "text"} <= raw.keys():
        return raw
    path = pipeline.parent / raw["file"]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                rows = list(csv.DictReader(file))
            elif path.suffix == ".jsonl":
                rows = [json.loads(line) for line in file if line.strip()]
            else:
                raise PipelineError(f"{path}: the reference reads .jsonl and .csv")
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror}") from error
    return {str(row[raw["id"]]): row[raw["text"]] for row in rows}


def fill_prompt(prompt: str, task: str, text: str) -> str:
    """The template with both texts put in; braces inside the texts mean nothing."""
    parts = prompt.split("{input}")
    return text.join(part.replace("{task}", task) for part in parts)
