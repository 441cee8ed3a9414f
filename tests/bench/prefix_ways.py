"""The ways of running prompts that `prefix.py` compares: plain, and with a task's prefix shared."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import material
import numpy as np
import onnxruntime as ort
from onnxruntime import OrtValue
from tokenizers import Tokenizer


@dataclass
class Prompt:
    task: str
    ids: list[int]
    # Tokens that end where the input starts or before; a token across that edge is the input's.
    template: int


def make_prompts(
    tokenizer: Tokenizer, tasks: dict, inputs: list[str], form: str = material.PROMPT
) -> list[Prompt]:
    prompts = []
    for text in inputs:
        for task, question in tasks.items():
            before = form.replace("{task}", question)
            start, whole = before.index("{input}"), before.replace("{input}", text)
            encoded = tokenizer.encode(whole)
            template = sum(end <= start for _, end in encoded.offsets)
            prompts.append(Prompt(task, encoded.ids, template))
    return prompts


def edges(tokenizer: Tokenizer) -> list[Prompt]:
    """Prompts at the edges: fused with the template, one the start of another, alone, one token."""
    inputs = ["A ball", " A", "  ball", "\n", "ball", "b", "A red ball on a table.", "\t", " ", "A"]
    tasks = {"what": "What", "cut": "Is there a b", "short": "x"}
    prompts = make_prompts(tokenizer, tasks, inputs, "{task} Context: {input}")
    prompts += [Prompt("start", [5, 6, 7, 8], 4), Prompt("start", [5, 6, 7, 8, 9, 10], 4)]
    prompts += [Prompt("alone", [5, 6, 7], 2), Prompt("one", [5], 1), Prompt("one", [5, 9], 1)]
    return prompts


def shared_prefix(prompts: list[Prompt], found: bool) -> int:
    """How many tokens all of these prompts of one task start with; at least one stays to be run.

    Of the template's text alone, or of everything `found` to be the same. Always compared as
    tokens: a tokenizer may fuse the template's last letter with the input's first.
    """
    first = prompts[0].ids
    common = min(len(p.ids) for p in prompts) - 1
    if not found:
        common = min(common, *(p.template for p in prompts))
    for p in prompts[1:]:
        same = next((i for i in range(common) if p.ids[i] != first[i]), common)
        common = min(common, same)
    return common if len(prompts) > 1 else 0


def lengths_of_prefixes(prompts: list[Prompt], kind: str) -> dict[str, int]:
    tasks = defaultdict(list)
    for prompt in prompts:
        tasks[prompt.task].append(prompt)
    return {task: shared_prefix(of, kind == "found") for task, of in tasks.items()}


def plan_batches(lengths: list[int], budget: int) -> list[list[int]]:
    """As src/model/batch.rs: longest first, at most `budget` padded tokens a batch."""
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


# Both ways of running them


class Gathered:
    """What is kept of every prompt, as src/stage/extract/gather.rs keeps it: copied once."""

    def __init__(self, lengths: list[int], config, layers: list[int], every_query: bool):
        self.starts = np.concatenate([[0], np.cumsum(lengths)])
        self.layers, self.every_query = layers, every_query
        # Touched here, so that no pass pays for fresh pages and another does not.
        self.hidden = [np.ones((self.starts[-1], config.n_embd), np.float32) for _ in layers]
        self.attention = [
            np.zeros((len(layers), config.n_head, n if every_query else 1, n), np.float32)
            for n in lengths
        ]
        self.logits = np.ones((len(lengths), config.vocab_size), np.float32)
        self.finite = True

    def take(self, row: int, to: np.ndarray, source: np.ndarray) -> None:
        np.copyto(to, source)
        self.finite &= bool(np.isfinite(source).all())

    def take_prompt(
        self, row: int, i: int, real: int, past: int, outputs: dict, padded: int | None = None
    ) -> None:
        """Row `i` of a batch is prompt `row`: its last `real` tokens, after `past` known ones.

        Keys of the past are `padded` to so many.
        """
        start = self.starts[row] + past
        for slot, layer in enumerate(self.layers):
            hidden = outputs[f"hidden.{layer}"][i, :real]
            self.take(row, self.hidden[slot][start : start + real], hidden)
            query = slice(0 if self.every_query else real - 1, real)
            weights = outputs[f"attention.{layer}"][i, :, query]
            to = self.attention[row][slot][:, -weights.shape[1] :]
            if padded in (None, past):
                self.take(row, to, weights[..., : past + real])
            else:
                self.take(row, to[..., :past], weights[..., :past])
                self.take(row, to[..., past:], weights[..., padded : padded + real])
        self.take(row, self.logits[row], outputs["logits"][i])

    def take_prefix(self, row: int, i: int, past: int, outputs: dict) -> None:
        """Copies the prefix's hidden states; of its attention only `every_query` wants anything."""
        start = self.starts[row]
        for slot, layer in enumerate(self.layers):
            hidden = outputs[f"hidden.{layer}"][i, :past]
            self.take(row, self.hidden[slot][start : start + past], hidden)
            if self.every_query:
                weights = outputs[f"attention.{layer}"][i, :, :past, :past]
                self.take(row, self.attention[row][slot][:, :past, :past], weights)


class Graphs:
    """The plain graph and those with a past, opened as src/model/onnx.rs opens its own."""

    def __init__(self, folder: Path, config, threads: int):
        self.config = config
        self.sessions = {path.stem: self._open(path, threads) for path in folder.glob("*.onnx")}
        shape = (1, config.n_head, 0, config.n_embd // config.n_head)
        names = [f"past_{kind}.{n}" for n in range(config.n_layer) for kind in ("key", "value")]
        self.nothing = {name: np.zeros(shape, np.float32) for name in names}

    def _open(self, path: Path, threads: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_mem_pattern = False
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, graph: str, rows: list[list[int]], names: list[str], past: dict) -> dict:
        """Pads, runs, and lends the outputs from ONNX Runtime's own buffers."""
        seq = max(map(len, rows))
        ids, mask = np.zeros((2, len(rows), seq), np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, **past}
        values = {name: OrtValue.ortvalue_from_numpy(value) for name, value in feed.items()}
        got = self.sessions[graph].run_with_ort_values(names, values)
        return {name: np.from_dlpack(value) for name, value in zip(names, got, strict=True)}


@dataclass
class Way:
    """How the prompts are run: which graph, the kind of prefix, and tokens a batch."""

    name: str
    # "plain", or one of prefix_graph.VARIANTS.
    graph: str = "plain"
    # "none", or "template" or "found": see `shared_prefix`.
    prefix: str = "none"
    budget: int = 1024

    def run(self, graphs: Graphs, prompts: list[Prompt], gathered: Gathered) -> None:
        names = ["logits"]
        names += [f"{kind}.{n}" for kind in ("hidden", "attention") for n in gathered.layers]
        nothing = {} if self.graph == "plain" else graphs.nothing
        if self.graph == "rows":
            self._mixed(graphs, prompts, names, gathered)
            return
        if self.prefix == "none":
            self._batches(graphs, prompts, list(range(len(prompts))), 0, nothing, names, gathered)
            return
        shared = lengths_of_prefixes(prompts, self.prefix)
        tasks = defaultdict(list)
        for row, prompt in enumerate(prompts):
            tasks[prompt.task].append(row)
        # All prefixes in one batch: alone they are too short to keep the cores busy.
        known = [task for task, length in shared.items() if length > 0]
        prefixes = [prompts[tasks[task][0]].ids[: shared[task]] for task in known]
        kept = [f"present_{k}.{n}" for n in range(graphs.config.n_layer) for k in ("key", "value")]
        # The attention of the prefix's own queries is in no table.
        wanted = names[1:] if gathered.every_query else names[1 : 1 + len(gathered.layers)]
        outputs = graphs.run(self.graph, prefixes, wanted + kept, nothing)
        for i, task in enumerate(known):
            length = shared[task]
            past = {
                name.replace("present", "past"): np.ascontiguousarray(
                    outputs[name][i : i + 1, :, :length]
                )
                for name in kept
            }
            self._batches(graphs, prompts, tasks[task], length, past, names, gathered)
            for row in tasks[task]:
                gathered.take_prefix(row, i, length, outputs)
        alone = [row for task, rows in tasks.items() if shared[task] == 0 for row in rows]
        self._batches(graphs, prompts, alone, 0, nothing, names, gathered)

    def _mixed(self, graphs, prompts, names, gathered) -> None:
        """Batches of all tasks, by the length of what is left to run."""
        shared = lengths_of_prefixes(prompts, self.prefix)
        first = {prompt.task: prompt.ids for prompt in reversed(prompts)}
        tasks = {task: i for i, task in enumerate(shared)}
        # A task without a prefix gets one of one token, which no row of it looks at.
        prefixes = [first[task][: max(1, length)] for task, length in shared.items()]
        kept = [f"present_{k}.{n}" for n in range(graphs.config.n_layer) for k in ("key", "value")]
        wanted = names[1:] if gathered.every_query else names[1 : 1 + len(gathered.layers)]
        none = dict.fromkeys(("past_of", "past_length"), np.zeros(len(prefixes), np.int64))
        outputs = graphs.run("rows", prefixes, wanted + kept, graphs.nothing | none)
        past = {name.replace("present", "past"): outputs[name] for name in kept}
        padded = max(map(len, prefixes))
        for row, prompt in enumerate(prompts):
            gathered.take_prefix(row, tasks[prompt.task], shared[prompt.task], outputs)
        rest = [prompt.ids[shared[prompt.task] :] for prompt in prompts]
        for batch in plan_batches([len(ids) for ids in rest], self.budget):
            of = [prompts[row].task for row in batch]
            past["past_of"] = np.array([tasks[task] for task in of])
            past["past_length"] = np.array([shared[task] for task in of])
            outputs = graphs.run("rows", [rest[row] for row in batch], names, past)
            for i, row in enumerate(batch):
                known = shared[of[i]]
                gathered.take_prompt(row, i, len(rest[row]), known, outputs, padded)

    def _batches(self, graphs, prompts, rows, length, past, names, gathered) -> None:
        rest = [prompts[row].ids[length:] for row in rows]
        for batch in plan_batches([len(ids) for ids in rest], self.budget):
            outputs = graphs.run(self.graph, [rest[i] for i in batch], names, past)
            for i, of in enumerate(batch):
                gathered.take_prompt(rows[of], i, len(rest[of]), length, outputs)
