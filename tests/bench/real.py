"""A model with real weights through aqlens, and through PyTorch as the notebook runs it.  docs/benchmarks.md.

    python tests/bench/real.py MODEL_FOLDER MODEL.gguf [--runs N] [--inputs N]

Prompts of `pipelines/real-study.yml`, one form: every wording of its tasks is put to the first N texts. Seven
layers, the last layer's attention and the next token's logits, four ways that take turns:

- `shared`: aqlens as it is by default, all tables written; `whole`: the same with `share_prefixes: false`;
- `alone`: the notebook's loop in PyTorch: one prompt at a time, hooks, `output_attentions=True`;
- `batch`: PyTorch in padded batches of 16 of about one length, the head on last tokens only.

All with the model open and warm, and one thread: tokens a second spent on the cores are what counts, as that
holds on a machine that does other things meanwhile. Needs the Python environment of export/ and a
release binary.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import yaml
from machine import ROOT

STUDY = ROOT / "pipelines/real-study.yml"
N_LAYERS = 7
BATCH = 16
# At least this many times as many tokens a core second.
WANTED = {("whole", "alone"): 3.0, ("shared", "alone"): 5.0, ("shared", "batch"): 2.0}
NAMES = {
    "shared": "aqlens, tables written",
    "whole": "aqlens without shared prefixes, tables written",
    "alone": "the notebook's loop",
    "batch": "PyTorch, batches of 16",
}


def prompts_of(n_inputs: int) -> tuple[dict, dict, str]:
    """Inputs, tasks and the template: each wording a task."""
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    scenario = study["scenarios"][0]
    tasks = {
        f"{name}-{i}": wording
        for name, task in scenario["tasks"].items()
        for i, wording in enumerate(task["wordings"])
    }
    lines = (ROOT / "data/texts.jsonl").read_text(encoding="utf-8").splitlines()[:n_inputs]
    inputs = {row["id"]: row["text"] for row in map(json.loads, lines)}
    return inputs, tasks, study["forms"]["plain"]["prompt"]


class Torch:
    """PyTorch in a process of its own, with the weights of the GGUF file."""

    def __init__(self, gguf: Path, layers: list[int]):
        command = [sys.executable, __file__, "--serve", gguf, json.dumps(layers)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, way: str, texts: list[str]) -> dict:
        self.process.stdin.write(json.dumps([way, texts]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def layers_of(model: Path) -> list[int]:
    """From the first block to the last, evenly."""
    n_layer = json.loads((model / "model.json").read_text(encoding="utf-8"))["n_layer"]
    return [round(i * (n_layer - 1) / (N_LAYERS - 1)) for i in range(N_LAYERS)]


def serve(gguf: Path, layers: list[int]) -> None:
    """Answers requests, a line each, until there are no more."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    folder = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    model = AutoModelForCausalLM.from_pretrained(
        **folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()

    def run(texts: list[str], whole_logits: bool) -> int:
        kept = {}

        def keep(layer):
            def hook(_module, _inputs, output):
                kept[layer] = (output[0] if isinstance(output, tuple) else output).detach()

            return hook

        hooks = [model.model.layers[i].register_forward_hook(keep(i)) for i in layers]
        inputs = tokenizer(texts, return_tensors="pt", padding=len(texts) > 1)
        with torch.no_grad():
            if whole_logits:
                model(**inputs, output_attentions=True, use_cache=False)
            else:
                output = model.model(**inputs, output_attentions=True, use_cache=False)
                last = inputs["attention_mask"].sum(1) - 1
                model.lm_head(output.last_hidden_state[torch.arange(len(texts)), last])
        for hook in hooks:
            hook.remove()
        return int(inputs["attention_mask"].sum())

    for line in sys.stdin:
        way, texts = json.loads(line)
        started, spent = time.perf_counter(), time.process_time()
        if way == "alone":
            tokens = sum(run([text], True) for text in texts)
        else:
            ordered = sorted(texts, key=len)
            groups = [ordered[i : i + BATCH] for i in range(0, len(ordered), BATCH)]
            tokens = sum(run(group, False) for group in groups)
        spent, seconds = time.process_time() - spent, time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answer = {"tokens": tokens, "cpu": spent, "seconds": seconds, "peak": peak}
        print(json.dumps(answer), flush=True)


def write_pipeline(path: Path, model: Path, inputs: dict, tasks: dict, prompt: str, way: str) -> None:
    """A shard for warming up, then the prompts."""
    first = dict(list(inputs.items())[:4])
    extract = {"kind": "extract", "layers": layers_of(model), "share_prefixes": way == "shared"}
    pipeline = {
        "name": way,
        "model": str(model.resolve()),
        "prompt": prompt,
        "provider": "cpu",
        "shard_inputs": len(inputs),
        "scenarios": [
            {"name": "warm-up", "inputs": first, "tasks": dict(list(tasks.items())[:2])},
            {"name": "prompts", "inputs": inputs, "tasks": tasks},
        ],
        "stages": [extract],
    }
    path.write_text(json.dumps(pipeline), encoding="utf-8")


def aqlens_speed(pipeline: Path, run_dir: Path, tokens: int) -> dict:
    """From the end of the warm-up shard's extraction to the end of the other one's; its memory."""
    command = [machine.binary(), "run", pipeline, "--run-dir", run_dir, "--threads", "1"]
    command += ["--log", "json", "--quiet"]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    ends = []
    for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "finished" and event["stage"] == "extract":
            ends.append((time.perf_counter(), machine.cpu_seconds(process.pid)))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or len(ends) != 2:
        raise SystemExit(f"error: {command} ended with {process.returncode}")
    (started, before), (ended, after) = ends
    peak = usage.ru_maxrss * 1024
    return {"tokens": tokens, "cpu": after - before, "seconds": ended - started, "peak": peak}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Real weights through aqlens and PyTorch.")
    parser.add_argument("model", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inputs", type=int, default=16)
    args = parser.parse_args()
    inputs, tasks, prompt = prompts_of(args.inputs)
    texts = [
        prompt.replace("{task}", task).replace("{input}", text)
        for text in inputs.values()
        for task in tasks.values()
    ]
    pytorch = Torch(args.gguf, layers_of(args.model))
    pytorch.ask("alone", texts[:2])
    tokens = pytorch.ask("batch", texts)["tokens"]
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(args.runs):
            found = {}
            for way in ("shared", "alone", "whole", "batch"):
                if way in ("alone", "batch"):
                    found[way] = pytorch.ask(way, texts[:: 6 if way == "alone" else 2])
                else:
                    path = Path(folder) / f"{way}.yml"
                    write_pipeline(path, args.model, inputs, tasks, prompt, way)
                    found[way] = aqlens_speed(path, Path(folder) / f"{way}-{n}", tokens)
                speed = found[way]["tokens"] / found[way]["cpu"]
                machine.say(f"round {n + 1}, {way}: {speed:.0f} tokens a core second")
            rounds.append(found)
    report(rounds, len(texts), tokens)


def report(rounds: list[dict], n_prompts: int, tokens: int) -> None:
    """Markdown."""
    print(f"{n_prompts} prompts, {tokens} tokens; {len(rounds)} rounds, one thread\n")
    print("| | tokens a core second, median (range) | peak memory, MB |\n|---|---|---|")
    speeds = {
        way: [found[way]["tokens"] / found[way]["cpu"] for found in rounds] for way in NAMES
    }
    for way, name in NAMES.items():
        own = speeds[way]
        peak = max(found[way]["peak"] for found in rounds) / 1e6
        print(
            f"| {name} | {statistics.median(own):,.0f} ({min(own):,.0f} to {max(own):,.0f}) "
            f"| {peak:,.0f} |"
        )
    print()
    for (ours, theirs), wanted in WANTED.items():
        ratios = [a / b for a, b in zip(speeds[ours], speeds[theirs], strict=True)]
        middle = statistics.median(ratios)
        holds = "holds" if middle >= wanted else "DOES NOT HOLD"
        print(
            f"- {NAMES[ours].split(',')[0]}: **{middle:.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f})** times {NAMES[theirs]}. At least {wanted:g}: {holds}."
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        main()
