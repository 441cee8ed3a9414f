"""The notebook's numbers on real weights, to the digit that was printed.

The digits were printed by the notebook's own arithmetic in PyTorch, one prompt at a time, on
another day, for three forms of the prompt: plain text, the same behind the token that conversations
begin with, and the model's chat template.
"""

import json

import numpy as np
import polars as pl
import pytest
from conftest import STARTS, finish

FORMS = ("plain", "bos", "chat")

LAYERS = (0, 5, 10, 14, 19, 24, 29)

FLAT = {
    "plain": (".404", ".882", ".707", ".9997", ".9994", ".9982", ".846"),
    "bos": (".473", ".885", ".706", ".9997", ".9995", ".9983", ".893"),
    "chat": (".686", ".877", ".823", ".9996", ".9993", ".9978", ".905"),
}
"""Mean cosine of the flattened prompts over ten pairs of tasks."""

LAST = {
    "plain": ("1.000", ".997", ".996", ".994", ".983", ".974", ".968"),
    "bos": ("1.000", ".996", ".995", ".991", ".966", ".953", ".950"),
    "chat": ("1.000", ".998", ".997", ".988", ".984", ".986", ".974"),
}
"""The last token's."""

WITHOUT_FIRST = {
    "plain": (".379", ".622", ".699", ".708", ".751", ".809", ".655"),
    "bos": (".383", ".603", ".688", ".695", ".741", ".801", ".662"),
    "chat": (".665", ".745", ".817", ".819", ".836", ".849", ".775"),
}
"""As the first, without position 0."""

ANSWERS = {
    "plain": {
        "color": {" The": ".32", " Red": ".13", " No": ".11"},
        "location": {" The": ".50", " ": ".08", " No": ".06"},
        "existence": {" No": ".43", " The": ".12", " Yes": ".04"},
        "relation": {" The": ".34", " ": ".16"},
        "count": {" ": ".58", " The": ".09"},
    },
    "bos": {
        "color": {" Red": ".20", " red": ".14", " The": ".14"},
        "location": {" The": ".41", "<|im_end|>": ".14"},
        "existence": {" No": ".31", "<|im_end|>": ".12", " Yes": ".07"},
        "relation": {" The": ".27", " Red": ".08"},
        "count": {" ": ".58", " The": ".07"},
    },
    "chat": {
        "color": {"The": ".27", "This": ".20", "A": ".09", "In": ".04", "Red": ".03"},
        "location": {"The": ".25", "This": ".18", "A": ".08"},
        "existence": {"The": ".18", "This": ".13", "In": ".09"},
        "relation": {"The": ".31", "This": ".22"},
        "count": {"The": ".19", "This": ".17", "A": ".13"},
    },
}
"""The most probable next tokens."""


def printed(value: float, like: str) -> str:
    """The value with as many digits as `like` has."""
    return f"{value:.{len(like.partition('.')[2])}f}".removeprefix("0")


def cosine(u, v) -> float:
    u, v = u.astype(np.float64).ravel(), v.astype(np.float64).ravel()
    return float(u @ v / np.sqrt((u @ u) * (v @ v)))


def mean_flat(hidden: list, first: int) -> float:
    """The notebook's number over the pairs of tasks, from position `first` on."""
    values = []
    for i, a in enumerate(hidden):
        for b in hidden[i + 1 :]:
            n = min(len(a), len(b))
            values.append(cosine(a[first:n], b[first:n]))
    assert len(values) == 10
    return float(np.mean(values))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("measure", ["flat", "last"])
def test_table_similarity_prints_the_same_digits(notebook, form, measure):
    rows = notebook.run.table("similarity").filter(scenario=f"red-ball@{form}", measure=measure)
    means = rows.group_by("layer").agg(pl.col("value").mean()).sort("layer")
    assert tuple(means["layer"]) == LAYERS
    digits = {"flat": FLAT, "last": LAST}[measure][form]
    assert [printed(v, d) for v, d in zip(means["value"], digits, strict=True)] == list(digits)


@pytest.mark.parametrize("form", FORMS)
def test_the_vectors_give_them_too_with_position_0_and_without(notebook, form):
    own = [(p["key"], arrays) for p, arrays in notebook.pairs("hidden") if p["form"] == form]
    for i, _layer in enumerate(LAYERS):
        hidden = [notebook.run.hidden[key][i] for key, _ in own]
        pytorch = [arrays[i] for _, arrays in own]
        for first, digits in ((0, FLAT), (1, WITHOUT_FIRST)):
            found, expected = mean_flat(hidden, first), mean_flat(pytorch, first)
            digit = digits[form][i]
            assert printed(found, digit) == printed(expected, digit) == digit, (form, i, first)
            assert abs(found - expected) < 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_the_next_tokens_print_the_same_probabilities(notebook, form):
    rows = notebook.run.table("next_tokens").filter(scenario=f"red-ball@{form}")
    for task, answers in ANSWERS[form].items():
        own = rows.filter(task=task).sort("rank")
        found = dict(zip(own["token"], own["probability"], strict=True))
        shown = {token: printed(found[token], p) for token, p in answers.items()}
        assert shown == answers, (form, task)


def test_every_prompt_has_the_tokens_that_transformers_gives_it(notebook):
    assert {p["form"] for p in notebook.run.prompts} == {*FORMS, "begun"}
    for prompt, ids in notebook.pairs("ids"):
        assert prompt["token_ids"] == ids.tolist(), prompt["key"]


PIPELINE = """
name: continuation
model: named-by-the-command-line
prompt: "{task}{input}"
scenarios:
SCENARIOS
stages:
  - kind: extract
    layers: [29]
  - kind: tokens
retain: []
"""


def test_a_greedy_continuation_of_20_tokens_is_the_same(notebook, tmp_path):
    """Each token is the most probable one behind those before it, as the program sees them."""
    scenarios = []
    for i, (start, n) in enumerate(STARTS):
        texts = notebook.expected[f"texts.{i}"].tolist()
        head, tail = start[:-10], start[-10:]
        inputs = "".join(f"      k{k}: {json.dumps(tail + text)}\n" for k, text in enumerate(texts))
        tasks = f"    tasks:\n      start: {json.dumps(head)}\n"
        scenarios.append(f"  - name: s{i}\n    inputs:\n{inputs}{tasks}")
        assert len(texts) == n
    pipeline = tmp_path / "p.yml"
    pipeline.write_text(PIPELINE.replace("SCENARIOS", "".join(scenarios)), encoding="utf-8")
    run = finish(pipeline, tmp_path / "run")
    tops = run.table("next_tokens").filter(rank=1)
    best = {(r["scenario"], r["input"]): r["token_id"] for r in tops.to_dicts()}
    ids = {(p["scenario"], p["input"]): p["token_ids"] for p in run.prompts}
    for i in range(len(STARTS)):
        first = notebook.expected[f"start.{i}"].tolist()
        new = notebook.expected[f"new.{i}"].tolist()
        for k, token in enumerate(new):
            assert ids[f"s{i}", f"k{k}"] == first + new[:k], "the text has other tokens"
            assert best[f"s{i}", f"k{k}"] == token, (i, k)
