"""The program under test, and the random-weight models that it runs on beside the demo model."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data/demo"
PROMPT = "{task}\n\nContext: {input}\n\nAnswer:"
# The demo model's.
SHAPE = {"n_layer": 12, "n_head": 4, "n_embd": 64, "vocab_size": 1355, "n_positions": 128}


@dataclass(frozen=True)
class Run:
    """A finished run directory and what the program said."""

    path: Path
    said: str

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(f"{self.path}/tables/{name}/*.parquet")


class Program:
    """Runs pipelines in `place`, each in a fresh run directory."""

    def __init__(self, aqlens: str, place: Path, nice: int = 0):
        self.aqlens, self.place, self.nice = str(Path(aqlens).resolve()), place, nice
        place.mkdir(parents=True, exist_ok=True)

    def run(self, pipeline: dict, again: bool = False) -> Run:
        """Runs it; `again` in the run directory of its name, with what changed since."""
        path = self.place / pipeline["name"]
        if not again:
            shutil.rmtree(path, ignore_errors=True)
        ended = self.call("run", pipeline, "--run-dir", str(path))
        if ended.returncode != 0:
            raise SystemExit(
                f"error: aqlens run {pipeline['name']} ended with {ended.returncode}:\n{ended.stderr[-4000:]}"
            )
        return Run(path, ended.stdout)

    def call(self, command: str, pipeline: dict, *more: str) -> subprocess.CompletedProcess:
        """`aqlens COMMAND` on the pipeline's file; an exit code of any kind comes back."""
        path = self.place / f"{pipeline['name']}.yml"
        # JSON is YAML.
        path.write_text(json.dumps(pipeline, indent=1) + "\n", encoding="utf-8")
        return self.words(command, str(path), *more)

    def words(self, *words: str) -> subprocess.CompletedProcess:
        argv = ["nice", "-n", str(self.nice), self.aqlens, *words]
        environment = {**os.environ, "NO_COLOR": "1", "ORT_DISABLE_TELEMETRY": "1"}
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True)

    @staticmethod
    def random_model(folder: Path, seed: int, python: str) -> Path:
        """A random-weight model of the demo model's shape and tokenizer; made once (torch, a minute)."""
        model, stamp = folder / f"random-{seed}", folder / f"random-{seed}.sha256"
        made_from = _made_from()
        if stamp.is_file() and stamp.read_text() == made_from and model.is_dir():
            return model
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(model, ignore_errors=True)
        command = [python, ROOT / "export/export.py", "--random-weights", "--seed", str(seed)]
        command += ["--config", json.dumps(SHAPE), "--name", model.name, "--threads", "1"]
        command += ["--tokenizer", DEMO / "tokenizer.json", "--out", model]
        print(f"making {model}", file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
        stamp.write_text(made_from)
        return model


def pipeline(name: str, model: Path, scenarios: list[dict], stages: list[dict], seed: int = 37) -> dict:
    """A pipeline file whose raw numbers are not kept."""
    return {
        **{"name": name, "model": str(model), "prompt": PROMPT, "seed": seed, "provider": "cpu"},
        **{"scenarios": scenarios, "stages": stages, "retain": []},
    }


def _made_from() -> str:
    """Changes with the shape, the tokenizer and the exporter."""
    digest = hashlib.sha256(json.dumps(SHAPE).encode())
    sources = sorted((ROOT / "python/aqlens_export").glob("*.py"))
    for path in [DEMO / "tokenizer.json", ROOT / "export/export.py", *sources]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
