"""What the benchmark runs: a random GPT-2-small in both layouts, and pipelines of seeded prompts.

Made in a folder that git ignores, and used again as long as nothing that it was made from changed.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from machine import ROOT
from tokenizers import Tokenizer

GPT2_SMALL = {"n_layer": 12, "n_head": 12, "n_embd": 768, "vocab_size": 50257, "n_positions": 1024}
# The notebook's layers and prompt.
LAYERS = [0, 2, 4, 6, 8, 10, 11]
PROMPT = "{task}\n\nContext: {input}\n\nAnswer:"
SHORTEST, LONGEST = 20, 60
INPUTS = 16
# Of a shard, where there are more.
SHARD_INPUTS = 32

TASKS = {
    "color": "What color is the ball?",
    "location": "Where is the ball?",
    "existence": "Is there a ball?",
    "relation": "What is the ball next to?",
    "count": "How many objects are mentioned?",
    "under": "What is under the table, and what color is it?",
    "near": "Is there a red cup near the ball?",
    "objects": "What are the objects, and where are the objects?",
}
# One token each in GPT-2's vocabulary and in the demo model's.
COLORS = ["red", "blue", "green", "yellow", "black", "white"]
NOUNS = ["ball", "cup", "table", "book", "chair", "box", "shelf", "plate"]
RELATIONS = ["on", "under", "behind", "near", "next to"]


@dataclass
class Material:
    """Where everything lies. `measured` has the prompts alone; `run` has a warm-up shard before."""

    model: Path
    checkpoint: Path
    measured: Path
    run: Path
    lengths: list[int]


def make_material(folder: Path, tokenizer: Path, n_inputs: int = INPUTS) -> Material:
    """Makes what is not there yet; takes a minute or two the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    model, checkpoint = folder / "model", folder / "checkpoint"
    _make_model(folder, model, checkpoint, tokenizer)
    rng = random.Random(37)
    encoder = Tokenizer.from_file(str(tokenizer))
    inputs = {f"scene-{i:02}": _scene(rng, 1 + i % 4, encoder) for i in range(n_inputs)}
    lengths = [length for text in inputs.values() for length in _lengths(text, encoder)]
    if not SHORTEST <= min(lengths) <= max(lengths) <= LONGEST:
        raise SystemExit(
            f"error: with {tokenizer} the prompts have {min(lengths)} to {max(lengths)} tokens, "
            f"and the benchmark wants {SHORTEST} to {LONGEST}; name an English tokenizer"
        )
    prompts = {"name": "prompts", "inputs": inputs, "tasks": TASKS}
    # As many inputs as a shard holds, under one task, so that the prompts get a shard of their own.
    shard_inputs = min(n_inputs, SHARD_INPUTS)
    first = dict(list(inputs.items())[:shard_inputs])
    warm_up = {"name": "warm-up", "inputs": first, "tasks": {"existence": TASKS["existence"]}}
    of = "" if n_inputs == INPUTS else f"-{n_inputs}"

    def write(name: str, scenarios: list[dict]) -> Path:
        return _write_pipeline(folder / f"{name}{of}.yml", model, scenarios, shard_inputs)

    return Material(
        model=model,
        checkpoint=checkpoint,
        measured=write("prompts", [prompts]),
        run=write("with-warm-up", [warm_up, prompts]),
        lengths=lengths,
    )


def _lengths(text: str, encoder: Tokenizer) -> list[int]:
    """Tokens of its prompts."""
    prompts = [PROMPT.replace("{task}", task).replace("{input}", text) for task in TASKS.values()]
    return [len(encoding.ids) for encoding in encoder.encode_batch(prompts)]


def _scene(rng: random.Random, clauses: int, encoder: Tokenizer) -> str:
    """One whose prompts are short enough; "next to" has a token more than other relations."""

    def thing() -> str:
        return f"a {rng.choice(COLORS)} {rng.choice(NOUNS)}"

    def clause() -> str:
        return f"{thing()} {rng.choice(RELATIONS)} {thing()}"

    # With a tokenizer of another language none is.
    for _ in range(9):
        scene = "There is " + ", and ".join(clause() for _ in range(clauses)) + "."
        if max(_lengths(scene, encoder)) <= LONGEST:
            break
    return scene


def _write_pipeline(
    path: Path, model: Path, scenarios: list[dict], shard_inputs: int
) -> Path:
    pipeline = {
        "name": path.stem,
        "model": model.name,
        "prompt": PROMPT,
        # As the reference.
        "provider": "cpu",
        "shard_inputs": shard_inputs,
        "scenarios": scenarios,
        "stages": [{"kind": "extract", "layers": LAYERS}],
    }
    # JSON is YAML.
    path.write_text(json.dumps(pipeline, indent=1) + "\n", encoding="utf-8")
    return path


def _make_model(folder: Path, model: Path, checkpoint: Path, tokenizer: Path) -> None:
    stamp, made_from = folder / "made-from.sha256", _made_from(tokenizer)
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    print(f"making a random GPT-2-small in {folder} (1 GB)", file=sys.stderr, flush=True)
    for old in (model, checkpoint):
        shutil.rmtree(old, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    command = [sys.executable, ROOT / "export/export.py", "--random-weights", "--seed", "0"]
    command += ["--config", json.dumps(GPT2_SMALL), "--name", "gpt2-small-random"]
    command += ["--tokenizer", tokenizer, "--save-checkpoint", checkpoint, "--out", model]
    # The benchmark's own output is its figures alone.
    subprocess.run(command, check=True, stdout=sys.stderr)
    stamp.write_text(made_from)


def _made_from(tokenizer: Path) -> str:
    """Changes with the shape, the tokenizer and the exporter."""
    digest = hashlib.sha256(json.dumps(GPT2_SMALL).encode())
    sources = sorted((ROOT / "python/aqlens_export").glob("*.py"))
    for path in [tokenizer, ROOT / "export/export.py", *sources]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
