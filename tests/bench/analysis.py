"""The notebook's measures from dumped tables, beside DuckDB and numpy.  docs/benchmarks.md.

    python tests/bench/analysis.py [--runs N] [--inputs N]

A random GPT-2-small's activations, attention and scores are dumped once (8 prompts an input, kept
in the benchmarks' folder). Then similarity, divergence, attention and tokens are computed from
these files, on one thread each, in turn:

- by `aqlens run` with these stages, whose seconds are summed: reading, computing, writing tables;
- by SQL in DuckDB and by numpy (`analysis_others.py`, with the Python of VIRTUAL_ENV): reading and
  computing, keeping the results in memory. What starting a process takes is not counted.

Similarities must agree, or there is no figure: to 1e-9, and to 1e-4 where the sums are float32.
"""

import argparse
import json
import os
import shutil
import statistics
from pathlib import Path

import machine
from material import LAYERS, ROOT, make_material

STAGES = ["similarity", "divergence", "attention", "tokens"]
WANTED = {"duckdb": 5.0, "numpy": 3.0}
NAMES = {
    "duckdb": "DuckDB, `list_cosine_similarity` over the pairs",
    "duckdb-fast": "DuckDB, `array_inner_product` of each two tokens, then sums",
    "numpy": "numpy, sums in float64 as in aqlens",
    "numpy-f32": "numpy, sums in float32",
}
TOLERANCES = {"numpy": 1e-9}
FLOAT32 = 1e-4


def write(folder: Path, dumped: Path, stages: list[str]) -> Path:
    pipeline = json.loads(dumped.read_text())
    pipeline["name"] = "analysis"
    pipeline["stages"] += [{"kind": kind} for kind in stages]
    path = folder / ("analysis.yml" if stages else "analysis-dump.yml")
    path.write_text(json.dumps(pipeline, indent=1) + "\n", encoding="utf-8")
    return path


def forget_measures(run_dir: Path) -> None:
    tables = ["similarity", "divergence", "attention_focus", "attention_overlap", "next_tokens"]
    for name in [*(f"receipts/{s}" for s in STAGES), *(f"tables/{t}" for t in tables)]:
        shutil.rmtree(run_dir / name, ignore_errors=True)


def ours(command: list) -> dict[str, float]:
    """Seconds by stage."""
    log = machine.run(command).stderr.splitlines()
    events = [json.loads(line) for line in log]
    ended = [event for event in events if event["event"] == "finished"]
    if {event["stage"] for event in ended} != set(STAGES):
        raise SystemExit(
            f"error: {' '.join(map(str, command))} did not do just {STAGES}: "
            "if another version of aqlens dumped its tables, delete the run directory"
        )
    return {s: sum(e["seconds"] for e in ended if e["stage"] == s) for s in STAGES}


def theirs(python: Path, way: str, run_dir: Path) -> dict[str, float]:
    command = [python, ROOT / "tests/bench/analysis_others.py", way, run_dir]
    done = json.loads(machine.run(command).stdout)
    if done["difference"] > TOLERANCES.get(way, FLOAT32):
        raise SystemExit(f"error: {way} differs from aqlens by {done['difference']:.2g}")
    return done["seconds"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures from dumped tables, three ways.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=250, help="8 prompts each")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "data/demo/tokenizer.json")
    parser.add_argument("--ways", nargs="+", default=list(NAMES), choices=list(NAMES))
    args = parser.parse_args()
    aqlens, folder = machine.binary(), machine.work_folder()
    python = Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv")).resolve() / "bin/python"
    material = make_material(folder, args.tokenizer.resolve(), args.inputs)
    run_dir = folder / f"analysis-{args.inputs}"
    dump = write(folder, material.measured, [])
    measure = write(folder, material.measured, STAGES)
    if not (run_dir / "run.json").is_file():
        machine.say(f"dumping {8 * args.inputs} prompts to {run_dir}")
        machine.run([aqlens, "run", dump, "--run-dir", run_dir])
    tokens = sum(material.lengths)
    size = tokens * len(LAYERS) * 768 * 4
    command = [aqlens, "run", measure, "--run-dir", run_dir, "--threads", "1", "--log", "json"]
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(args.runs):
        forget_measures(run_dir)
        done = {"aqlens": ours(command)}
        done |= {way: theirs(python, way, run_dir) for way in args.ways}
        rounds.append(done)
        machine.say(str({way: round(sum(of.values()), 2) for way, of in done.items()}))
    print(f"""
## Measures from dumped tables

- Machine: {machine.describe()}; one thread each
- {len(material.lengths)} prompts, {tokens} tokens, {len(LAYERS)} layers: {size / 1e9:.2f} GB of \
activations, {len(material.lengths) * 50257 * 4 / 1e9:.2f} GB of scores; medians of {args.runs} rounds

| | activations, MB/s and core | similarity, s | attention, s | tokens, s | all, s | aqlens is faster |
|---|---|---|---|---|---|---|""")
    for way in rounds[0]:
        parts = {s: statistics.median(r[way].get(s, 0.0) for r in rounds) for s in STAGES}
        parts["similarity"] += parts.pop("divergence")
        ratios = [sum(r[way].values()) / sum(r["aqlens"].values()) for r in rounds]
        alls = statistics.median(sum(r[way].values()) for r in rounds)
        cells = [f"{size / 1e6 / alls:,.0f}", *(f"{s:.2f}" for s in parts.values()), f"{alls:.2f}"]
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {NAMES.get(way, way)} | {' | '.join(cells)} |")
    print()
    for way in filter(WANTED.get, args.ways):
        ratio = statistics.median(sum(r[way].values()) / sum(r["aqlens"].values()) for r in rounds)
        holds = "holds" if ratio >= WANTED[way] else "DOES NOT HOLD"
        print(f"**{ratio:.2f} times {NAMES[way]}.** At least {WANTED[way]:g}: {holds}.")


if __name__ == "__main__":
    main()
