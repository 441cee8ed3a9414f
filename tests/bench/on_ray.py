"""What Ray costs on one machine: `python -m aqlens.ray` beside `aqlens run`.  docs/benchmarks.md.

    make bench BENCH="--only ray"
    python tests/bench/on_ray.py [--prompts N] [--runs N] [--threads N] [--tokenizer FILE]

A random GPT-2-small over N prompts of 10 to 12 tokens (default 20,000), once by the program alone and
once by one worker of a Ray cluster that the driver starts on this machine, with as many cores; the
two take turns in one call, and the tables must be the same bytes. Needs the Python environment of
export/ (for the model), a release binary, and Ray: RAY_VENV names its environment (default .venv-ray;
`make bench` with "--only ray" makes it). So it is no part of a `make bench` that names no part.

"Opening aside" is from the end of the first shard's extraction, as the JSON logs have it, to the end of
the command: the opening of the model, the start of Ray and its first worker, and that extraction are
left out on both sides; `--finish`, which on Ray is another process, and Ray's end are in it.
"""

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import machine
import pipelines
from machine import ROOT
from material import COLORS, NOUNS, RELATIONS, make_material
from tokenizers import Tokenizer

# The notebook's.
STAGES = ["extract", "similarity", "divergence", "attention", "tokens", "summary", "report"]
DEMO = ROOT / "data/demo"
TASKS = {"color": "color?", "place": "where?"}
PROMPT = "{input}. {task}"
SHORTEST, LONGEST = 10, 12
SHARD_INPUTS = 100
WANTED_OVERHEAD = 0.10
# Seconds between two looks at processes and logs; a look takes some milliseconds.
LOOK = 0.2


def write_pipeline(folder: Path, model: Path, prompts: int, tokenizer: Path) -> Path:
    scenes = [
        f"A {color} {noun} {relation} a {other} {thing}"
        for color, noun, relation, other, thing in product(COLORS, NOUNS, RELATIONS, COLORS, NOUNS)
    ]
    n_inputs = prompts // len(TASKS)
    if n_inputs > len(scenes):
        raise SystemExit(f"error: there are at most {len(scenes) * len(TASKS):,} different prompts")
    chosen = random.Random(18).sample(scenes, n_inputs)
    check_lengths(chosen, Tokenizer.from_file(str(tokenizer)))
    name = f"on-ray-{prompts}"
    inputs = (folder / f"{name}.jsonl", ((f"scene-{i:05}", text) for i, text in enumerate(chosen)))
    more = {"prompt": PROMPT, "shard_inputs": SHARD_INPUTS}
    return pipelines.write_pipeline(folder / f"{name}.yml", model, name, inputs, TASKS, STAGES, **more)


def check_lengths(scenes: list[str], encoder: Tokenizer) -> None:
    texts = [PROMPT.replace("{input}", scene).replace("{task}", task) for scene in scenes for task in TASKS.values()]
    lengths = [len(encoding.ids) for encoding in encoder.encode_batch(texts)]
    if not SHORTEST <= min(lengths) <= max(lengths) <= LONGEST:
        raise SystemExit(
            f"error: the prompts have {min(lengths)} to {max(lengths)} tokens, and the benchmark "
            f"wants {SHORTEST} to {LONGEST}; name an English tokenizer"
        )


class Watch(threading.Thread):
    """What a command and all that it started spend on the cores, orphans too; and when the first
    shard was extracted, by the log in one of the files that `logs` finds."""

    def __init__(self, process: int, logs) -> None:
        super().__init__(daemon=True)
        self.logs, self.ended = logs, threading.Event()
        self.spent: dict[int, float] = {process: 0.0}
        self.first_shard: float | None = None

    def run(self) -> None:
        while not self.ended.wait(LOOK):
            self.look()

    def look(self) -> None:
        parents = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                parents[int(folder.name)] = int(fields[1])
        new = True
        while new:
            new = [pid for pid, parent in parents.items() if parent in self.spent and pid not in self.spent]
            self.spent.update(dict.fromkeys(new, 0.0))
        for pid in self.spent.keys() & parents.keys():
            # One that has ended in between keeps what it had.
            self.spent[pid] = machine.cpu_seconds(pid) or self.spent[pid]
        if self.first_shard is None and any(map(has_extracted, self.logs())):
            self.first_shard = time.perf_counter()

    def end(self) -> float:
        """Stops; gives the seconds on the cores, short of what each process spent after the last look at it.
        So the driver's own looks at the run, once a second, are not in it: `look_at_the_run` times one."""
        self.ended.set()
        self.join()
        return sum(self.spent.values())


def has_extracted(log: Path) -> bool:
    """Whether the log says that a shard was extracted; its last line may be there in part."""
    lines = log.read_text().splitlines()
    return any('"event":"finished"' in line and '"stage":"extract"' in line for line in lines)


@dataclass
class Run:
    """One command from start to exit."""

    seconds: float
    # From the end of the first shard's extraction on.
    opened_seconds: float
    cpu_seconds: float
    tables: dict[str, str]


def measure(command: list, run_dir: Path, err: Path, logs, environment: dict) -> Run:
    with err.open("w") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        watch = Watch(process.pid, logs)
        watch.start()
        code = process.wait()
        ended = time.perf_counter()
        cpu = watch.end()
    if code != 0 or watch.first_shard is None:
        raise SystemExit(f"error: {command[0]} ended with {code}:\n{err.read_text().strip()[-3000:]}")
    tables = {
        str(path.relative_to(run_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run_dir.glob("tables/**/*.parquet"))
    }
    return Run(ended - started, ended - watch.first_shard, cpu, tables)


class Bench:
    """The two commands."""

    def __init__(self, pipeline: Path, threads: int, python: Path, folder: Path, sockets: str):
        self.pipeline, self.threads, self.python = pipeline, threads, python
        self.run_dir, self.err = folder / "run", folder / "err"
        self.environment = {
            **os.environ,
            "AQLENS": str(machine.binary()),
            "PYTHONPATH": str(ROOT / "python"),
            # A cluster of its own, whatever else is there.
            "RAY_ADDRESS": "",
            "RAY_TMPDIR": sockets,
        }

    def alone(self) -> Run:
        command = [machine.binary(), "run", self.pipeline, "--run-dir", self.run_dir]
        command += ["--threads", self.threads, "--log", "json", "--quiet"]
        return measure(command, self.fresh(), self.err, lambda: [self.err], self.environment)

    def on_ray(self) -> Run:
        logs = Path(f"{self.run_dir}.logs")
        command = [self.python, "-m", "aqlens.ray", self.pipeline, "--run-dir", self.fresh()]
        command += ["--address", "local", "--num-cpus", self.threads, "--workers", 1, "--quiet"]
        return measure(command, self.run_dir, self.err, lambda: logs.glob("*/*.jsonl"), self.environment)

    def look_at_the_run(self) -> float:
        """Seconds on the cores of one, at the run that was made last."""
        return machine.run([machine.binary(), "status", self.run_dir, "--json"]).cpu_seconds

    def fresh(self) -> Path:
        for old in (self.run_dir, Path(f"{self.run_dir}.logs")):
            shutil.rmtree(old, ignore_errors=True)
        return self.run_dir


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    text = f"{middle:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"


def written(alone: list[Run], on_ray: list[Run], look: float, prompts: int, threads: int) -> None:
    ray = subprocess.run(
        [ray_python(), "-c", "import ray; print(ray.__version__)"], capture_output=True, text=True
    ).stdout.strip()
    print(f"""
## Ray on one machine: random GPT-2-small

- Machine: {machine.describe()}; Ray {ray}
- {prompts:,} prompts of {SHORTEST} to {LONGEST} tokens, shards of {SHARD_INPUTS * len(TASKS)}, \
{threads} threads each; medians of {len(alone)} rounds. The tables are the same bytes.

| | `aqlens run` | `python -m aqlens.ray` | more |
|---|---|---|---|""")
    fields = {
        "seconds": "whole command, s",
        "opened_seconds": "opening aside, s",
        "cpu_seconds": "CPU, s",
    }
    more = {}
    for field, name in fields.items():
        theirs, ours = ([getattr(run, field) for run in runs] for runs in (on_ray, alone))
        more[field] = [100 * (a / b - 1) for a, b in zip(theirs, ours, strict=True)]
        print(f"| {name} | {spread(ours, 1)} | {spread(theirs, 1)} | {spread(more[field], 1)} % |")
    print(f"\nThe driver's look at the run, once a second, is not in the CPU seconds: {1000 * look:.0f} ms each.")
    middle = statistics.median(more["opened_seconds"])
    holds = "holds" if middle <= 100 * WANTED_OVERHEAD else "DOES NOT HOLD"
    print(f"\n**Overhead, opening aside: {middle:.1f} %.** At most {100 * WANTED_OVERHEAD:.0f} %: {holds}.")


def ray_python() -> Path:
    python = Path(os.environ.get("RAY_VENV", ROOT / ".venv-ray")).absolute() / "bin/python"
    if not (python.is_file() and subprocess.run([python, "-c", "import ray"], capture_output=True).returncode == 0):
        raise SystemExit(
            f'error: {python} has no Ray: `make bench BENCH="--only ray"` installs it, or name an '
            "environment that has it in RAY_VENV"
        )
    return python


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Ray on one machine beside the program alone.")
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both (default: one a core)")
    parser.add_argument("--tokenizer", type=Path, default=DEMO / "tokenizer.json")
    args = parser.parse_args()
    python, work = ray_python(), machine.work_folder()
    model = make_material(work, args.tokenizer.resolve()).model
    pipeline = write_pipeline(work, model, args.prompts, args.tokenizer)
    alone, on_ray = [], []
    # The path of a socket must be short.
    with (
        tempfile.TemporaryDirectory(prefix="on-ray-", dir=work) as folder,
        tempfile.TemporaryDirectory(prefix="aqlens-ray-", dir="/tmp") as sockets,
    ):
        bench = Bench(pipeline, args.threads, python, Path(folder), sockets)
        for number in range(1, args.runs + 1):
            alone.append(bench.alone())
            on_ray.append(bench.on_ray())
            if alone[-1].tables != on_ray[-1].tables:
                raise SystemExit("error: the tables of the two are not the same bytes")
            machine.say(
                f"round {number} of {args.runs}: alone {alone[-1].seconds:.1f} s, on Ray {on_ray[-1].seconds:.1f} s; "
                f"opening aside {alone[-1].opened_seconds:.1f} and {on_ray[-1].opened_seconds:.1f} s"
            )
        look = bench.look_at_the_run()
    written(alone, on_ray, look, args.prompts, args.threads)


if __name__ == "__main__":
    main()
