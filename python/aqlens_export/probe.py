"""The probe: a few prompts with PyTorch's values, from which a reader can tell that a graph
computes what its outputs are called, on the machine and the provider it runs on.

Sizes stay small (some kilobytes per layer): 8 dimensions of 3 positions per layer and prompt,
2 heads of 2 queries, 16 logits; 16 logits of the head at up to 3 places per prompt.
"""

import contextlib
import random
from collections.abc import Iterator

import torch

from .calm import Calm
from .eager import EagerRun, run_alone, run_head
from .spec import Shape
from .subject import ATTENTION_TOLERANCE, RELATIVE_TOLERANCE, Subject

LENGTHS = (11, 1, 29, 5)
"""Tokens of the probe's prompts, cut to n_positions; unsorted, so that padding is in the middle."""

LONGEST = 640
"""Tokens of a prompt beyond a window, at most: a reader runs all prompts padded to the longest."""

PAST_WINDOW = 12
"""Tokens by which that prompt exceeds the window."""


def make_probe(
    subject: Subject,
    relative: float = RELATIVE_TOLERANCE,
    attention_bound: float = ATTENTION_TOLERANCE,
    calm: Calm | None = None,
) -> dict:
    """The `probe` of model.json. Deterministic; every number is PyTorch's, in float32. `calm` says
    which places it has, of a model in another type."""
    model, rng = subject.model, random.Random("aqlens probe")
    prompts, beyond = _prompts(subject.shape, rng), _beyond_window(subject.shape)
    hidden, attention, logits, head = [], [], [], []
    with _one_thread():
        for prompt, ids in enumerate(prompts):
            run = run_alone(model, ids)
            hidden += _hidden(run, prompt, rng, calm)
            long = beyond is not None and prompt == len(prompts) - 1
            if long:
                attention += _last_query(run, prompt, subject, calm)
            else:
                attention += _attention(run, prompt, calm)
            logits.append({"prompt": prompt, **_some_logits(run.logits)})
            head += _head(model, run, prompt)
    return {
        "prompts": prompts,
        "relative_tolerance": relative,
        "attention_tolerance": attention_bound,
        "hidden": sorted(hidden, key=lambda row: (row["layer"], row["prompt"], row["position"])),
        "attention": sorted(attention, key=lambda row: (row["layer"], row["prompt"])),
        "logits": logits,
        "head": sorted(head, key=lambda row: (row["layer"], row["prompt"], row["position"])),
    }


def probe_prompts(shape: Shape) -> list[list[int]]:
    """The probe's prompts."""
    return _prompts(shape, random.Random("aqlens probe"))


def _prompts(shape: Shape, rng: random.Random) -> list[list[int]]:
    lengths = list(dict.fromkeys(min(length, shape.n_positions) for length in LENGTHS))
    beyond = _beyond_window(shape)
    lengths += [beyond] if beyond else []
    return [[rng.randrange(shape.vocab_size) for _ in range(n)] for n in lengths]


def _beyond_window(shape) -> int | None:
    """Tokens of a prompt that the largest window does not hold; None where there is no window or
    the reader would run too many padded tokens for it."""
    windows = [window for window in shape.windows if window is not None]
    fitting = [w + PAST_WINDOW for w in windows if w + PAST_WINDOW <= LONGEST]
    return min(max(fitting), shape.n_positions) if fitting else None


def _last_query(run: EagerRun, prompt: int, subject: Subject, calm: Calm | None) -> list[dict]:
    """Of a long prompt: one head's last query in a few layers, one of each type."""
    rows = []
    for layer in subject.some_layers:
        weights = run.attention[layer]
        head, query = layer % weights.shape[0], weights.shape[1] - 1
        if calm is not None and not calm.has_query(prompt, layer, head, query):
            continue
        place = {"layer": layer, "prompt": prompt, "head": head, "query": query}
        rows.append({**place, "value": short_floats(weights[head, query])})
    return rows


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """More threads split sums elsewhere: the last digits must not depend on the machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def short_floats(values) -> list[float]:
    """float32 values with the 9 significant digits that bring them back exactly."""
    return [float(f"{value:.9g}") for value in torch.as_tensor(values).flatten().tolist()]


def _hidden(run: EagerRun, prompt: int, rng: random.Random, calm: Calm | None) -> list[dict]:
    """Per layer: first, middle and last position; the 4 largest dimensions and 4 others."""
    rows = []
    for layer, states in enumerate(run.hidden):
        last = len(states) - 1
        usual = sorted({0, last // 2, last})
        for position in usual if calm is None else calm.positions(prompt, layer):
            vector = states[position]
            largest = vector.abs().topk(min(4, len(vector))).indices.tolist()
            others = [i for i in range(len(vector)) if i not in largest]
            index = sorted(largest + rng.sample(others, min(4, len(others))))
            place = {"layer": layer, "prompt": prompt, "position": position}
            rows.append({**place, **_picked(vector, index)})
    return rows


def _attention(run: EagerRun, prompt: int, calm: Calm | None) -> list[dict]:
    """Per layer: two heads (others in each layer), a middle and the last query."""
    rows = []
    for layer, weights in run.attention.items():
        heads, last = weights.shape[0], weights.shape[1] - 1
        for head in sorted({layer % heads, (layer + heads // 2) % heads}):
            usual = sorted({last // 2, last})
            for query in usual if calm is None else calm.queries(prompt, layer, head):
                value = short_floats(weights[head, query, : query + 1])
                place = {"layer": layer, "prompt": prompt, "head": head, "query": query}
                rows.append({**place, "value": value})
    return rows


def _head(model, run: EagerRun, prompt: int) -> list[dict]:
    """What the head makes of the last block's output, at the last position (the model's own
    logits) and a middle one, and of an inner block's at the last."""
    last_layer, last = len(run.hidden) - 1, len(run.hidden[0]) - 1
    places = {(last_layer, last), (last_layer, last // 2), (last_layer // 2, last)}
    rows = []
    for layer, position in sorted(places):
        own = (layer, position) == (last_layer, last)
        logits = run.logits if own else run_head(model, run.hidden[layer][position])
        place = {"layer": layer, "prompt": prompt, "position": position}
        rows.append({**place, **_some_logits(logits)})
    return rows


def _some_logits(logits: torch.Tensor) -> dict:
    """The 8 largest logits and 8 spread evenly over the vocabulary."""
    size = len(logits)
    top = logits.topk(min(8, size)).indices.tolist()
    spread = [i * (size - 1) // 7 for i in range(8)]
    index = list(dict.fromkeys(top + spread))
    return _picked(logits, index)


def _picked(vector: torch.Tensor, index: list[int]) -> dict:
    norm = short_floats(vector.double().norm())[0]
    return {"norm": norm, "index": index, "value": short_floats(vector[index])}
