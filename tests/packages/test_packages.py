"""Published packages on the dumped tables: rbo, rsatoolbox and scikit-bio give the same numbers.

`make test-packages` runs `tests/oracle/pipeline.yml` and names the run directory in AQLENS_RUN. These
packages want older versions of numpy than the oracle does, so they have an environment of their own.
"""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import rbo
import rsatoolbox
from skbio import DistanceMatrix
from skbio.stats.distance import permanova

RUN = Path(os.environ["AQLENS_RUN"])
NEAR = {"rel": 1e-9, "abs": 1e-9}


def table(name: str) -> pl.DataFrame:
    folder = RUN / "tables" / name
    assert folder.is_dir(), f"no table {name}"
    return pl.scan_parquet(f"{folder}/*.parquet").collect()


def spans(layer: int) -> pl.DataFrame:
    """Mean vectors of the inputs' spans on a layer, in the order of the plan."""
    frame = table("vectors")
    return frame.filter((pl.col("layer") == layer) & (pl.col("site") == "span"))


def test_rank_biased_overlap_is_that_of_rbo():
    logits = table("logits").filter(pl.col("wording") == 0)
    # Ties go to the lower id: a stable sort of the negated scores.
    top = {
        (row["input"], row["task"]): np.argsort(-np.array(row["values"]), kind="stable")[:100]
        for row in logits.iter_rows(named=True)
    }
    rows = list(table("output_divergence").iter_rows(named=True))
    assert len(rows) == 6 * 3
    for row in rows:
        a, b = (list(top[row["input"], row[task]]) for task in ("task_a", "task_b"))
        expected = rbo.RankingSimilarity(a, b).rbo_ext(p=0.9)
        assert row["rbo_ext"] == pytest.approx(expected, **NEAR)


def test_representational_similarity_is_that_of_rsatoolbox():
    frame = table("geometry").filter(
        (pl.col("measure") == "rsa_spearman") & (pl.col("site") == "span")
    )
    compared = 0
    for layer in (0, 5, 11):
        first = spans(layer).filter(pl.col("wording") == 0)
        rdms = {}
        for task in first["task"].unique(maintain_order=True):
            rows = first.filter(pl.col("task") == task)["values"].to_list()
            data = rsatoolbox.data.Dataset(np.array(rows, dtype=np.float64))
            rdms[task] = rsatoolbox.rdm.calc_rdm(data, method="correlation")
        for a, b in combinations(rdms, 2):
            expected = rsatoolbox.rdm.compare(rdms[a], rdms[b], method="spearman").item()
            row = frame.filter(
                (pl.col("layer") == layer) & (pl.col("task_a") == a) & (pl.col("task_b") == b)
            )
            assert row["value"].item() == pytest.approx(expected, **NEAR)
            compared += 1
    assert compared == 9


def test_the_tasks_share_of_variance_is_that_of_scikit_bios_permanova():
    frame = table("variance_partition").filter(
        (pl.col("site") == "span") & (pl.col("space") == "raw")
    )
    for layer in (0, 5, 11):
        cells = (
            spans(layer)
            .explode("values")
            .with_columns(d=pl.int_range(pl.len()).over("input", "task", "wording"))
            .group_by("input", "task", "d", maintain_order=True)
            .agg(pl.col("values").cast(pl.Float64).mean())
            .group_by("input", "task", maintain_order=True)
            .agg("values")
        )
        vectors = np.array(cells["values"].to_list())
        tasks = cells["task"].to_list()
        n, k = cells["input"].n_unique(), len(set(tasks))
        for name in cells["input"].unique():
            of = (cells["input"] == name).to_numpy()
            vectors[of] -= vectors[of].mean(axis=0)
        distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
        found = permanova(DistanceMatrix(distances), tasks, permutations=0)["test statistic"]
        eta = frame.filter(pl.col("layer") == layer)["partial_eta2"].item()
        # permanova counts no input as a block: its degrees of freedom are NK - K, not (N-1)(K-1).
        assert eta / (1 - eta) * (n - 1) == pytest.approx(found * (k - 1) / k, rel=1e-6)
