"""The notebook (`experiment 037`) as a script over a pipeline file: the oracle of the tests.

    python export/reference.py PIPELINE.yml --checkpoint FOLDER --out reference.json
    python export/reference.py PIPELINE.yml --checkpoint FOLDER --time

Every number is made the way the notebook makes it, with PyTorch and transformers: one prompt at a
time, forward hooks on the blocks, eager attention, `cosine_similarity` in float32 on the
flattened activations cut to the shorter one, `topk`, `softmax`, Jaccard on Python sets. It shares
no code with the exporter or with aqlens and reads nothing that they write (`pipeline_file.py` reads
the YAML for it).

Where the notebook would stop, this goes on and says so in the output: a prompt of fewer tokens
than `k` gets the top min(k, T) positions (`focus.k`), and a scenario with one task has no mean
(null). Of a task with several wordings the first one is used.

Beside the notebook's numbers stand those of two measures that it does not have, from the same
extraction (`reference_lens.py`).

`--time` runs the notebook's extraction alone and prints tokens per second: what `make bench`
compares aqlens with.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

import reference_lens
from pipeline_file import Pipeline, PipelineError, Scenario, fill_prompt, read_pipeline

# The notebook's functions


class Notebook:
    """The notebook's model and tokenizer, loaded from a Hugging Face folder."""

    def __init__(self, checkpoint: str):
        if not (Path(checkpoint) / "config.json").is_file():
            raise PipelineError(
                f"--checkpoint {checkpoint} has no config.json: "
                "name a folder in Hugging Face layout"
            )
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.model = AutoModelForCausalLM.from_pretrained(
            checkpoint, attn_implementation="eager", dtype=torch.float32
        )
        self.model.eval()
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    @property
    def n_layers(self) -> int:
        """Blocks of the model."""
        return self.model.config.n_layer

    def extract(self, inputs: dict, layers: list[int]) -> dict:
        """The body of `extract_activations` for tokenised `inputs`."""
        activations = {}
        hooks = []

        def make_hook(layer_idx):
            def hook(module, inp, out):
                activations[layer_idx] = out[0].detach().cpu()

            return hook

        for idx in layers:
            hooks.append(self.model.transformer.h[idx].register_forward_hook(make_hook(idx)))
        with torch.no_grad():
            outputs = self.model(**inputs, output_attentions=True)
        for h in hooks:
            h.remove()
        return {
            "activations": activations,
            "attentions": [a.cpu() for a in outputs.attentions],
            "logits": outputs.logits.cpu(),
        }

    def extract_activations(self, text: str, layers: list[int]) -> dict:
        """Tokenises the prompt and runs it alone, unpadded."""
        inputs = self.tokenizer(text, return_tensors="pt")
        extraction = self.extract(inputs, layers)
        return {**extraction, "text": text, "token_ids": inputs["input_ids"][0].tolist()}


def cosine_similarity(a: torch.Tensor, b: torch.Tensor) -> float:
    """The notebook's `cosine_similarity`: flattened, cut to the shorter, float32."""
    a_flat = a.flatten().float()
    b_flat = b.flatten().float()
    min_len = min(len(a_flat), len(b_flat))
    return torch.nn.functional.cosine_similarity(
        a_flat[:min_len].unsqueeze(0), b_flat[:min_len].unsqueeze(0)
    ).item()


def similarity_matrix(extractions: list[dict], layer: int) -> np.ndarray:
    """[K, K] over the tasks, both triangles and the diagonal computed."""
    n_tasks = len(extractions)
    similarities = np.zeros((n_tasks, n_tasks))
    for i, a in enumerate(extractions):
        for j, b in enumerate(extractions):
            similarities[i, j] = cosine_similarity(a["activations"][layer], b["activations"][layer])
    return similarities


def attention_focus(attentions: list[torch.Tensor], top_k: int) -> dict:
    """`get_attention_focus`: last layer, mean over heads, last query, top-k key positions."""
    last_attn = attentions[-1][0].mean(dim=0)[-1]
    k = min(top_k, len(last_attn))
    ranked = last_attn.topk(min(k + 1, len(last_attn)))
    weights = ranked.values.tolist()
    top_positions = last_attn.topk(k).indices.tolist()
    return {
        "layer": len(attentions) - 1,
        "k": k,
        "positions": sorted(set(top_positions)),
        "ranked": top_positions,
        "weights": rounded(weights[:k]),
        "gap": rounded(weights[k - 1] - weights[k]) if len(weights) > k else None,
    }


def next_tokens(tokenizer, logits: torch.Tensor, top_k: int) -> list[dict]:
    """The notebook's section 7: softmax at the last position, top-k, decode, strip."""
    probs = torch.softmax(logits[0, -1, :], dim=0)
    top_probs, top_ids = probs.topk(min(top_k, len(probs)))
    rows = []
    for id, prob in zip(top_ids.tolist(), top_probs, strict=True):
        token = tokenizer.decode([id])
        rows.append(
            {
                "token_id": id,
                "token": token,
                "printed": token.strip(),
                "probability": rounded(prob.item()),
                "printed_probability": f"{prob:.4f}",
            }
        )
    return rows


def jaccard(focus_a: set, focus_b: set) -> float:
    """|A and B| / |A or B|."""
    return len(focus_a & focus_b) / len(focus_a | focus_b)


# The output


def rounded(values):
    """Nine significant digits: they bring every float32 back exactly."""
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.9g}") if math.isfinite(values) else None


def write_json(path: Path, numbers: dict) -> None:
    """Writes `numbers` compactly, in UTF-8."""
    text = json.dumps(numbers, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def layers_of(pipeline: Pipeline | None, notebook: Notebook) -> list[int]:
    """The pipeline's layers in its order, all when it names none; refuses impossible ones."""
    if pipeline is None or pipeline.layers is None:
        return list(range(notebook.n_layers))
    impossible = [layer for layer in pipeline.layers if not 0 <= layer < notebook.n_layers]
    if impossible:
        raise PipelineError(
            f"layers {impossible} of {pipeline.name}: the checkpoint has 0 to "
            f"{notebook.n_layers - 1}; change the pipeline's layers or the checkpoint"
        )
    return pipeline.layers


def make_reference(pipeline: Pipeline, notebook: Notebook) -> dict:
    """Every number of the notebook for every scenario of the pipeline."""
    layers = layers_of(pipeline, notebook)
    return {
        "pipeline": pipeline.name,
        "versions": {"torch": torch.__version__.split("+")[0], **_versions()},
        "top_k": {"attention": pipeline.attention_top_k, "tokens": pipeline.tokens_top_k},
        "threshold": pipeline.threshold,
        "scenarios": [_scenario(pipeline, s, layers, notebook) for s in pipeline.scenarios],
    }


def _versions() -> dict:
    return {"transformers": transformers.__version__, "numpy": np.__version__}


def _scenario(pipeline: Pipeline, scenario: Scenario, layers, notebook: Notebook) -> dict:
    n_tasks = len(scenario.tasks)
    upper = np.triu_indices(n_tasks, k=1)
    pairs = {layer: [] for layer in layers}
    inputs = []
    for input_id, text in scenario.inputs.items():
        extractions = [
            notebook.extract_activations(fill_prompt(pipeline.prompt, task, text), layers)
            for task in scenario.tasks.values()
        ]
        matrices = {layer: similarity_matrix(extractions, layer) for layer in layers}
        for layer in layers:
            pairs[layer].append(matrices[layer][upper])
        inputs.append(_input(pipeline, scenario, input_id, extractions, matrices, notebook))
    mean = {}
    for layer in layers:
        off_diag = np.concatenate(pairs[layer])
        mean[layer] = float(off_diag.mean()) if len(off_diag) else math.nan
    late = mean[layers[-1]]
    return {
        "name": scenario.name,
        "layers": layers,
        "tasks": list(scenario.tasks),
        "inputs": inputs,
        "mean_similarity": {
            str(layer): value if math.isfinite(value) else None for layer, value in mean.items()
        },
        "printed": {str(layer): f"{value:.4f}" for layer, value in mean.items()},
        "late_similarity": late if math.isfinite(late) else None,
        "supported": bool(late < pipeline.threshold),
    }


def _input(pipeline, scenario, input_id, extractions, matrices, notebook) -> dict:
    tasks, last = list(scenario.tasks), list(matrices)[-1]
    prompts = [
        _prompt(pipeline, task, extraction, list(matrices), notebook)
        for task, extraction in zip(tasks, extractions, strict=True)
    ]
    lenses = [
        reference_lens.lens_logprobs(notebook.model, extraction["activations"])
        for extraction in extractions
    ]
    for prompt, extraction, lens in zip(prompts, extractions, lenses, strict=True):
        rows = reference_lens.logit_lens(lens, extraction["logits"][0, -1])
        prompt["logit_lens"] = {
            str(layer): {key: rounded(v) if isinstance(v, float) else v for key, v in row.items()}
            for layer, row in rows.items()
        }
    focuses = [set(prompt["focus"]["positions"]) for prompt in prompts]
    overlaps, late, apart = [], [], []
    for i, task_a in enumerate(tasks):
        for j in range(i + 1, len(tasks)):
            pair = {"task_a": task_a, "task_b": tasks[j]}
            value = jaccard(focuses[i], focuses[j])
            overlaps.append({**pair, "value": value, "printed": f"{value:.3f}"})
            late.append({**pair, "layer": last, "printed": f"{matrices[last][i, j]:.4f}"})
            bits = {k: reference_lens.jsd_bits(lenses[i][k], lenses[j][k]) for k in matrices}
            apart.append({**pair, "jsd_bits": {str(k): rounded(v) for k, v in bits.items()}})
    return {
        "input": input_id,
        "prompts": prompts,
        "similarity": {str(layer): rounded(m.tolist()) for layer, m in matrices.items()},
        "printed_similarity": late,
        "jaccard": overlaps,
        "logit_lens_divergence": apart,
    }


def _prompt(pipeline, task: str, extraction: dict, layers, notebook: Notebook) -> dict:
    attentions = extraction["attentions"]
    kept = sorted({*layers, len(attentions) - 1})
    tokens = next_tokens(notebook.tokenizer, extraction["logits"], pipeline.tokens_top_k)
    bits = reference_lens.surprisal(extraction["token_ids"], extraction["logits"])
    return {
        "task": task,
        "text": extraction["text"],
        "token_ids": extraction["token_ids"],
        "attention": {str(i): rounded(attentions[i][0, :, -1, :].tolist()) for i in kept},
        "focus": attention_focus(attentions, pipeline.attention_top_k),
        "next_tokens": tokens,
        **{key: rounded(values) for key, values in bits.items()},
    }


# The baseline's speed


def time_extraction(notebook: Notebook, prompts: list, layers: list[int], repeat: int) -> dict:
    """Tokens per second of the notebook's extraction loop, one warm-up pass before."""
    n_tokens = sum(prompt["input_ids"].shape[1] for prompt in prompts)
    notebook.extract(prompts[0], layers)
    started = time.perf_counter()
    for _ in range(repeat):
        for prompt in prompts:
            notebook.extract(prompt, layers)
    seconds = time.perf_counter() - started
    return {
        "prompts": repeat * len(prompts),
        "tokens": repeat * n_tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(repeat * n_tokens / seconds, 1),
        "threads": torch.get_num_threads(),
    }


def prompts_to_time(pipeline: Pipeline | None, notebook: Notebook, lengths: str | None) -> list:
    """The pipeline's prompts, or random ones of the given lengths in tokens ("32,32,64")."""
    if lengths is not None:
        generator = torch.Generator().manual_seed(0)
        vocab = notebook.model.config.vocab_size
        shapes = [(1, int(length)) for length in lengths.split(",")]
        drawn = (torch.randint(vocab, shape, generator=generator) for shape in shapes)
        return [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in drawn]
    return [
        notebook.tokenizer(fill_prompt(pipeline.prompt, task, text), return_tensors="pt")
        for scenario in pipeline.scenarios
        for text in scenario.inputs.values()
        for task in scenario.tasks.values()
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="The notebook's numbers for a pipeline.")
    parser.add_argument("pipeline", type=Path, nargs="?", metavar="PIPELINE.yml")
    parser.add_argument("--checkpoint", required=True, help="folder in Hugging Face layout")
    parser.add_argument("--out", type=Path, help="the JSON file to write")
    parser.add_argument("--time", action="store_true", help="time the extraction alone")
    parser.add_argument("--token-lengths", help="with --time: random prompts, e.g. 32,32,64")
    parser.add_argument("--repeat", type=int, default=1, help="with --time: passes to run")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")
    args = parser.parse_args(arguments)
    if args.pipeline is None and not (args.time and args.token_lengths):
        parser.error("name a PIPELINE.yml, or give --time --token-lengths N,N,...")
    if not args.time and args.out is None:
        parser.error("--out FILE is missing: where the numbers go")
    if args.threads:
        torch.set_num_threads(args.threads)
    transformers.utils.logging.disable_progress_bar()
    try:
        return _run(args)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(args) -> int:
    pipeline = read_pipeline(args.pipeline) if args.pipeline else None
    notebook = Notebook(args.checkpoint)
    if not args.time:
        result = make_reference(pipeline, notebook)
        print(f"{args.out}: {len(result['scenarios'])} scenarios of {pipeline.name}")
    else:
        layers = layers_of(pipeline, notebook)
        prompts = prompts_to_time(pipeline, notebook, args.token_lengths)
        result = time_extraction(notebook, prompts, layers, args.repeat)
        print(
            f"notebook extraction: {result['tokens']} tokens in {result['seconds']} s, "
            f"{result['tokens_per_second']} tokens/s on {result['threads']} threads"
        )
    if args.out is not None:
        write_json(args.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
