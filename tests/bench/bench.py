"""`make bench`: how fast extraction is beside the notebook's loop, and what one small run takes;
then extraction beside bare ONNX Runtime (`extraction.py`), measures from dumped tables beside
DuckDB and numpy (`analysis.py`), and runs of up to 100,000 prompts (`scale.py`). With `--only ray`,
which wants Ray, what a cluster of one machine costs (`on_ray.py`).

    python tests/bench/bench.py [--only PART ...] [--runs N] [--threads N] [--tokenizer FILE]

Needs the Python environment of export/ (it runs export.py and reference.py) and a release binary
(AQLENS, or target/release/aqlens). Prints Markdown; docs/benchmarks.md explains the figures.
Everything it makes goes to $AQLENS_CACHE/bench, or to target/bench.

The reference and aqlens take turns, so that what else the machine does falls on both; each round
gives a ratio, and the median of the ratios counts.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import machine
from material import LAYERS, ROOT, Material, make_material

PIPELINE = Path("pipelines/experiment-037.yml")
DEMO = ROOT / "data/demo"
WANTED_RATIO, WANTED_SECONDS = 4.0, 1.5
PARTS = ["notebook", "extraction", "analysis", "scale", "mediation"]
# Only when it is named. A script `ray.py` would be taken for the package by what lies beside it.
NAMED = {"ray": "on_ray"}


@dataclass
class Round:
    """The reference once, then aqlens once, on the same prompts."""

    reference: dict
    reference_process: machine.Finished
    # `finished` events of the extract stage: the warm-up shard, then the prompts' own.
    shards: list[dict]
    aqlens_process: machine.Finished
    dumped_bytes: int

    @property
    def reference_rate(self) -> float:
        return self.reference["tokens"] / self.reference["seconds"]

    @property
    def rate(self) -> float:
        return self.shards[-1]["total"] / self.shards[-1]["seconds"]

    @property
    def rate_with_opening(self) -> float:
        return sum(s["total"] for s in self.shards) / sum(s["seconds"] for s in self.shards)

    @property
    def ratio(self) -> float:
        return self.rate / self.reference_rate


class Bench:
    """The commands under measurement, and the folder that they work in."""

    def __init__(self, aqlens: Path, folder: Path, threads: int | None):
        self.aqlens = aqlens
        self.folder = folder
        self.threads = ["--threads", str(threads)] if threads else []

    def reference_command(self, material: Material) -> list:
        return [
            *(sys.executable, "export/reference.py", material.measured),
            *("--checkpoint", material.checkpoint, "--time", *self.threads),
        ]

    def run_command(self, pipeline: Path, run_dir: Path) -> list:
        return [self.aqlens, "run", pipeline, "--run-dir", run_dir, *self.threads, "--log", "json"]

    def round(self, material: Material) -> Round:
        """Both once; the dump is measured, then removed."""
        times = self.folder / "reference.json"
        reference_command = [*self.reference_command(material), "--out", times]
        reference_process = machine.run(reference_command)
        reference = json.loads(times.read_text())
        run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        try:
            process = machine.run(self.run_command(material.run, run_dir))
            dumped = sum(file.stat().st_size for file in run_dir.glob("tables/**/*.parquet"))
        finally:
            shutil.rmtree(run_dir)
        shards = finished_stages(process.stderr)
        if reference["tokens"] != shards[-1]["total"]:
            raise SystemExit(
                f"error: the reference ran {reference['tokens']} tokens and aqlens "
                f"{shards[-1]['total']}: they do not measure the same prompts"
            )
        return Round(reference, reference_process, shards, process, dumped)

    def experiment(self, forgotten: list[Path]) -> tuple[machine.Finished, machine.Finished, dict]:
        """The notebook's pipeline into a fresh folder, then again, and where the time went."""
        run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        try:
            machine.forget(forgotten)
            first = machine.run(self.run_command(PIPELINE, run_dir))
            again = machine.run(self.run_command(PIPELINE, run_dir))
            inside = json.loads((run_dir / "run.json").read_text())["counts"]["seconds"]
        finally:
            shutil.rmtree(run_dir)
        if finished_stages(again.stderr):
            raise SystemExit("error: the finished run was computed again")
        stages = {stage["stage"]: stage["seconds"] for stage in finished_stages(first.stderr)}
        opening = inside - sum(stages.values())
        outside = first.seconds - inside
        return first, again, {"process": outside, "checks and records": opening, **stages}


def finished_stages(log: str) -> list[dict]:
    events = (json.loads(line) for line in log.splitlines())
    return [event for event in events if event["event"] == "finished"]


# What is printed


def median(values) -> float:
    return statistics.median(list(values))


def spread(values, digits: int) -> str:
    """The median, and the smallest and largest in brackets."""
    values = list(values)
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def verdict(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


def print_extraction(rounds: list[Round], material: Material) -> None:
    reference = rounds[0].reference
    ours = [r.aqlens_process for r in rounds]
    theirs = [r.reference_process for r in rounds]
    ratios = [r.ratio for r in rounds]
    holds = median(ratios) >= WANTED_RATIO
    print(f"""
## Extraction: random GPT-2-small

{len(material.lengths)} prompts of {min(material.lengths)} to {max(material.lengths)} tokens, \
{reference["tokens"]} tokens in all, {len(LAYERS)} layers captured, dump on \
({rounds[0].dumped_bytes / 1e6:.0f} MB of Parquet), {reference["threads"]} threads each. \
Median of {len(rounds)} rounds (smallest to largest).

**{spread(ratios, 2)} times the notebook's loop.** At least {WANTED_RATIO:g}: {verdict(holds)}.

| | aqlens | reference.py | times better |
|---|---|---|---|""")
    loop = [r.reference_rate for r in rounds]
    opening = [r.rate_with_opening for r in rounds]
    best = [max(r.rate for r in rounds)], [max(loop)]
    walls = [p.seconds for p in ours], [p.seconds for p in theirs]
    peaks = [p.peak_bytes / 1e6 for p in ours], [p.peak_bytes / 1e6 for p in theirs]
    print_row("tokens/s", [r.rate for r in rounds], loop, more_is_better=True)
    print_row("tokens/s, the fastest round of each", *best, more_is_better=True)
    waited = "tokens/s, with the opening that extraction waits for (aqlens only)"
    print_row(waited, opening, loop, True)
    print_row("whole process, s", *walls, more_is_better=False)
    print_row("peak memory, MB", *peaks, more_is_better=False)
    others = [process.others for process in (*ours, *theirs)]
    if None not in others:
        print(f"\nOther processes took {spread((100 * o for o in others), 0)} % of the cores.")


def print_row(name: str, ours: list[float], theirs: list[float], more_is_better: bool) -> None:
    pairs = zip(ours, theirs, strict=True)
    better = [a / b if more_is_better else b / a for a, b in pairs]
    digits = 1 if median(ours) < 100 else 0
    cells = spread(ours, digits), spread(theirs, digits), spread(better, 2)
    print(f"| {name} | {' | '.join(cells)} |")


def print_experiment(title: str, trials: list, judged: bool) -> None:
    firsts, agains, parts = zip(*trials, strict=True)
    wall = [f.seconds for f in firsts]
    print(f"\n**{title}: {spread(wall, 3)} s.**", end="")
    holds = median(wall) < WANTED_SECONDS
    print(f" Under {WANTED_SECONDS} s: {verdict(holds)}." if judged else "")
    shares = [f"{name} {1000 * median(p[name] for p in parts):.0f}" for name in parts[0]]
    print(f"Where it goes, ms: {', '.join(shares)}.")
    print(f"Again on the finished run: {spread((a.seconds for a in agains), 3)} s.")


def print_machine(bench: Bench, runtime: str) -> None:
    version = machine.run([bench.aqlens, "--version"]).stdout.strip()
    git = machine.run(["git", "describe", "--always", "--dirty", "--abbrev=12"]).stdout.strip()
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"""
- Machine: {machine.describe()}; load before (1, 5, 15 minutes): {load}
- {version} (checkout {git}), ONNX Runtime {runtime}; torch {installed("torch")}, \
transformers {installed("transformers")}, Python {sys.version.split()[0]}""")


def shown(command: list, folder: Path) -> str:
    """A command as one would type it in the repository's root."""
    text = " ".join(str(part) for part in command)
    names = {str(folder): "target/bench", str(command[0]): Path(command[0]).name}
    for long, short in names.items():
        text = text.replace(long, short)
    return text


def find_runtime(aqlens: Path) -> tuple[str, Path]:
    """Version and library of the ONNX Runtime that aqlens takes."""
    printed = machine.run([aqlens, "doctor"]).stdout
    found = re.search(r"^ONNX Runtime +(\S+) at (.+)$", printed, re.MULTILINE)
    if found is None:
        raise SystemExit(f"error: `aqlens doctor` finds no ONNX Runtime:\n{printed}")
    return found[1], Path(found[2])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures aqlens beside what else there is.")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *NAMED], default=PARTS, help="what to measure")
    parser.add_argument("--runs", type=int, help="rounds of each measurement")
    parser.add_argument("--threads", type=int, help="threads of both (default: one a core)")
    parser.add_argument("--tokenizer", type=Path, default=DEMO / "tokenizer.json")
    args = parser.parse_args()
    if "notebook" in args.only:
        notebook(args.runs or 7, args.threads, args.tokenizer.resolve())
    for part in [part for part in (*PARTS[1:], *NAMED) if part in args.only]:
        options = ["--runs", args.runs] if args.runs else []
        options += ["--threads", args.threads] if args.threads and part != "analysis" else []
        options += ["--tokenizer", args.tokenizer.resolve()] if part != "scale" else []
        command = [sys.executable, ROOT / f"tests/bench/{NAMED.get(part, part)}.py", *map(str, options)]
        sys.stdout.flush()
        subprocess.run(command, check=True)


def notebook(runs: int, threads: int | None, tokenizer: Path) -> None:
    """Beside the notebook's loop."""
    aqlens, folder = machine.binary(), machine.work_folder()
    runtime, library = find_runtime(aqlens)
    material = make_material(folder, tokenizer)
    bench = Bench(aqlens, folder, threads)
    print_machine(bench, runtime)

    rounds = []
    for number in range(1, runs + 1):
        rounds.append(bench.round(material))
        done = rounds[-1]
        print(
            f"round {number} of {runs}: {done.ratio:.2f} times "
            f"({done.rate:.0f} against {done.reference_rate:.0f} tokens/s)",
            file=sys.stderr,
            flush=True,
        )
    warm = [bench.experiment([]) for _ in range(runs)]
    model = [path for path in DEMO.iterdir() if path.is_file()]
    cold = [bench.experiment([aqlens, library, *model]) for _ in range(runs)]

    print_extraction(rounds, material)
    print("\n## The notebook's pipeline, from a new process into a new folder\n")
    print(f"Median of {runs} (smallest to largest).")
    print_experiment("Files in the system's cache", warm, judged=True)
    print_experiment("Binary, library and model dropped from it", cold, judged=True)
    print("\n## Commands\n\n```sh")
    commands = [
        bench.reference_command(material),
        *(bench.run_command(what, "FRESH") for what in (material.run, PIPELINE)),
    ]
    for command in commands:
        print(shown(command, folder))
    print("```")


if __name__ == "__main__":
    main()
