"""What one reader says of every table of a run: `matrix.py` starts it in each reader's environment.

Usage: answers.py READER RUN SCHEMA

SCHEMA is a file with what `aqlens schema --json` prints. Prints one JSON object: by table `ways` (rows
by each way of naming its files), `types` by column, `sums` by column of floats and layer as [numbers,
sum] over what is not null (of lists, over all their numbers), and of a table with layers `layers` (rows
by layer) and `above` (rows with layer > 1). A table that the reader refuses has `error` alone. `joined` is
[rows, sum of positions] of `activations` joined with `vectors` of site `last`, layer by layer.
"""

import json
import sys
from glob import glob
from pathlib import Path

JOIN = ["scenario", "input", "task", "wording", "layer"]

# Every reader's words for the contract's types.
TYPES = {
    **dict.fromkeys(
        ["utf8", "varchar", "string", "large_string", "string_view", "utf8view", "large_utf8"], "text"
    ),
    **dict.fromkeys(["int16", "smallint"], "int16"),
    **dict.fromkeys(["int32", "integer", "int"], "int32"),
    **dict.fromkeys(["int64", "bigint"], "int64"),
    **dict.fromkeys(["float32", "float"], "float32"),
    **dict.fromkeys(["float64", "double"], "float64"),
}


def kind(word) -> str:
    """The contract's name of a plain type; the reader's own where there is none."""
    return TYPES.get(str(word).lower(), str(word))


def arrow_kind(arrow_type) -> str:
    """Likewise of an Arrow type, which may be a list."""
    inner = getattr(arrow_type, "value_type", None)
    is_list = inner is not None and "list" in str(arrow_type)
    return f"list<{kind(inner)}>" if is_list else kind(arrow_type)


def is_list(table: dict, column: str) -> bool:
    return "list<" in table["types"][column]


class Reader:
    """How a reader opens a table and answers; `table` has its name, folder and contract."""

    def open(self, table: dict):
        """The frame that the other questions are asked of."""
        raise NotImplementedError

    def ways(self, table: dict) -> dict:
        raise NotImplementedError

    def types(self, frame, table: dict) -> dict:
        raise NotImplementedError

    def sums(self, frame, table: dict, column: str) -> list:
        """Rows of layer (if it has one), numbers, sum."""
        raise NotImplementedError

    def layers(self, frame) -> list:
        """Rows of layer, rows."""
        raise NotImplementedError

    def above(self, frame) -> int:
        raise NotImplementedError

    def joined(self, left, right) -> list:
        """The two numbers of `joined`."""
        raise NotImplementedError


class Polars(Reader):
    def __init__(self):
        import polars

        self.pl = polars

    def open(self, table):
        return self.pl.scan_parquet(f"{table['folder']}/*.parquet")

    def ways(self, table):
        pl, folder = self.pl, table["folder"]
        return {
            "*": self.open(table).collect().height,
            "**": pl.scan_parquet(f"{folder}/**/*.parquet").collect().height,
            "folder": pl.read_parquet(folder).height,
            "hive": pl.scan_parquet(folder, hive_partitioning=True).collect().height,
        }

    def types(self, frame, table):
        def of(dtype):
            inner = getattr(dtype, "inner", None)
            return f"list<{kind(inner)}>" if inner is not None else kind(dtype)

        return {name: of(dtype) for name, dtype in frame.collect().schema.items()}

    def sums(self, frame, table, column):
        pl = self.pl
        by = ["layer"] if "layer" in table["types"] else []
        part = frame.select([*by, column])
        part = part.explode(column) if is_list(table, column) else part
        value = pl.col(column).cast(pl.Float64)
        asked = [value.count().alias("n"), value.sum().alias("sum")]
        found = part.group_by(by).agg(asked) if by else part.select(asked)
        return found.collect().rows()

    def layers(self, frame):
        return frame.group_by("layer").agg(self.pl.col("layer").count().alias("n")).collect().rows()

    def above(self, frame):
        return frame.filter(self.pl.col("layer") > 1).collect().height

    def joined(self, left, right):
        right = right.filter(self.pl.col("site") == "last").select([*JOIN, "status"])
        both = left.select([*JOIN, "position"]).join(right, on=JOIN).collect()
        return [both.height, both["position"].sum()]


class Sql(Reader):
    """Readers that are asked in SQL."""

    quote = '"'
    unnest = "unnest"

    def rows(self, query: str) -> list:
        raise NotImplementedError

    def count(self, source: str) -> int:
        return self.rows(f"SELECT count(*) FROM {source}")[0][0]

    def sums(self, frame, table, column):
        layer = "layer, " if "layer" in table["types"] else ""
        name = f"{self.quote}{column}{self.quote}"
        value = f"{self.unnest}({name})" if is_list(table, column) else name
        inner = f"SELECT {layer}{value} AS v FROM {frame}"
        query = f"SELECT {layer}count(v), sum(CAST(v AS DOUBLE)) FROM ({inner}) AS t"
        return self.rows(query + (" GROUP BY layer" if layer else ""))

    def layers(self, frame):
        return self.rows(f"SELECT layer, count(*) FROM {frame} GROUP BY layer")

    def above(self, frame):
        return self.count(f"{frame} WHERE layer > 1")

    def joined(self, left, right):
        query = (
            f"SELECT count(*), sum(a.position) FROM {left} a "
            f"JOIN {right} b USING ({', '.join(JOIN)}) WHERE b.site = 'last'"
        )
        return self.rows(query)[0]


class DuckDb(Sql):
    def __init__(self):
        import duckdb

        self.db = duckdb

    def rows(self, query):
        return self.db.sql(query).fetchall()

    def open(self, table):
        return f"'{table['folder']}/*.parquet'"

    def ways(self, table):
        return {
            "*": self.count(self.open(table)),
            "**": self.count(f"'{table['folder']}/**/*.parquet'"),
            "hive": self.count(f"read_parquet({self.open(table)}, hive_partitioning = true)"),
        }

    def types(self, frame, table):
        found = self.rows(f"DESCRIBE SELECT * FROM {frame}")
        lists = {row[0]: row[1].endswith("[]") for row in found}
        plain = {row[0]: kind(row[1].removesuffix("[]")) for row in found}
        return {name: f"list<{of}>" if lists[name] else of for name, of in plain.items()}


class DataFusion(Sql):
    def __init__(self):
        import datafusion

        self.context = datafusion.SessionContext()

    def rows(self, query):
        found = self.context.sql(query).to_pydict()
        return list(zip(*found.values()))

    def open(self, table):
        name = table["name"]
        if not self.context.table_exist(name):
            self.context.register_parquet(name, table["folder"] + "/")
        return name

    def ways(self, table):
        folder = table["folder"]
        frames = {"folder": folder + "/", "*": f"{folder}/*.parquet"}
        return {way: self.context.read_parquet(path).count() for way, path in frames.items()}

    def types(self, frame, table):
        return {field.name: arrow_kind(field.type) for field in self.context.table(frame).schema()}


class Spark(Sql):
    quote = "`"
    unnest = "explode"

    def __init__(self):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.sql.shuffle.partitions", "1")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        self.spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")

    def rows(self, query):
        return [tuple(row) for row in self.spark.sql(query).collect()]

    def open(self, table):
        self.spark.read.parquet(table["folder"]).createOrReplaceTempView(table["name"])
        return table["name"]

    def ways(self, table):
        paths = {"folder": table["folder"], "*": f"{table['folder']}/*.parquet"}
        return {way: self.spark.read.parquet(path).count() for way, path in paths.items()}

    def types(self, frame, table):
        def of(word):
            inner = word.removeprefix("array<").removesuffix(">")
            return f"list<{kind(inner)}>" if word.startswith("array<") else kind(word)

        return {name: of(word) for name, word in self.spark.table(frame).dtypes}


class PyArrow(Reader):
    def __init__(self):
        import pyarrow.compute
        import pyarrow.dataset
        import pyarrow.parquet

        self.ds, self.pq, self.pc = pyarrow.dataset, pyarrow.parquet, pyarrow.compute

    def open(self, table):
        return self.ds.dataset(table["folder"]).to_table()

    def ways(self, table):
        folder = table["folder"]
        return {
            "dataset": self.ds.dataset(folder).count_rows(),
            "hive": self.ds.dataset(folder, partitioning="hive").count_rows(),
            "read_table": self.pq.read_table(folder).num_rows,
            "*": self.ds.dataset(sorted(glob(f"{folder}/*.parquet"))).count_rows(),
        }

    def types(self, frame, table):
        return {field.name: arrow_kind(field.type) for field in frame.schema}

    def sums(self, frame, table, column):
        if "layer" not in table["types"]:
            return [self.sum(frame[column], is_list(table, column))]
        layers = self.pc.unique(frame["layer"]).to_pylist()
        parts = {layer: frame.filter(self.pc.equal(frame["layer"], layer)) for layer in layers}
        lists = is_list(table, column)
        return [(layer, *self.sum(part[column], lists)) for layer, part in parts.items()]

    def sum(self, column, lists):
        column = self.pc.list_flatten(column) if lists else column
        return len(column) - column.null_count, self.pc.sum(column.cast("float64")).as_py() or 0.0

    def layers(self, frame):
        found = self.pc.value_counts(frame["layer"]).to_pylist()
        return [(row["values"], row["counts"]) for row in found]

    def above(self, frame):
        return frame.filter(self.pc.field("layer") > 1).num_rows

    def joined(self, left, right):
        right = right.filter(self.pc.equal(right["site"], "last")).select(JOIN)
        both = left.select([*JOIN, "position"]).join(right, keys=JOIN, join_type="inner")
        return [both.num_rows, self.pc.sum(both["position"]).as_py()]


class Pandas(Reader):
    def __init__(self):
        import numpy
        import pandas

        self.pd, self.np = pandas, numpy

    def open(self, table):
        return self.pd.read_parquet(table["folder"])

    def ways(self, table):
        files = sorted(glob(f"{table['folder']}/*.parquet"))
        parts = [self.pd.read_parquet(file) for file in files]
        return {"folder": len(self.open(table)), "*": len(self.pd.concat(parts))}

    def types(self, frame, table):
        # Lists and, up to pandas 2, texts are objects: what they are shows in their values.
        def of(name):
            column = frame[name]
            first = next(iter(column.dropna()), None) if str(column.dtype) == "object" else None
            if first is None:
                return "text" if str(column.dtype) == "str" else kind(column.dtype)
            return "text" if isinstance(first, str) else f"list<{kind(first.dtype)}>"

        return {name: of(name) for name in frame.columns}

    def sums(self, frame, table, column):
        if "layer" not in table["types"]:
            return [self.sum(frame[column], is_list(table, column))]
        groups = frame.groupby("layer")[column]
        lists = is_list(table, column)
        return [(int(layer), *self.sum(part, lists)) for layer, part in groups]

    def sum(self, column, lists):
        values = self.np.concatenate([[], *column.dropna()]) if lists else column.dropna()
        return len(values), float(values.astype("float64").sum())

    def layers(self, frame):
        return [(int(layer), int(n)) for layer, n in frame.groupby("layer").size().items()]

    def above(self, frame):
        return len(frame[frame["layer"] > 1])

    def joined(self, left, right):
        right = right[right["site"] == "last"][JOIN]
        both = left[[*JOIN, "position"]].merge(right, on=JOIN)
        return [len(both), int(both["position"].sum())]


class Datasets(PyArrow):
    """HF datasets, which has neither sums nor joins of its own: its rows are asked as Arrow."""

    def __init__(self):
        super().__init__()
        import datasets

        datasets.utils.logging.disable_progress_bar()
        self.datasets = datasets

    def load(self, files: str):
        return self.datasets.load_dataset("parquet", data_files=files, split="train")

    def open(self, table):
        self.loaded = self.load(f"{table['folder']}/*.parquet")
        return self.loaded.with_format("arrow")[:]

    def ways(self, table):
        folder = self.datasets.load_dataset(table["folder"], split="train")
        return {
            "*": len(self.load(f"{table['folder']}/*.parquet")),
            "**": len(self.load(f"{table['folder']}/**/*.parquet")),
            "folder": len(folder),
        }

    def above(self, frame):
        return len(self.loaded.filter(lambda layer: layer > 1, input_columns="layer"))


class Daft(Reader):
    def __init__(self):
        import daft

        self.daft = daft

    def open(self, table):
        return self.daft.read_parquet(f"{table['folder']}/*.parquet")

    def ways(self, table):
        folder = table["folder"]
        paths = {"*": f"{folder}/*.parquet", "**": f"{folder}/**/*.parquet", "folder": folder}
        return {way: self.daft.read_parquet(path).count_rows() for way, path in paths.items()}

    def types(self, frame, table):
        return {field.name: arrow_kind(field.type) for field in frame.to_arrow().schema}

    def sums(self, frame, table, column):
        col, by = self.daft.col, ["layer"] if "layer" in table["types"] else []
        part = frame.select(*by, column)
        part = part.explode(col(column)) if is_list(table, column) else part
        value = col(column).cast(self.daft.DataType.float64())
        part = part.with_columns({"n": value, "sum": value})
        asked = [col("n").count(), col("sum").sum()]
        found = part.groupby(*by).agg(*asked) if by else part.agg(*asked)
        return list(zip(*found.select(*by, "n", "sum").to_pydict().values()))

    def layers(self, frame):
        found = frame.with_column("n", self.daft.col("layer")).groupby("layer")
        return list(zip(*found.agg(self.daft.col("n").count()).to_pydict().values()))

    def above(self, frame):
        return frame.where(self.daft.col("layer") > 1).count_rows()

    def joined(self, left, right):
        right = right.where(self.daft.col("site") == "last").select(*JOIN)
        both = left.select(*JOIN, "position").join(right, on=JOIN).to_pydict()["position"]
        return [len(both), sum(both)]


READERS = {
    "polars": Polars,
    "duckdb": DuckDb,
    "pyarrow": PyArrow,
    "pandas": Pandas,
    "datasets": Datasets,
    "datafusion": DataFusion,
    "daft": Daft,
    "spark": Spark,
}


def answer(reader: Reader, table: dict) -> dict:
    frame = reader.open(table)
    sums = {}
    for column, of in table["types"].items():
        if "float" in of:
            # The sum of no number is None in SQL.
            sums[column] = {
                str(row[0]) if len(row) > 2 else "all": [int(row[-2]), float(row[-1] or 0)]
                for row in reader.sums(frame, table, column)
            }
    found = {"ways": reader.ways(table), "types": reader.types(frame, table), "sums": sums}
    if "layer" in table["types"]:
        layers = {str(int(layer)): int(n) for layer, n in reader.layers(frame)}
        found |= {"layers": layers, "above": int(reader.above(frame))}
    return found


def main() -> None:
    name, run, schema = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    reader = READERS[name]()
    tables = {
        table["name"]: {
            "name": table["name"],
            "folder": str(run / "tables" / table["name"]),
            "types": {column["name"]: column["type"] for column in table["columns"]},
        }
        for table in schema["tables"]
    }
    found = {}
    for table in tables.values():
        try:
            found[table["name"]] = answer(reader, table)
        except Exception as error:  # noqa: BLE001 - whatever a reader says of a table is its answer
            found[table["name"]] = {"error": f"{type(error).__name__}: {error}"}
    try:
        joined = reader.joined(reader.open(tables["activations"]), reader.open(tables["vectors"]))
        joined = [int(number) for number in joined]
    except Exception as error:  # noqa: BLE001
        joined = f"{type(error).__name__}: {error}"
    print(json.dumps({"tables": found, "joined": joined}))


if __name__ == "__main__":
    main()
