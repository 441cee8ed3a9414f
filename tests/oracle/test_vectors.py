"""Similarities, contrasts and vectors of the input's own tokens and of the last one."""

from itertools import combinations

import numpy as np
import pytest

from conftest import PROMPT, by_row
from measures import SPAN, Vectors

PAIR = ["scenario", "input", "layer", "task_a", "task_b", "measure"]
SITES = ("token", "last", "span")
FORMS = ("", "_centred", "_standardised", "_rel_l2", "_log_norm_ratio", "_rogue_share")
MEASURES = ["flat", *(site + form for form in FORMS for site in SITES)]
CONTRASTS = ["between", "paraphrase", "neutral", "scrambled", "other_input"]


def test_the_reference_is_the_mean_and_spread_of_a_sample_of_the_tasks_prompts(run):
    """All 36 prompts of the tasks are drawn, since the stage draws 64."""
    keys = [prompt.key for prompt in run.prompts() if prompt.role == "task"]
    for layer in run.layers():
        frame = run.table("reference").filter(layer=layer).sort("dimension")
        tokens = np.concatenate([run.activations(layer)[key][1:] for key in keys])
        assert set(frame["status"]) == {"ok"}
        assert set(frame["n_prompts"]) == {len(keys)} and set(frame["n_tokens"]) == {len(tokens)}
        # Batches of other prompts: the last digits of float32.
        scale = np.abs(tokens).max()
        assert np.abs(frame["mean"].to_numpy() - tokens.mean(axis=0)).max() < 1e-6 * scale
        assert np.abs(frame["sd"].to_numpy() - tokens.std(axis=0, ddof=1)).max() < 1e-6 * scale


def test_every_measure_of_similarity_is_its_formula(run):
    rows = by_row(run.table("similarity"), PAIR)
    assert {key[-1] for key in rows} == set(MEASURES)
    n = 0
    for layer in run.layers():
        vectors = Vectors(run, layer)
        for (scenario, name), prompts in run.inputs().items():
            first = [prompt for prompt in prompts if prompt.wording == 0]
            for (a, b), measure in ((p, m) for p in combinations(first, 2) for m in MEASURES):
                row = rows[scenario, name, layer, a.task, b.task, measure]
                assert row["status"] == "ok"
                assert abs(row["value"] - vectors.measure(measure, a, b)) < 1e-12, (row, measure)
                n += 1
    assert n == len(rows) == 6 * 3 * 3 * len(MEASURES)


def pairs_of(contrast, prompts):
    """The pairs of prompts that a contrast is the mean over."""
    tasks = [prompt for prompt in prompts if prompt.role == "task"]
    if contrast == "between":
        return [(a, b) for a, b in combinations(tasks, 2) if a.task != b.task]
    if contrast == "paraphrase":
        return [(a, b) for a, b in combinations(tasks, 2) if a.task == b.task]
    base = {(prompt.task, prompt.wording): prompt for prompt in tasks}
    return [(base[prompt.task, prompt.base_wording], prompt) for prompt in prompts if prompt.role == contrast]


def test_another_input_is_put_in_the_wordings_in_turn(run):
    # Every input of this pipeline is a cluster of its own.
    for place, prompts in enumerate(run.inputs().values()):
        for prompt in prompts:
            in_turn = place % 2 if prompt.role == "other_input" else max(prompt.wording, 0)
            assert prompt.base_wording == in_turn, prompt.key


def test_contrasts_are_means_over_their_pairs(run):
    frame = run.table("contrast")
    rows = by_row(frame, ["scenario", "input", "layer", "measure", "contrast"])
    assert len(rows) == 6 * 3 * 7 * len(CONTRASTS)
    expected_pairs = {"between": 12, "paraphrase": 3, "neutral": 6}
    for (scenario, name, layer, measure, contrast), row in rows.items():
        vectors = Vectors(run, layer)
        if contrast == "other_input" and measure.startswith("token"):
            assert (row["value"], row["n_pairs"], row["status"]) == (None, 0, "no_alignment")
            continue
        prompts = run.inputs()[scenario, name]
        pairs = pairs_of(contrast, prompts)
        each = [vectors.measure(measure, a, b) for a, b in pairs]
        assert abs(row["value"] - np.mean(each)) < 1e-12, row
        if contrast in ("between", "paraphrase"):
            assert (row["places"], row["values"]) == ([], None)
        else:
            tasks = [prompt for prompt in prompts if prompt.role == "task"]
            assert row["places"] == [tasks.index(base) for base, _ in pairs]
            assert np.abs(np.array(row["values"]) - each).max() < 1e-12, row
        assert row["n_pairs"] == len(pairs) == expected_pairs.get(contrast, 3)


def test_wording_pairs_are_all_pairs_of_the_tasks_prompts(run):
    rows = by_row(run.table("wording_pairs"), ["scenario", "input", "layer", "measure"])
    assert len(rows) == 6 * 3 * 7
    for (scenario, name, layer, measure), row in rows.items():
        vectors = Vectors(run, layer)
        tasks = [prompt for prompt in run.inputs()[scenario, name] if prompt.role == "task"]
        assert row["tasks"] == [0, 0, 1, 1, 2, 2]
        expected = [vectors.measure(measure, a, b) for a, b in combinations(tasks, 2)]
        assert np.abs(np.array(row["values"]) - expected).max() < 1e-12


def test_vectors_are_the_last_token_and_the_mean_over_the_input(run):
    rows = by_row(run.table("vectors"), [*PROMPT, "layer", "site"])
    tasks = [prompt for prompt in run.prompts() if prompt.role == "task"]
    assert len(rows) == len(tasks) * 3 * 2
    for layer in run.layers():
        vectors = Vectors(run, layer)
        for prompt in tasks:
            for site in ("span", "last"):
                row = rows[*prompt.key, layer, site]
                expected = vectors.sites(prompt, site)[0].astype(np.float32)
                assert row["status"] == "ok"
                # The mean's last digit, in float64, may round to the float32 beside.
                assert np.allclose(row["values"], expected, rtol=2e-7, atol=0)


def test_an_input_in_front_of_its_task_has_no_measure_of_its_tokens(input_first):
    layer = input_first.layers()[-1]
    vectors = Vectors(input_first, layer)
    for prompts in input_first.inputs().values():
        first = [prompt for prompt in prompts if prompt.wording == 0]
        for a, b in combinations(first, 2):
            # Batches of other prompts move the last digits; in one batch they would be equal.
            assert vectors.measure("span", a, b) == pytest.approx(1, abs=1e-9)
    frame = input_first.table("similarity")
    for measure, status, value in frame.select("measure", "status", "value").iter_rows():
        refused = measure.startswith(SPAN)
        assert (status, value is None) == (("no_alignment", True) if refused else ("ok", False))
    sites = input_first.table("vectors").select("site", "status").unique()
    assert set(sites.iter_rows()) == {("span", "no_alignment"), ("last", "ok")}
