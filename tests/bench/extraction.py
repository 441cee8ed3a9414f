"""Extraction beside bare ONNX Runtime and beside the notebook's loop.  docs/benchmarks.md.

    python tests/bench/extraction.py [--runs N] [--inputs N] [--threads N] [--notebook]

The same prompts (20 to 60 tokens, 8 tasks to an input) through the same random GPT-2-small:

- `shared`: aqlens as it is by default: tokenises, runs what the prompts of a task start with once,
  runs the rest of each, checks and writes every table;
- `whole`: the same with `share_prefixes: false`, every prompt from its first token on;
- `bare`: a Python loop over onnxruntime: whole prompts through model.onnx, tokenised before, sorted
  by length, batches of the size that was fastest here, the same outputs asked for, results dropped,
  nothing written;
- with --notebook, the notebook's loop in PyTorch, one prompt at a time (minutes a round).

All with the model open and warm. They take turns; each round gives ratios, their medians count, by
the clock and by the seconds that each process spent on the cores.
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

# At least this many times as fast: (ours, theirs) -> ratio.
WANTED = {
    ("shared", "whole"): 1.15,
    ("shared", "bare"): 0.95,
    ("whole", "bare"): 0.95,
    ("shared", "notebook"): 8.0,
    ("whole", "notebook"): 5.5,
}
NAMES = {
    "shared": "aqlens, tables written",
    "whole": "aqlens without shared prefixes, tables written",
    "bare": "the bare loop, nothing written",
    "notebook": "the notebook's loop",
}
BUDGETS = [256, 512, 1024, 2048, 4096]
DEMO = ROOT / "data/demo"


@dataclass
class Speed:
    """Tokens a second, by the clock and by the cores (None where the system does not say)."""

    clock: float
    cores: float | None = None


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

    def run(self, prompts: list[list[int]], budget: int) -> Speed:
        tokens = sum(map(len, prompts))
        started, spent = time.perf_counter(), time.process_time()
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
        spent = time.process_time() - spent
        return Speed(tokens / (time.perf_counter() - started), tokens / spent)

    def choose(self, prompts: list[list[int]]) -> None:
        """The fastest budget on every eighth prompt, after a warm-up."""
        some = prompts[::8]
        self.run(some, BUDGETS[1])
        speeds = {
            budget: max(self.run(some, budget).clock for _ in range(2)) for budget in BUDGETS
        }
        self.budget = max(speeds, key=speeds.get)
        machine.say(f"bare loop, tokens/s by padded tokens a batch: {speeds}")


def aqlens_speed(command: list, tokens: int) -> Speed:
    """From the end of the warm-up shard to the end of the last one."""
    ends = []
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if json.loads(line)["event"] == "shard":
            ends.append((time.perf_counter(), machine.cpu_seconds(process.pid)))
    if process.wait() != 0:
        raise SystemExit(f"error: {command} ended with {process.returncode}:\n{''.join(lines)}")
    (started, before), (ended, after) = ends[0], ends[-1]
    spent = None if before is None or after is None else tokens / (after - before)
    return Speed(tokens / (ended - started), spent)


def encode(material: Material, inputs: dict, tasks: dict, prompt: str) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(material.model / "tokenizer.json"))
    texts = [
        prompt.replace("{task}", task).replace("{input}", text)
        for text in inputs.values()
        for task in tasks.values()
    ]
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def notebook_speed(material: Material, threads: int) -> Speed:
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "export/reference.py", material.measured]
        command += ["--checkpoint", material.checkpoint, "--time", "--threads", threads]
        machine.run([*command, "--out", out.name])
        times = json.loads(Path(out.name).read_text())
    return Speed(times["tokens"] / times["seconds"])


def reported(rounds: list[dict[str, Speed]], ours: str, theirs: str) -> str:
    ratios = [r[ours].clock / r[theirs].clock for r in rounds]
    middle, wanted = statistics.median(ratios), WANTED[ours, theirs]
    holds = "holds" if middle >= wanted else "DOES NOT HOLD"
    by_cores = ""
    if all(r[way].cores for r in rounds for way in (ours, theirs)):
        cores = [r[ours].cores / r[theirs].cores for r in rounds]
        by_cores = f" By the cores {statistics.median(cores):.3f} ({min(cores):.3f} to {max(cores):.3f})."
    first, second = (NAMES[way].split(",")[0] for way in (ours, theirs))
    return (f"- {first}: **{middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f}) times {second}.** "
            f"At least {wanted:g}: {holds}.{by_cores}")


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

    def ours(share: str) -> Speed:
        run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
        try:
            command = [aqlens, "run", material.run, "--run-dir", run_dir, "--log", "json"]
            command += ["--threads", args.threads, "--set", f"stages.extract.share_prefixes={share}"]
            return aqlens_speed(command, tokens)
        finally:
            shutil.rmtree(run_dir)

    ways = {
        "shared": lambda: ours("true"),
        "whole": lambda: ours("false"),
        "bare": lambda: bare.run(prompts, bare.budget),
    }
    if args.notebook:
        ways["notebook"] = lambda: notebook_speed(material, args.threads)
    rounds: list[dict[str, Speed]] = []
    for number in range(args.runs):
        # Each comes after each other one equally often.
        order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        rounds.append({way: ways[way]() for way in order})
        machine.say(", ".join(f"{way} {rounds[-1][way].clock:.0f}" for way in ways) + " tokens/s")
    print(f"""
## Extraction beside bare ONNX Runtime

- Machine: {machine.describe()}; ONNX Runtime {ort.__version__}, {args.threads} threads each
- {len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, {tokens} \
in all; bare loop: batches of {bare.budget} padded tokens; medians of {args.runs} rounds

| | tokens/s | tokens a core second |
|---|---|---|""")
    for way in ways:
        clock = statistics.median(r[way].clock for r in rounds)
        cores = [r[way].cores for r in rounds]
        print(f"| {NAMES[way]} | {clock:,.0f} |", end="")
        print(" |" if None in cores else f" {statistics.median(cores):,.0f} |")
    print()
    for pair in WANTED:
        if set(pair) <= ways.keys():
            print(reported(rounds, *pair))


if __name__ == "__main__":
    main()
