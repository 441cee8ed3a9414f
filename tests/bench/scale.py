"""How a run grows with its prompts: memory, disk, time.  docs/benchmarks.md, "Many prompts".

    python tests/bench/scale.py [--sizes 1000 2000 10000 100000] [--runs N] [--threads N]
                                [--model DIR]

The demo model, or the one in DIR, over the shipped scenes and tasks, each scene as often as it
takes under new ids; `retain: []`, the notebook's stages and the report. Needs the release binary
alone (AQLENS, or target/release/aqlens). Each size runs so often that it takes about as many
prompts as the largest, N times at most (default 5), the sizes in turn, and beside them a run of one
input, whose time is that of opening the model: the time of a prompt is reported with it and without.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import machine
import pipelines
from machine import ROOT

STAGES = ["extract", "similarity", "divergence", "attention", "tokens", "summary", "report"]
TASKS = 5
# The prompts of one input.
OPENING = TASKS
# What issue 3 wants: memory at the largest against that at 2,000 prompts, time per prompt.
MEMORY_SIZE, MEMORY, TIME = 2_000, 1.15, 0.10


@dataclass
class Run:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    # The most that the run directory took while it ran, and what is left of it.
    disk_bytes: int
    kept_bytes: int
    report_bytes: int
    others: float | None


class DiskWatch(threading.Thread):
    """Sizes a folder again and again; a look takes a tenth of the time between looks at most."""

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.most, self.ended = folder, 0, threading.Event()

    def run(self) -> None:
        pause = 0.1
        while not self.ended.wait(pause):
            started = time.perf_counter()
            self.most = max(self.most, size(self.folder))
            pause = max(0.1, 10 * (time.perf_counter() - started))

    def end(self) -> int:
        self.ended.set()
        self.join()
        return max(self.most, size(self.folder))


def size(folder: Path) -> int:
    """Bytes of all files below, as they are right now."""
    total, folders = 0, [folder]
    while folders:
        try:
            for entry in os.scandir(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            pass
    return total


def write_pipeline(folder: Path, model: Path, prompts: int) -> Path:
    scenes = (ROOT / "data/scenes.jsonl").read_text(encoding="utf-8").splitlines()
    texts = (
        (f"scene-{i:07}", json.loads(scene)["text"]) for i, scene in enumerate(islice(cycle(scenes), prompts // TASKS))
    )
    tasks = {"file": str(ROOT / "data/tasks.csv"), "id": "task", "text": "question"}
    path = folder / f"scale-{model.name}-{prompts}.yml"
    inputs = (folder / f"inputs-{prompts}.jsonl", texts)
    return pipelines.write_pipeline(path, model, f"scale-{prompts}", inputs, tasks, STAGES)


def run(aqlens: Path, pipeline: Path, threads: list[str]) -> Run:
    with tempfile.TemporaryDirectory(dir=pipeline.parent) as folder:
        run_dir = Path(folder) / "run"
        watch = DiskWatch(run_dir)
        watch.start()
        done = machine.run([aqlens, "run", pipeline, "--run-dir", run_dir, *threads])
        disk = watch.end()
        report = (run_dir / "report.html").stat().st_size
        times = done.seconds, done.cpu_seconds
        return Run(*times, done.peak_bytes, disk, size(run_dir), report, done.others)


def median(runs: list[Run], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)


def show(results: dict[int, list[Run]]) -> None:
    opening = results.pop(OPENING)
    print(f"- Opening the model and one input: {median(opening, 'seconds'):.2f} s, of processors "
          f"{median(opening, 'cpu_seconds'):.2f} s")
    print("\n| prompts | runs | ms a prompt | without opening | of processors | without opening "
          "| peak memory, MB | disk at most, MB | kept, MB | report, kB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    names = {"seconds": "time", "cpu_seconds": "processor time"}
    rows = {(field, bare): {} for field in names for bare in (False, True)}
    for prompts, runs in results.items():
        for (field, bare), row in rows.items():
            seconds = median(runs, field) - (median(opening, field) if bare else 0.0)
            row[prompts] = 1000 * seconds / (prompts - (OPENING if bare else 0))
        cells = [
            f"{prompts:,}",
            str(len(runs)),
            *(f"{row[prompts]:.3f}" for row in rows.values()),
            *(f"{median(runs, f) / 1e6:.1f}" for f in ("peak_bytes", "disk_bytes", "kept_bytes")),
            f"{median(runs, 'report_bytes') / 1e3:.0f}",
        ]
        print(f"| {' | '.join(cells)} |")
    largest = max(results)
    if MEMORY_SIZE in results and largest > MEMORY_SIZE:
        ratio = median(results[largest], "peak_bytes") / median(results[MEMORY_SIZE], "peak_bytes")
        holds = "holds" if ratio <= MEMORY else "DOES NOT HOLD"
        print(f"\n**Peak memory at {largest:,} prompts: {ratio:.3f} times that at {MEMORY_SIZE:,}.** "
              f"At most {MEMORY}: {holds}.")
    for (field, bare), times in rows.items():
        spread = max(times.values()) / min(times.values()) - 1
        holds = "holds" if spread <= TIME else "DOES NOT HOLD"
        name = f"{names[field].capitalize()} of a prompt{', opening aside' if bare else ''}"
        print(f"**{name}: within {100 * spread:.1f} %.** Within {100 * TIME:.0f} %: {holds}.")
    others = [run.others for runs in results.values() for run in runs if run.others is not None]
    if others:
        print(f"Other processes took {100 * statistics.median(others):.0f} % of the cores.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures how a run grows with its prompts.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 2_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=5, help="how often each size runs at most")
    parser.add_argument("--model", type=Path, default=ROOT / "data/demo", help="a model folder")
    parser.add_argument("--threads", type=int, help="default: one a core")
    args = parser.parse_args()
    aqlens, folder = machine.binary(), machine.work_folder()
    threads = ["--threads", str(args.threads)] if args.threads else []
    sizes = [OPENING, *args.sizes]
    model = args.model.resolve()
    pipelines = {size: write_pipeline(folder, model, size) for size in sizes}
    often = {size: min(args.runs, max(1, max(sizes) // size)) for size in sizes}
    results: dict[int, list[Run]] = {size: [] for size in sizes}
    name = json.loads((model / "model.json").read_text(encoding="utf-8"))["source"]["name"]
    print(f"\n## Many prompts: model {name}, `retain: []`\n\n- Machine: {machine.describe()}")
    for number in range(max(often.values())):
        for size_ in sizes:
            if number < often[size_]:
                results[size_].append(run(aqlens, pipelines[size_], threads))
                machine.say(f"{size_:,} prompts: {results[size_][-1]}")
    show(results)


if __name__ == "__main__":
    main()
