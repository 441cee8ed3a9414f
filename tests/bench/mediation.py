"""Mediated runs beside extraction, and beside the same exchanges one at a time in PyTorch.  docs/benchmarks.md.

    python tests/bench/mediation.py [--runs N] [--threads N] [--inputs N]

The first scenario of pipelines/scenes.yml (300 scenes, five tasks of three wordings, its controls) through the demo
model:

- `extract` alone, then `extract` and `mediate` over 100 of the inputs, with all wordings of each and with one in turn:
  what the stage adds, by the clock and by the cores, and by the seconds that it reports itself;
- the same exchanges (an input's keys and values under every donor into every receiver) as a loop over PyTorch's hooks:
  a whole prompt an exchange, keys and values replaced at the input's tokens in all blocks, float32, of some inputs;
- the same loop with nnsight, where it is installed.

All take turns; each round gives ratios, and their medians count. Both loops must say the same.
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
import torch
import yaml
from machine import ROOT
from transformers import GPT2LMHeadModel

try:
    import nnsight
except ImportError:
    nnsight = None

CHECKPOINT = ROOT / "data/demo/checkpoint"
MAX_INPUTS = 100
WANTED_SHARE = 1 / 3
WORDINGS = ("all", "in_turn")


def pipeline(folder: Path, wordings: str | None) -> Path:
    """scenes.yml's first scenario, with what it names of the scenes; mediated in those wordings, or not at all."""
    whole = yaml.safe_load((ROOT / "pipelines/scenes.yml").read_text(encoding="utf-8"))
    first = whole["scenarios"][0]
    first["inputs"]["file"] = str(ROOT / "data/scenes.jsonl")
    extract = next(stage for stage in whole["stages"] if stage["kind"] == "extract")
    mediate = {"kind": "mediate", "max_inputs": MAX_INPUTS, "wordings": wordings}
    stages = [extract, mediate] if wordings else [extract]
    made = {**whole, "name": f"mediation-{wordings}", "model": str(ROOT / "data/demo")}
    made |= {"scenarios": [first], "stages": stages, "provider": "cpu"}
    path = folder / f"{made['name']}.yml"
    # JSON is YAML.
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return path


@dataclass
class Ours:
    """One run of the program."""

    seconds: float
    cores: float
    # By stage, as the program reports them.
    stages: dict[str, float]


def ours(command: list, run_dir: Path) -> Ours:
    shutil.rmtree(run_dir, ignore_errors=True)
    finished = machine.run([*command, "--run-dir", run_dir])
    stages: dict[str, float] = {}
    for event in map(json.loads, finished.stderr.splitlines()):
        if event["event"] == "finished":
            stages[event["stage"]] = stages.get(event["stage"], 0.0) + event["seconds"]
    return Ours(finished.seconds, finished.cpu_seconds, stages)


@dataclass(frozen=True)
class Prompt:
    """Tokens, and where the input begins and ends in them."""

    ids: tuple
    first: int
    end: int


def exchanges(run_dir: Path, reader: str) -> list[list[tuple[Prompt, Prompt]]]:
    """By input: receiver and donor of every exchange that the run made."""
    script = (
        "import polars as pl, sys, json\n"
        "keys = ['input', 'task', 'wording', 'role', 'token_ids', 'input_start', 'input_tokens']\n"
        "read = lambda name: pl.read_parquet(f'{sys.argv[1]}/tables/{name}/*.parquet')\n"
        "mediated = read('mediation')['input'].unique()\n"
        "rows = read('prompts').filter(pl.col('role').is_in(['task', 'neutral']), pl.col('input').is_in(mediated.implode()))\n"
        "print(json.dumps(rows.select(keys).rows()))\n"
    )
    said = subprocess.run([reader, "-c", script, run_dir], check=True, capture_output=True, text=True).stdout
    by_input: dict[str, dict] = {}
    for name, task, _, role, ids, first, tokens in json.loads(said):
        own = by_input.setdefault(name, {}).setdefault(task, {"task": [], "neutral": []})[role]
        prompt = Prompt(tuple(ids), first, first + tokens)
        if prompt not in own:
            own.append(prompt)
    return [list(dict.fromkeys(of_input(tasks))) for tasks in by_input.values()]


def of_input(tasks: dict) -> list[tuple[Prompt, Prompt]]:
    """As stage `mediate` does: the other tasks' wordings, other wordings, the neutral prompts, and itself."""
    found = []
    for task, own in tasks.items():
        asked = own["task"]
        for w, receiver in enumerate(asked):
            others = [of["task"][w % len(of["task"])] for name, of in tasks.items() if name != task]
            wordings = [asked[(w + i) % len(asked)] for i in range(1, min(len(asked), 4))]
            itself = [receiver] if w == 0 else []
            found += [(receiver, donor) for donor in (*others, *wordings, *own["neutral"], *itself)]
    return found


class Hooks:
    """One prompt at a time in PyTorch; keys and values are what `c_attn` puts out behind the queries."""

    name = "PyTorch hooks"

    def __init__(self):
        self.model = GPT2LMHeadModel.from_pretrained(CHECKPOINT).eval()
        self.layers = [block.attn.c_attn for block in self.model.transformer.h]
        self.width = self.model.config.n_embd

    def reading(self, prompt: Prompt) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []
        keep = lambda _, __, out: kept.append(out[0, prompt.first : prompt.end, self.width :].clone())  # noqa: E731
        hooks = [layer.register_forward_hook(keep) for layer in self.layers]
        self.model(torch.tensor([prompt.ids]))
        for hook in hooks:
            hook.remove()
        return kept

    def exchange(self, receiver: Prompt, reading: list[torch.Tensor]) -> torch.Tensor:
        def replaced(own: torch.Tensor):
            def hook(_, __, out):
                out = out.clone()
                out[0, receiver.first : receiver.end, self.width :] = own
                return out

            return hook

        hooks = [layer.register_forward_hook(replaced(own)) for layer, own in zip(self.layers, reading, strict=True)]
        logits = self.model(torch.tensor([receiver.ids])).logits[0, -1]
        for hook in hooks:
            hook.remove()
        return logits


class Nnsight(Hooks):
    """The same, written as nnsight's pages do."""

    name = "nnsight"

    def __init__(self):
        super().__init__()
        self.traced = nnsight.NNsight(self.model)

    def reading(self, prompt: Prompt) -> list[torch.Tensor]:
        traced, span, width = self.traced, slice(prompt.first, prompt.end), self.width
        with torch.no_grad(), traced.trace(torch.tensor([prompt.ids])):
            kept = nnsight.save([block.attn.c_attn.output[0, span, width:].clone() for block in traced.transformer.h])
        return list(kept)

    def exchange(self, receiver: Prompt, reading: list[torch.Tensor]) -> torch.Tensor:
        traced, span, width = self.traced, slice(receiver.first, receiver.end), self.width
        with torch.no_grad(), traced.trace(torch.tensor([receiver.ids])):
            for block, own in zip(traced.transformer.h, reading):
                block.attn.c_attn.output[0, span, width:] = own
            logits = nnsight.save(traced.lm_head.output[0, -1])
        return logits


def loop(way: Hooks, inputs: list[list[tuple[Prompt, Prompt]]]) -> tuple[float, float, torch.Tensor]:
    """Exchanges a second, by the clock and by the cores, donors' prompts counted in; the last one's scores."""
    count, started, spent = 0, time.perf_counter(), time.process_time()
    with torch.no_grad():
        for of_input in inputs:
            readings = {prompt: way.reading(prompt) for prompt in dict.fromkeys(donor for _, donor in of_input)}
            for receiver, donor in of_input:
                logits = way.exchange(receiver, readings[donor])
                count += 1
    spent = time.process_time() - spent
    return count / (time.perf_counter() - started), count / spent, logits


def spread(values: list[float], digits: int = 2) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Mediated runs beside extraction and beside PyTorch.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inputs", type=int, default=2, help="of the loops in PyTorch")
    parser.add_argument("--tokenizer", type=Path, help="has no part here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    aqlens, folder = machine.binary(), Path(tempfile.mkdtemp(prefix="mediation-", dir=machine.work_folder()))
    reader = f"{os.environ.get('VIRTUAL_ENV', ROOT / '.venv')}/bin/python"
    try:
        measure(args, aqlens, folder, reader)
    finally:
        shutil.rmtree(folder)


def measure(args: argparse.Namespace, aqlens: Path, folder: Path, reader: str) -> None:
    command = [aqlens, "run", "--log", "json", "--threads", args.threads, "--set", "retain=[]"]
    commands = {ways: [*command, pipeline(folder, ways)] for ways in (None, *WORDINGS)}
    ours(commands["all"], folder / "run")
    inputs = exchanges(folder / "run", reader)
    total = sum(map(len, inputs))
    ways = [Hooks()] + ([Nnsight()] if nnsight else [])
    said = [loop(way, [inputs[0][:3]])[2] for way in ways]
    if not all(torch.allclose(said[0], other, atol=1e-4) for other in said):
        raise SystemExit("error: nnsight's exchange does not say what PyTorch's hooks say")
    runs, rates = {which: [] for which in commands}, {way.name: [] for way in ways}
    for number in range(args.runs):
        for which, command in commands.items():
            runs[which].append(ours(command, folder / "run"))
        for way in ways:
            rates[way.name].append(loop(way, inputs[: args.inputs])[:2])
        took = ", ".join(f"{which or 'none'} {of[-1].cores:.1f}" for which, of in runs.items())
        machine.say(f"round {number + 1}, core seconds by wordings: {took}")
    written(args, total, len(inputs), runs, rates)


def shares(alone: list[Ours], both: list[Ours]) -> dict[str, list[float]]:
    """What the stage adds to extraction, round by round."""
    return {
        "by the stages' own seconds": [run.stages["mediate"] / run.stages["extract"] for run in both],
        "whole processes, by the clock": [b.seconds / a.seconds - 1 for a, b in zip(alone, both)],
        "whole processes, by the cores": [b.cores / a.cores - 1 for a, b in zip(alone, both)],
    }


def written(args, total: int, n_inputs: int, runs: dict[str | None, list[Ours]], rates: dict) -> None:
    alone, both = runs[None], runs["all"]
    stage = [run.stages["mediate"] for run in both]
    print(f"""
## Mediated runs

- Machine: {machine.describe()}; torch {torch.__version__}, nnsight {nnsight.__version__ if nnsight else "not installed"}, \
Python {sys.version.split()[0]}, {args.threads} threads each
- {total} exchanges of {n_inputs} inputs beside the extraction of 300; medians of {args.runs} rounds

| what `mediate` adds to `extract` | `wordings` | share | at most a third |
|---|---|---|---|""")
    for wordings in WORDINGS:
        for name, values in shares(alone, runs[wordings]).items():
            holds = "holds" if statistics.median(values) <= WANTED_SHARE else "DOES NOT HOLD"
            print(f"| {name} | {wordings} | {spread(values)} | {holds} |")
    clock = [total / seconds for seconds in stage]
    print("\n| | exchanges a second | a core second | aqlens is faster |\n|---|---|---|---|")
    cores = [total / max(b.cores - a.cores, 1e-9) for a, b in zip(alone, both)]
    print(f"| aqlens, its donors' prompts and table counted in | {spread(clock, 0)} | {spread(cores, 0)} | |")
    for name, values in rates.items():
        ratio = [own / theirs for own, (theirs, _) in zip(clock, values)]
        ratio_cores = [own / theirs for own, (_, theirs) in zip(cores, values)]
        cells = [spread([value[i] for value in values], 0) for i in (0, 1)]
        print(f"| {name} | {cells[0]} | {cells[1]} | {spread(ratio, 1)}; by the cores {spread(ratio_cores, 1)} |")


if __name__ == "__main__":
    main()
