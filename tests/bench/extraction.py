"""Extraction beside bare ONNX Runtime and beside the notebook's loop.  docs/benchmarks.md.

    python tests/bench/extraction.py [--runs N] [--inputs N] [--threads N] [--notebook]

The same prompts (20 to 60 tokens, 8 tasks to an input) through the same graph of a random
GPT-2-small, three times:

- `aqlens`: tokenises, runs, checks and writes every table;
- a bare Python loop over onnxruntime: prompts tokenised before, sorted by length, batches of the
  size that was fastest here, the same outputs asked for, results dropped, nothing written;
- with --notebook, the notebook's loop in PyTorch, one prompt at a time (minutes a round).

All with the model open and warm. They take turns; each round gives ratios, their medians count.
Needs the Python environment of export/ and a release binary.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
import onnxruntime as ort
from material import LAYERS, ROOT, Material, make_material
from tokenizers import Tokenizer

WANTED_BARE, WANTED_NOTEBOOK = 0.95, 5.5
BUDGETS = [256, 512, 1024, 2048, 4096]
DEMO = ROOT / "data/demo"


@dataclass
class Bare:
    """The loop that anybody would write who knows how batches want to be."""

    session: ort.InferenceSession
    outputs: list[str]
    budget: int = 0

    @classmethod
    def open(cls, model: Path, threads: int) -> "Bare":
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        path = str(model / "model.onnx")
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        outputs = ["logits", *(f"hidden.{layer}" for layer in LAYERS)]
        outputs.append(f"attention.{max(LAYERS)}")
        return cls(session, outputs)

    def run(self, prompts: list[list[int]], budget: int) -> float:
        """Tokens a second."""
        tokens = sum(map(len, prompts))
        started = time.perf_counter()
        ordered = sorted(prompts, key=len)
        while ordered:
            # As many of the longest as fit into the budget, padding counted.
            rows = [ordered.pop() for _ in range(min(len(ordered), max(1, budget // len(ordered[-1]))))]
            shape = (len(rows), len(rows[0]))
            ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            for row, prompt in enumerate(rows):
                ids[row, : len(prompt)] = prompt
                mask[row, : len(prompt)] = 1
            self.session.run(self.outputs, {"input_ids": ids, "attention_mask": mask})
        return tokens / (time.perf_counter() - started)

    def choose(self, prompts: list[list[int]]) -> None:
        """The fastest budget on every eighth prompt, after a warm-up."""
        some = prompts[::8]
        self.run(some, BUDGETS[1])
        speeds = {budget: max(self.run(some, budget) for _ in range(2)) for budget in BUDGETS}
        self.budget = max(speeds, key=speeds.get)
        machine.say(f"bare loop, tokens/s by padded tokens a batch: {speeds}")


def aqlens_rate(command: list, tokens: int) -> float:
    """Tokens a second from the end of the warm-up shard to the end of the last one."""
    ends = []
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if json.loads(line)["event"] == "shard":
            ends.append(time.perf_counter())
    if process.wait() != 0:
        raise SystemExit(f"error: {command} ended with {process.returncode}")
    return tokens / (ends[-1] - ends[0])


def encode(material: Material, inputs: dict, tasks: dict, prompt: str) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(material.model / "tokenizer.json"))
    texts = [
        prompt.replace("{task}", task).replace("{input}", text)
        for text in inputs.values()
        for task in tasks.values()
    ]
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def notebook_rate(material: Material, threads: int) -> float:
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "export/reference.py", material.measured]
        command += ["--checkpoint", material.checkpoint, "--time", "--threads", threads]
        machine.run([*command, "--out", out.name])
        times = json.loads(Path(out.name).read_text())
    return times["tokens"] / times["seconds"]


def told(name: str, ratios: list[float], wanted: float) -> str:
    middle = statistics.median(ratios)
    holds = "holds" if middle >= wanted else "DOES NOT HOLD"
    return (f"**{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f}) times {name}.** "
            f"At least {wanted:g}: {holds}.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Extraction beside a bare onnxruntime loop.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=250, help="8 prompts each")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokenizer", type=Path, default=DEMO / "tokenizer.json")
    parser.add_argument("--notebook", action="store_true")
    args = parser.parse_args()
    aqlens, folder = machine.binary(), machine.work_folder()
    material = make_material(folder, args.tokenizer.resolve(), args.inputs)
    scenario = json.loads(material.measured.read_text())
    scenarios = scenario["scenarios"][0]
    prompts = encode(material, scenarios["inputs"], scenarios["tasks"], scenario["prompt"])
    tokens = sum(map(len, prompts))
    bare = Bare.open(material.model, args.threads)
    bare.choose(prompts)
    rates: list[tuple[float, float, float | None]] = []
    for _ in range(args.runs):
        theirs = bare.run(prompts, bare.budget)
        run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
        try:
            command = [aqlens, "run", material.run, "--run-dir", run_dir, "--log", "json"]
            ours = aqlens_rate([*command, "--threads", args.threads], tokens)
        finally:
            shutil.rmtree(run_dir)
        slow = notebook_rate(material, args.threads) if args.notebook else None
        rates.append((ours, theirs, slow))
        machine.say(f"aqlens {ours:.0f}, bare loop {theirs:.0f}, notebook {slow} tokens/s")
    ours, theirs, slow = zip(*rates, strict=True)
    print(f"""
## Extraction beside bare ONNX Runtime

- Machine: {machine.describe()}; ONNX Runtime {ort.__version__}, {args.threads} threads each
- {len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, {tokens} \
in all; bare loop: batches of {bare.budget} padded tokens; medians of {args.runs} rounds

| | tokens/s |
|---|---|
| aqlens, tables written | {statistics.median(ours):,.0f} |
| bare loop, nothing written | {statistics.median(theirs):,.0f} |""")
    if args.notebook:
        print(f"| the notebook's loop | {statistics.median(slow):,.0f} |")
    print("\n" + told("the bare loop", [a / b for a, b in zip(ours, theirs)], WANTED_BARE))
    if args.notebook:
        ratios = [a / b for a, b in zip(ours, slow)]
        print(told("the notebook's loop", ratios, WANTED_NOTEBOOK))


if __name__ == "__main__":
    main()
