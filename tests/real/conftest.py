"""Runs the program on a model that somebody else trained, and transformers on the same prompts.

AQLENS names the program (else the release build), AQLENS_REAL the model folder, AQLENS_REAL_GGUF
the file that it was exported from, EXPORT_PYTHON a Python with transformers and gguf. Whatever is
missing is an error, never a skipped test.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import aqlens  # noqa: E402  (the checkout's own)

PROMPT = ["scenario", "input", "task", "wording"]


def path_of(variable: str) -> Path:
    """An absolute path that the environment names."""
    assert variable in os.environ, f"set {variable}, as `make test-real` does"
    path = Path(os.environ[variable]).absolute()
    assert path.exists(), f"{variable} names {path}, which does not exist"
    return path


@dataclass(frozen=True)
class Run:
    """A finished run directory."""

    path: Path

    def table(self, name: str) -> pl.DataFrame:
        """All parts of a table, in their order."""
        return aqlens.Run(self.path).table(name).collect()

    @cached_property
    def prompts(self) -> list[dict]:
        """The rows of table `prompts`, each with its `key`."""
        rows = self.table("prompts").to_dicts()
        return [{**row, "key": tuple(row[name] for name in PROMPT)} for row in rows]

    @cached_property
    def layers(self) -> list[int]:
        """The captured layers, ascending."""
        return sorted(self.table("activations")["layer"].unique().to_list())

    @cached_property
    def hidden(self) -> dict:
        """float32 `[layers, tokens, d_model]` by prompt."""
        rows = aqlens.Run(self.path).activations()
        order = {layer: i for i, layer in enumerate(self.layers)}
        found = {
            prompt["key"]: np.zeros(
                (len(order), prompt["n_tokens"], rows.values.shape[1]), np.float32
            )
            for prompt in self.prompts
        }
        places = rows.index.select(*PROMPT, "layer", "position").iter_rows()
        for (*key, layer, position), values in zip(places, rows.values, strict=True):
            found[tuple(key)][order[layer], position] = values
        return found

    @cached_property
    def attention(self) -> dict:
        """float32 `[layers, heads, tokens]` of the last token, by prompt."""
        rows = aqlens.Run(self.path).attention()
        tokens = {prompt["key"]: prompt["n_tokens"] for prompt in self.prompts}
        found = {}
        places = rows.index.select(*PROMPT, "layer", "head").iter_rows()
        for (*key, layer, head), values in zip(places, rows.values, strict=True):
            own = values[: tokens[tuple(key)]]
            found.setdefault(tuple(key), {}).setdefault(layer, {})[head] = own
        return {
            key: np.stack(
                [[heads[head] for head in sorted(heads)] for _, heads in sorted(by_layer.items())]
            )
            for key, by_layer in found.items()
        }

    @cached_property
    def logits(self) -> dict:
        """float32 `[vocab]` of the next token, by prompt."""
        rows = aqlens.Run(self.path).logits()
        keys = rows.index.select(PROMPT).iter_rows()
        return {tuple(key): values for key, values in zip(keys, rows.values, strict=True)}


def finish(pipeline: Path, folder: Path, *arguments: str) -> Run:
    """Runs a pipeline on the real model into a new folder."""
    program = os.environ.get("AQLENS", ROOT / "target/release/aqlens")
    model = f"model={json.dumps(str(path_of('AQLENS_REAL')))}"
    command = [program, "run", pipeline, "--run-dir", folder, "--set", model, *arguments]
    environment = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return Run(folder)


def reference(request: dict, folder: Path) -> dict:
    """What `reference.py` answers."""
    asked, answer = folder / "request.json", folder / "answer.npz"
    asked.write_text(json.dumps({"continue": [], "mistakes": [], **request}), encoding="utf-8")
    python, script = path_of("EXPORT_PYTHON"), Path(__file__).with_name("reference.py")
    command = [python, script, path_of("AQLENS_REAL_GGUF"), asked, answer]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with np.load(answer) as arrays:
        return dict(arrays)


def asked(run: Run, texts: dict) -> list[dict]:
    """The prompts of a run for `reference.py`: plain ones as they were typed, chats as messages.
    `texts` has the tasks' and inputs' own, by name."""
    prompts = []
    for prompt in run.prompts:
        form = prompt["form"]
        if form in ("chat", "begun"):
            user = f"{texts[prompt['task']]}\n\nContext: {texts[prompt['input']]}"
            messages = [{"role": "user", "content": user}]
            if form == "begun":
                messages.append({"role": "assistant", "content": "Answer:"})
            prompts.append({"messages": messages})
        else:
            prompts.append({"text": prompt["text"]})
    return prompts


def texts_of(pipeline: Path) -> dict:
    """The tasks and inputs of a pipeline's only scenario by name."""
    (scenario,) = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["scenarios"]
    return {**scenario["inputs"], **scenario["tasks"]}


@dataclass(frozen=True)
class Both:
    """One run, and PyTorch's values for its prompts."""

    run: Run
    expected: dict

    def pairs(self, name: str):
        """Each prompt with an array of PyTorch's."""
        for i, prompt in enumerate(self.run.prompts):
            yield prompt, self.expected[f"{name}.{i}"]


def both(pipeline: Path, folder: Path, request: dict | None = None) -> Both:
    """Runs a pipeline and PyTorch on its prompts."""
    run = finish(pipeline, folder / "run")
    prompts = asked(run, texts_of(pipeline))
    layers = {"layers": run.layers, "prompts": prompts, **(request or {})}
    return Both(run, reference(layers, folder))


MISTAKES = ["epsilon", "scale", "rotation"]


@pytest.fixture(scope="session")
def parity(tmp_path_factory) -> Both:
    """`pipeline.yml` of this folder."""
    pipeline = Path(__file__).with_name("pipeline.yml")
    return both(pipeline, tmp_path_factory.mktemp("parity"), {"mistakes": MISTAKES})


STARTS = [
    # Of which the text has the same tokens again: two line breaks in a row, for one, would become one token.
    ("Once upon a time, there was a", 20),
    ("The weather today is", 20),
    ("<|im_start|>user\nWhat is rain?<|im_end|>\n<|im_start|>assistant\n", 20),
]


@pytest.fixture(scope="session")
def notebook(tmp_path_factory) -> Both:
    """`pipelines/real-037.yml`, and texts that PyTorch goes on from."""
    pipeline = ROOT / "pipelines/real-037.yml"
    return both(pipeline, tmp_path_factory.mktemp("notebook"), {"continue": STARTS})
