"""Vectors as arrays: their values, what each row is, and what has none."""

import numpy as np
import polars as pl
import pytest

import aqlens

KEYS = ["scenario", "input", "task", "wording"]


@pytest.mark.parametrize("how", ["polars", "pandas", "arrow"])
def test_vectors_are_those_of_the_table_row_by_row(kinds, how):
    values, index = kinds.vectors(4, "last", how=how)
    frame = kinds.table("vectors").filter(pl.col("layer") == 4, pl.col("site") == "last").collect()
    frame = frame.filter(pl.col("status") == "ok")
    assert values.dtype == np.float32 and values.shape == (frame.height, 27)
    assert values.tolist() == frame["values"].to_list()
    as_lists = index.to_pydict() if how == "arrow" else {key: list(index[key]) for key in KEYS}
    for key in KEYS:
        assert as_lists[key] == frame[key].to_list()
    columns = index.column_names if how == "arrow" else list(index.columns)
    assert columns == [*KEYS, "layer", "site"]
    values[0, 0] = 1.0  # Not the reader's own memory.


def test_what_has_no_vector_stands_apart(kinds):
    rows = kinds.vectors(scenario="too-long")
    whole = kinds.table("vectors").filter(pl.col("scenario") == "too-long").collect()
    assert len(rows) + len(rows.missing) == whole.height
    assert len(rows.missing) > 0 and set(rows.missing["status"]) == {"skipped"}
    assert set(rows.missing["input"]) == {"long"} and set(rows.index["input"]) == {"short"}
    assert f"{len(rows)} x 27, {len(rows.missing)} without values" in repr(rows)


def test_activations_stand_in_the_order_of_tokens(kinds):
    values, index = kinds.activations(
        layer=[0, 4], scenario="scenes", input="red-ball", task="color", wording=0
    )
    (n,) = kinds.prompts.filter(
        pl.col("scenario") == "scenes",
        pl.col("input") == "red-ball",
        pl.col("task") == "color",
        pl.col("wording") == 0,
    )["n_tokens"]
    assert values.shape == (2 * n, 27) and index["position"].to_list() == [*range(n)] * 2
    last = kinds.vectors(4, "last", scenario="scenes", input="red-ball", task="color", wording=0)
    assert np.array_equal(values[-1], last.values[0])


@pytest.mark.parametrize("how", ["polars", "pandas"])
def test_attention_is_a_distribution_over_the_prompts_own_tokens(tiny, how):
    weights, index = tiny.attention(layer=4, head=[0, 1], how=how)
    assert len(index) == len(weights) == 2 * tiny.record["counts"]["prompts"]
    assert np.allclose(np.nansum(weights, axis=1), 1, atol=1e-5)
    tokens = dict(zip(map(tuple, tiny.prompts[KEYS].rows()), tiny.prompts["n_tokens"]))
    keys = zip(*(index[key] for key in KEYS))
    assert [tokens[key] for key in keys] == (~np.isnan(weights)).sum(axis=1).tolist()
    assert weights.shape[1] == max(tokens.values())


def test_logits_give_the_next_tokens(tiny):
    logits, index = tiny.logits()
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
    top = (probabilities / probabilities.sum(axis=1, keepdims=True)).max(axis=1)
    first = tiny.table("next_tokens").filter(pl.col("rank") == 1).collect()
    joined = index.with_columns(top=top).join(first, on=KEYS)
    assert joined.height == len(logits) == 48
    assert np.allclose(joined["top"], joined["probability"], rtol=1e-5)


def test_keys_that_no_row_has_are_named_with_those_that_there_are(kinds):
    for how in ("polars", "arrow"):
        with pytest.raises(
            ValueError, match=r"no row of table vectors has layer=3; of layer .* 0, 4"
        ):
            kinds.vectors(layer=3, how=how)
    with pytest.raises(ValueError, match="'duckdb' names no rows"):
        kinds.vectors(how="duckdb")
    with pytest.raises(aqlens.NotInRun):
        kinds._rows("none", "values", {}, "polars")
