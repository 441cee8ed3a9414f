"""What `analysis.py` compares aqlens with: the same measures by SQL in DuckDB, and by numpy.

    python tests/bench/analysis_others.py duckdb|duckdb-fast|numpy|numpy-f32 RUN

Prints the seconds of each part, and how far the similarities are from those of the run's table.
"""

import json
import os
import sys
import time
from itertools import combinations

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

pa.set_cpu_count(1)
KEYS = "scenario, input, task, wording"
SIMILARITY = f"""
WITH flat AS (
    SELECT scenario, input, task, flatten(list("values" ORDER BY position)) AS v
    FROM read_parquet('RUN/tables/activations/*.parquet')
    WHERE layer = LAYER AND wording = 0 GROUP BY ALL
)
SELECT a.scenario, a.input, LAYER AS layer, a.task AS task_a, b.task AS task_b,
    list_cosine_similarity(a.v[1:least(len(a.v), len(b.v))], b.v[1:least(len(a.v), len(b.v))]) AS value
FROM flat a JOIN flat b USING (scenario, input) WHERE a.task < b.task
"""
SIMILARITY_FAST = """
WITH tok AS MATERIALIZED (
    SELECT scenario, input, task, position, "values"::FLOAT[768] AS v, array_inner_product(v, v) AS n
    FROM read_parquet('RUN/tables/activations/*.parquet') WHERE layer = LAYER AND wording = 0
)
SELECT a.scenario, a.input, LAYER AS layer, a.task AS task_a, b.task AS task_b,
    sum(array_inner_product(a.v, b.v)) / sqrt(sum(a.n::DOUBLE) * sum(b.n::DOUBLE)) AS value
FROM tok a JOIN tok b USING (scenario, input, position) WHERE a.task < b.task GROUP BY ALL
"""
DIVERGENCE = """
SELECT scenario, layer, count(DISTINCT input), count(*), avg(value), stddev_samp(value), min(value),
    max(value) FROM similarity GROUP BY ALL ORDER BY ALL
"""
FOCUS = f"""
WITH weights AS (
    SELECT {KEYS}, unnest(weights) AS weight, generate_subscripts(weights, 1) - 1 AS position
    FROM read_parquet('RUN/tables/attention/*.parquet')
    WHERE layer = (SELECT max(layer) FROM read_parquet('RUN/tables/attention/*.parquet'))
), mean AS (
    SELECT {KEYS}, position, avg(weight::DOUBLE) AS weight FROM weights GROUP BY ALL
)
SELECT *, row_number() OVER (PARTITION BY {KEYS} ORDER BY weight DESC, position) AS rank
FROM mean QUALIFY rank <= 5
"""
OVERLAP = """
SELECT a.scenario, a.input, a.task, b.task,
    count(*) FILTER (a.position = b.position) AS common, common / (10 - common) AS jaccard
FROM focus a JOIN focus b USING (scenario, input)
WHERE a.task < b.task AND a.wording = 0 AND b.wording = 0 GROUP BY ALL
"""
TOKENS = f"""
WITH scores AS MATERIALIZED (
    SELECT {KEYS}, "values" AS v, list_max(v)::DOUBLE AS top, list_grade_up(v, 'DESC')[1:5] AS ids
    FROM read_parquet('RUN/tables/logits/*.parquet')
), total AS MATERIALIZED (
    SELECT *, list_sum(list_transform(v, lambda x: exp(x::DOUBLE - top))) AS total FROM scores
)
SELECT {KEYS}, unnest(ids) - 1 AS id, exp(v[id + 1]::DOUBLE - top) / total AS probability FROM total
"""


def timed(seconds: dict, name: str, step):
    started = time.perf_counter()
    result = step()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return result


def by_duckdb(run: str, layers: list[int], query: str) -> tuple[dict, dict]:
    db = duckdb.connect()
    db.execute("SET threads = 1")
    seconds: dict[str, float] = {}
    names = "scenario VARCHAR, input VARCHAR, layer INT, task_a VARCHAR, task_b VARCHAR, value DOUBLE"
    db.execute(f"CREATE TABLE similarity ({names})")
    for layer in layers:
        text = query.replace("RUN", run).replace("LAYER", str(layer))
        timed(seconds, "similarity", lambda: db.execute(f"INSERT INTO similarity {text}"))
    timed(seconds, "divergence", lambda: db.execute(DIVERGENCE).fetchall())
    focus = f"CREATE TABLE focus AS {FOCUS.replace('RUN', run)}"
    timed(seconds, "attention", lambda: (db.execute(focus), db.execute(OVERLAP).fetchall()))
    timed(seconds, "tokens", lambda: db.execute(TOKENS.replace("RUN", run)).fetchall())
    rows = db.execute("SELECT input, layer, task_a, task_b, value FROM similarity").fetchall()
    return seconds, {row[:4]: row[4] for row in rows}


def vectors(table: pa.Table, name: str) -> np.ndarray:
    """A column of equally long vectors, as a matrix that shares its memory."""
    column = table.column(name).combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.flatten().to_numpy().reshape(len(column), -1)


def similarity(path: str, groups: list, kind: type) -> list[np.ndarray]:
    """For each input, the cosine of every two of its prompts, cut to the shorter one."""
    values = vectors(pq.read_table(path, columns=["values"], use_threads=False), "values")
    matrices, row = [], 0
    for _, _, lengths in groups:
        # [token, prompt, dimension], zeros behind each prompt's end.
        padded = np.zeros((max(lengths), len(lengths), values.shape[1]), kind)
        for prompt, length in enumerate(lengths):
            padded[:length, prompt] = values[row : row + length]
            row += length
        products = np.matmul(padded, padded.transpose(0, 2, 1)).cumsum(0, dtype=np.float64)
        shorter = np.minimum.outer(lengths, lengths) - 1
        prompts = np.arange(len(lengths))
        own = products[:, prompts, prompts]
        norms = own[shorter, prompts[:, None]] * own[shorter, prompts[None, :]]
        dots = products[shorter, prompts[:, None], prompts[None, :]]
        matrices.append(dots / np.sqrt(norms))
    return matrices


def attention(path: str, groups: list) -> list:
    table = pq.read_table(path, columns=["layer", "weights"], use_threads=False)
    layers = table.column("layer").to_numpy()
    lists = table.filter(pa.array(layers == layers.max())).column("weights").combine_chunks()
    weights, starts = lists.values.to_numpy(), lists.offsets.to_numpy()
    prompts = sum(len(lengths) for _, _, lengths in groups)
    heads = len(lists) // prompts
    sets = []
    for prompt in range(prompts):
        first, last = starts[prompt * heads], starts[(prompt + 1) * heads]
        mean = weights[first:last].reshape(heads, -1).astype(np.float64).mean(0)
        sets.append(set(np.argsort(-mean, kind="stable")[:5].tolist()))
    overlaps, prompt = [], 0
    for _, tasks, _ in groups:
        own = sets[prompt : prompt + len(tasks)]
        overlaps += [len(a & b) / len(a | b) for a, b in combinations(own, 2)]
        prompt += len(tasks)
    return overlaps


def tokens(path: str) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(path, columns=["values"], use_threads=False)
    scores = vectors(table, "values")
    best = np.argpartition(scores, -5, axis=1)[:, -5:]
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    return best, np.take_along_axis(scores, best, axis=1) / total


def by_numpy(run: str, layers: list[int], kind: type) -> tuple[dict, dict]:
    seconds: dict[str, float] = {}
    values: dict[tuple, float] = {}
    of_layer: dict[int, list[float]] = {layer: [] for layer in layers}
    parts = sorted(os.listdir(f"{run}/tables/prompts"))
    for part in parts:
        columns = ["input", "task", "n_tokens"]
        rows = pq.read_table(f"{run}/tables/prompts/{part}", columns=columns).to_pylist()
        groups: list[tuple[str, list, list]] = []
        for row in rows:
            if not groups or groups[-1][0] != row["input"]:
                groups.append((row["input"], [], []))
            groups[-1][1].append(row["task"])
            groups[-1][2].append(row["n_tokens"])
        for layer in layers:
            of_layer_name = part.replace(".parquet", f"-layer-{layer:03}.parquet")
            path = f"{run}/tables/activations/{of_layer_name}"
            matrices = timed(seconds, "similarity", lambda: similarity(path, groups, kind))
            for (name, tasks, _), matrix in zip(groups, matrices, strict=True):
                for a, b in combinations(range(len(tasks)), 2):
                    values[name, layer, tasks[a], tasks[b]] = matrix[a, b]
                    of_layer[layer].append(matrix[a, b])
        timed(seconds, "attention", lambda: attention(f"{run}/tables/attention/{part}", groups))
        timed(seconds, "tokens", lambda: tokens(f"{run}/tables/logits/{part}"))
    summary = lambda: [(np.mean(v), np.std(v, ddof=1), min(v), max(v)) for v in of_layer.values()]
    timed(seconds, "divergence", summary)
    return seconds, values


def main() -> None:
    """The command line."""
    way, run = sys.argv[1:]
    found = duckdb.sql(f"SELECT DISTINCT layer FROM '{run}/tables/activations/*.parquet' ORDER BY layer")
    layers = [layer for (layer,) in found.fetchall()]
    ways = {
        "duckdb": lambda: by_duckdb(run, layers, SIMILARITY),
        "duckdb-fast": lambda: by_duckdb(run, layers, SIMILARITY_FAST),
        "numpy": lambda: by_numpy(run, layers, np.float64),
        "numpy-f32": lambda: by_numpy(run, layers, np.float32),
    }
    seconds, values = ways[way]()
    # In any order of the two tasks.
    found = {(i, layer, *sorted((a, b))): v for (i, layer, a, b), v in values.items()}
    rows = duckdb.sql(
        "SELECT input, layer::INT, least(task_a, task_b), greatest(task_a, task_b), value "
        f"FROM read_parquet('{run}/tables/similarity/*.parquet') WHERE measure = 'flat'"
    ).fetchall()
    expected = {row[:4]: row[4] for row in rows}
    if found.keys() != expected.keys():
        raise SystemExit(f"error: {len(found)} pairs where aqlens has {len(expected)}")
    difference = max(abs(found[key] - expected[key]) for key in expected)
    print(json.dumps({"seconds": seconds, "difference": difference}))


if __name__ == "__main__":
    main()
