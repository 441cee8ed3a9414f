"""Would it pay to compute a task's shared prefix once?  docs/benchmarks.md, "Shared prefixes".

    python tests/bench/prefix.py [--runs N] [--threads N] [--shape WORDS] [--json FILE]

All prompts of one task start with the same tokens: the template's text up to the input. This
builds a second GPT-2 graph that takes keys and values of such a prefix, checks it against the
plain graph, and times both ways over the same prompts: everything that a real run does between
token ids and the arrays that go to Parquet is counted, writing is not.

Needs the Python environment of export/ and the checkpoint that `make bench` makes
($AQLENS_CACHE/bench/checkpoint, or target/bench/checkpoint).
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import machine
import material
import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

sys.path.insert(0, str(material.ROOT / "export"))
import prefix_graph
from aqlens_export.graph import build_graph
from aqlens_export.source import from_checkpoint
from aqlens_export.weights import DataFileWeights
from prefix_ways import Gathered, Graphs, Prompt, Way, edges, lengths_of_prefixes, make_prompts

TOLERANCE = 1e-4
BUDGETS = [512, 1024, 2048]
# Those of the notebook's first scene.
NOTEBOOK_TASKS = dict(list(material.TASKS.items())[:5])
# Of the 2.9 s that extraction of 128 prompts took, 0.4 s went into tables (docs/benchmarks.md).
WRITING = 0.4 / 2.9


def notebook_inputs(count: int) -> list[str]:
    """Scenes built like the notebook's, each of as many tokens."""
    rng = random.Random(37)
    pairs = [(c, n) for c in material.COLORS for n in material.NOUNS if n != "shelf"]
    scene = "{} {} {} on a {} {}, next to a {} {}."
    inputs = []
    for _ in range(count):
        (a, b), (c, d), (e, f) = rng.sample(pairs, 3)
        inputs.append(scene.format(rng.choice(["A", "One", "The", "That"]), a, b, c, d, e, f))
    return inputs


# Right, then fast


def verify(graphs: Graphs, prompts: list[Prompt], ways: list[Way]) -> dict[str, dict]:
    """Each way's largest differences from the plain graph, over all layers and all queries."""
    lengths = [len(p.ids) for p in prompts]
    layers = list(range(graphs.config.n_layer))

    def gather(way: Way) -> Gathered:
        gathered = Gathered(lengths, graphs.config, layers, every_query=True)
        way.run(graphs, prompts, gathered)
        return gathered

    def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
        """Of one element, in units of its vector's norm."""
        return float((np.abs(ours - theirs).max(-1) / np.linalg.norm(theirs, axis=-1)).max())

    plain = gather(Way("plain"))
    found = {}
    for way in ways:
        ours = gather(way)
        pairs = zip(ours.attention, plain.attention, strict=True)
        found[way.name] = {
            "hidden": max(map(relative, ours.hidden, plain.hidden)),
            "attention": max(float(np.abs(a - b).max()) for a, b in pairs),
            "logits": relative(ours.logits, plain.logits),
        }
        worst = max(found[way.name].values())
        if not worst <= TOLERANCE:
            raise SystemExit(f"error: {way.name} differs by {worst:.1e}, over {TOLERANCE:.0e}")
    return found


def timed(way: Way, graphs: Graphs, prompts: list[Prompt], gathered: Gathered) -> dict:
    """Seconds on the clock and on the cores, and what others took of the cores meanwhile."""
    busy, own, started = machine._busy_seconds(), time.process_time(), time.perf_counter()
    way.run(graphs, prompts, gathered)
    wall, cpu = time.perf_counter() - started, time.process_time() - own
    if not gathered.finite:
        raise SystemExit(f"error: {way.name} gave a value that is no number")
    others = max(0.0, (machine._busy_seconds() - busy - cpu) / (wall * os.cpu_count()))
    return {"wall": wall, "cpu": cpu, "others": others}


def rounds(runs: int, ways: list[Way], graphs: Graphs, prompts: list[Prompt]) -> list[list[dict]]:
    """Per round what each way took; they take turns at being first."""
    gathered = Gathered(
        [len(p.ids) for p in prompts], graphs.config, material.LAYERS, every_query=False
    )
    done = []
    for number in range(runs):
        turn = number % len(ways)
        order = [*range(turn, len(ways)), *range(turn)]
        if number // len(ways) % 2:
            order.reverse()
        took = {i: timed(ways[i], graphs, prompts, gathered) for i in order}
        done.append([took[i] for i in range(len(ways))])
        cells = (f"{way.name} {t['wall']:.2f}" for way, t in zip(ways, done[-1], strict=True))
        print(f"  {number + 1}: {', '.join(cells)} s", file=sys.stderr, flush=True)
    return done


def median(values) -> float:
    return statistics.median(list(values))


def choose_budgets(ways: list[Way], runs: int, graphs: Graphs, prompts: list[Prompt]) -> None:
    """Tokens a batch for each way, by the median of core seconds: others disturb them less."""
    trials = [Way(f"{way.name} {b}", way.graph, way.prefix, b) for way in ways for b in BUDGETS]
    done = rounds(runs, trials, graphs, prompts)
    took = {way.name: median(r[i]["cpu"] for r in done) for i, way in enumerate(trials)}
    for way in ways:
        way.budget = min(BUDGETS, key=lambda b: took[f"{way.name} {b}"])


def spread(values, digits: int = 2) -> str:
    values = list(values)
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def measure(name: str, graphs: Graphs, prompts: list[Prompt], args) -> dict:
    """One shape of prompts: checked, batch sizes chosen, timed, printed."""
    print(f"{name}: checking, then choosing batches", file=sys.stderr, flush=True)
    template, longest = (lengths_of_prefixes(prompts, kind) for kind in ("template", "found"))
    prefixes = {"none": dict.fromkeys(template, 0), "template": template, "found": longest}
    ways = [
        Way("plain"),
        *(Way(f"template, `{graph}`", graph, "template") for graph in prefix_graph.VARIANTS),
        Way("no prefix, `keys`", "keys"),
    ]
    if longest != template:
        ways.append(Way("longest, `rows`", "rows", "found"))
    ways = [way for way in ways if way.name not in args.without]
    different = verify(graphs, prompts, ways)
    for way in ways:
        way.budget = args.budget or way.budget
    if not args.budget:
        choose_budgets(ways, args.sweep, graphs, prompts)
    done = rounds(args.runs, ways, graphs, prompts)
    lengths = [len(p.ids) for p in prompts]
    total, load = sum(lengths), ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"""
### {name}

{len(prompts)} prompts, {min(lengths)} to {max(lengths)} tokens, {total} in all, {args.runs} \
rounds; others took {spread((100 * t["others"] for r in done for t in r), 0)} % of the cores, \
load {load}.

| | prefix | of all tokens | tokens a batch | hidden | attention | logits | tokens/s \
| tokens/core second | clock ratio | core ratio | whole extraction |
|---|---|---|---|---|---|---|---|---|---|---|---|""")
    results = {"name": name, "prompts": len(prompts), "tokens": total, "ways": {}}
    for i, way in enumerate(ways):
        clock, cores = ([r[0][of] / r[i][of] for r in done] for of in ("wall", "cpu"))
        whole = [1 / ((1 - WRITING) / ratio + WRITING) for ratio in cores]
        per_task = prefixes[way.prefix]
        saved = sum(per_task[p.task] for p in prompts) / total
        d = different[way.name]
        cells = [way.name, f"{min(per_task.values())} to {max(per_task.values())}"]
        cells += [f"{100 * saved:.0f} %", str(way.budget)]
        cells += [f"{d[of]:.1e}" for of in ("hidden", "attention", "logits")]
        cells += [spread((total / r[i][of] for r in done), 0) for of in ("wall", "cpu")]
        cells += [spread(clock), spread(cores), spread(whole)]
        print(f"| {' | '.join(cells)} |")
        results["ways"][way.name] = {"budget": way.budget, "rounds": [r[i] for r in done], **d}
    for i, way in enumerate(ways[1:], 1):
        each = [f"{r[0]['wall'] / r[i]['wall']:.2f}/{r[0]['cpu'] / r[i]['cpu']:.2f}" for r in done]
        print(f"\n{way.name}, clock/core ratio of each round: {', '.join(each)}", flush=True)
    return results


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures shared prefixes beside plain batches.")
    parser.add_argument("--runs", type=int, default=9, help="rounds of each shape")
    parser.add_argument("--sweep", type=int, default=2, help="rounds to choose batch sizes by")
    parser.add_argument("--budget", type=int, help="tokens a batch, instead of choosing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", default="", help="only shapes with this in their name")
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out, by name")
    parser.add_argument("--checkpoint", type=Path, help="another model, such as a trained one")
    parser.add_argument("--json", type=Path, help="every round's figures go here")
    args = parser.parse_args()
    cache = Path(os.environ.get("AQLENS_CACHE", material.ROOT / "target")).resolve() / "bench"
    checkpoint = args.checkpoint or cache / "checkpoint"
    if not (checkpoint / "config.json").is_file():
        raise SystemExit(f"error: {checkpoint} holds no checkpoint: run `make bench` first")
    source = from_checkpoint(str(checkpoint), None)
    config = source.model.config
    tokenizer = Tokenizer.from_str(source.tokenizer_json.decode())
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        weights = DataFileWeights(Path(folder) / "model.onnx.data")
        built = {"plain": build_graph(source.model, weights)}
        for variant in prefix_graph.VARIANTS:
            built[variant] = prefix_graph.build(source.model, weights, variant)
        weights.close()
        for name, graph in built.items():
            (Path(folder) / f"{name}.onnx").write_bytes(graph.SerializeToString())
        graphs = Graphs(Path(folder), config, args.threads)
    del source
    print(f"{machine.describe()}; ONNX Runtime {ort.__version__}, {args.threads} threads")
    ways = [Way(f"edges, `{graph}`", graph, "found", 16) for graph in prefix_graph.VARIANTS]
    for name, found in verify(graphs, edges(tokenizer), ways).items():
        print(f"{name}:", ", ".join(f"{kind} {value:.1e}" for kind, value in found.items()))
    rng = random.Random(37)
    scenes = [material._scene(rng, 1 + i % 4) for i in range(material.INPUTS)]
    shapes = {
        "The benchmark's shape, 8 tasks x 16 inputs a shard": (material.TASKS, scenes),
        "The notebook's shape, 5 tasks x 20 inputs a shard": (NOTEBOOK_TASKS, notebook_inputs(20)),
        "The benchmark's shape in small shards, 8 tasks x 4 inputs": (material.TASKS, scenes[:4]),
    }
    results = [
        measure(name, graphs, make_prompts(tokenizer, *of), args)
        for name, of in shapes.items()
        if args.shape in name
    ]
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
