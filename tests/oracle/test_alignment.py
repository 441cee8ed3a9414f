"""Where the input stands in each prompt, by the tokenizers library alone."""

import hashlib
from pathlib import Path

import numpy as np

from conftest import PROMPT, by_row


def test_spans_hashes_and_shared_prefixes_are_those_of_the_prompts(run):
    rows = by_row(run.table("alignment"), PROMPT)
    assert len(rows) == len(run.prompts()) == 6 * 3 * 6
    for prompts in run.inputs().values():
        tasks = [prompt for prompt in prompts if prompt.role == "task"]
        columns = zip(*(prompt.token_ids for prompt in tasks))
        shared = next(n for n, ids in enumerate(columns) if len(set(ids)) > 1)
        for prompt in prompts:
            row = rows[prompt.key]
            ids = np.array([prompt.token_ids[i] for i in prompt.span], dtype="<i4")
            digest = hashlib.sha256(ids.tobytes()).hexdigest()[:16]
            assert row["n_tokens"] == len(prompt.token_ids)
            assert (row["span_start"], row["span_tokens"]) == (prompt.span.start, len(prompt.span))
            assert (row["span_sha256"], row["shared_prefix"]) == (digest, shared)
            other = prompt.role == "other_input"
            assert row["status"] == ("no_alignment" if other else "ok")
            assert row["reason"] == ("the prompt holds another input" if other else "")
        assert len({rows[prompt.key]["span_sha256"] for prompt in tasks}) == 1


def test_lexical_overlap_counts_the_tasks_words_that_the_input_has(run):
    rows = by_row(run.table("alignment"), PROMPT)
    # "What color is the ball?" and "A red ball on a blue table, next to a green cup."
    assert rows["scenes", "red-ball", "color", 0]["lexical_overlap"] == 1 / 5
    # "How many objects are mentioned?" shares nothing with it.
    assert rows["scenes", "red-ball", "count", 0]["lexical_overlap"] == 0


def test_an_input_in_front_of_its_task_is_refused_with_the_reason(input_first):
    frame = input_first.table("alignment")
    assert set(frame["status"]) == {"no_alignment"}
    assert all("precedes the task" in reason for reason in frame["reason"])
    assert (frame["shared_prefix"] >= frame["span_start"] + frame["span_tokens"]).sum() > 0
