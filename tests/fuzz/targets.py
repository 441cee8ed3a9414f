"""What is mutated, and which commands then meet it.

A target fills a box from the seeds and gives a `Case`: the one file that is mutated, how it is put in its
place (with its seal or the hashes that vouch for it made right again), and the command. All of it follows
from the seed and the number of the case.
"""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import formats
import mutate
import tokens
from box import Box

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fixtures" / "tiny"
GRAPHS = ["model.onnx", "head.onnx", "past.onnx", "patch.onnx"]
MODEL_FILES = ["model.json", *GRAPHS, "model.onnx.data", "tokenizer.json"]
PIPELINE_SHA = "@PIPELINE_SHA256@"


@dataclass
class Case:
    target: str
    # Name in the box, and what it holds before `settle` puts it there.
    victim: str
    data: bytes
    argv: list
    # Writes the mutated bytes and makes right what vouches for them.
    settle: Callable | None = None
    may_write: bool = False
    # Whether a crash in ONNX Runtime is the runtime's own.
    runtime: bool = False
    notes: list = field(default_factory=list)

    def place(self, box: Box, data: bytes) -> None:
        box.write(self.victim, data)
        if self.settle:
            self.settle(box)


# ---------------------------------------------------------------- seeds


SMALL = """name: small
model: model
prompt: "{task}\\n{input}:"
scenarios:
  - name: inline
    inputs:
      one: "a cup"
      two: "the red ball"
    tasks:
      color: "what color is the ball?"
      where: { wordings: ["where is the cup?", "the cup is where?"] }
    controls: { neutral: auto, scrambled: true, other_input: true }
stages:
  - kind: extract
    layers: [0, 4]
  - kind: similarity
  - kind: divergence
    threshold: 0.9
"""

FILES = """name: files
model: model
prompt: "{task}\\n{input}:"
max_skipped: 1
scenarios:
  - name: from-files
    inputs: { file: INPUTS, id: id, text: text }
    tasks: TASKS
stages:
  - kind: extract
    layers: [0, 4]
    too_long: skip
  - kind: similarity
  - kind: divergence
"""
INLINE_TASKS = '{ color: "what color is it?", thing: "name the thing:" }'

INPUTS_JSONL = (
    '{"id": "ball", "text": "the ball is red, the cup is green."}\n'
    '{"id": "snow", "text": "\\u96ea \\u2744\\ufe0f and \\u00e9t\\u00e9", "source": {"a": [1, 2.5, null]}}\n'
    '{"id": 7, "text": "a blue table\\nis next to\\tthe red table", "score": 0.25}\n'
)
INPUTS_CSV = 'id,text,source\nball,"the ball is red, the cup is green.",a\n"q ""7""","what\nis ""it""?",\n3,a cup,b\n'


@dataclass
class Seeds:
    pipelines: list
    parquet: list
    # Run directories: files by name, relative to the run directory.
    runs: dict
    model: dict
    # Tables of each run.
    tables: list


def files_of(folder: Path) -> dict:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fill_model(box: Box, seeds: Seeds) -> None:
    for name, data in seeds.model.items():
        box.write(f"model/{name}", data)


def fill_inputs(box: Box) -> None:
    box.write("inputs.jsonl", INPUTS_JSONL.encode())
    box.write("inputs.csv", INPUTS_CSV.encode())
    box.write("tasks.csv", (ROOT / "tests/fixtures/tiny-tasks.csv").read_bytes())
    for name in ("pipe.jsonl", "pipe.csv"):
        os.mkfifo(box.root / name)


def run_pipeline() -> str:
    """Every kind of stage, and a scenario whose texts are in files."""
    text = (ROOT / "tests/fixtures/kinds.yml").read_text().replace("model: tiny", "model: model")
    more = (
        "  - name: from-files\n    inputs: { file: inputs.jsonl, id: id, text: text }\n"
        "    tasks: { file: tasks.csv, id: task, text: question }\n"
    )
    return text.replace("\nstages:", "\n" + more + "\nstages:", 1)


def fresh_run(aqlens: str, environment: dict, place: Path) -> dict:
    """A run directory of this version, without what differs from run to run."""
    box = Box(place)
    box.clear()
    fill_inputs(box)
    for name in MODEL_FILES:
        box.write(f"model/{name}", (TINY / name).read_bytes())
    box.write("pipeline.yml", run_pipeline().encode())
    argv = [aqlens, "run", "pipeline.yml", "--run-dir", "run", "--quiet", "--threads", "1"]
    done = subprocess.run(argv, cwd=box.root, env={**environment, "HOME": str(place)}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"no run to mutate: {' '.join(argv)} ended with {done.returncode}\n{done.stderr}")
    files = files_of(box.root / "run")
    root = os.fsencode(box.root)
    for name, data in files.items():
        if name.endswith((".json", ".yml", ".html")):
            files[name] = data.replace(root, b"@BOX@").replace(os.fsencode(box.root.resolve()), b"@BOX@")
    record = json.loads(files["run.json"])
    record.pop("marks", None)
    record.pop("sha256")
    record["lineage"]["pipeline_sha256"] = PIPELINE_SHA
    record["counts"].update({"stage_seconds": 0.5, "seconds": 1.5})
    files["run.json"] = json.dumps(record, indent=2).encode()
    for name in [name for name in files if name.startswith("receipts/")]:
        receipt = json.loads(files[name])
        receipt.pop("sha256")
        if "seconds" in receipt.get("effort", {}):
            receipt["effort"]["seconds"] = 0.25
        files[name] = formats.seal(json.dumps(receipt, indent=2).encode())
    # The report tells times, too; what reads it never looks inside.
    files.pop(".locks", None)
    return files


def seal_record(box: Box) -> None:
    """run.json with the hash of the pipeline.yml that is there, and its seal."""
    path, pipeline = box.root / "run/run.json", box.root / "run/pipeline.yml"
    if path.is_file() and not path.is_symlink():
        digest = formats.sha256(pipeline.read_bytes()) if pipeline.is_file() else "0" * 64
        path.write_bytes(formats.seal(path.read_bytes().replace(PIPELINE_SHA.encode(), digest.encode())))


def make_seeds(aqlens: str, environment: dict, place: Path) -> Seeds:
    v1 = files_of(ROOT / "tests/fixtures/runs/v1")
    fresh = fresh_run(aqlens, environment, place)
    pipelines = [SMALL, FILES.replace("INPUTS", "inputs.jsonl").replace("TASKS", "{ file: tasks.csv, id: task, text: question }")]
    pipelines.append(run_pipeline())
    for path in [*sorted((ROOT / "pipelines").glob("*.yml")), ROOT / "tests/fixtures/tiny.yml"]:
        text = path.read_text()
        pipelines.append(text.replace("../data/demo", "model").replace("model: tiny", "model: model").replace("tiny-", ""))
    return Seeds(
        pipelines,
        formats.parquet_seeds(),
        {"v1": v1, "fresh": fresh},
        {name: (TINY / name).read_bytes() for name in MODEL_FILES},
        sorted({name.split("/")[1] for run in (v1, fresh) for name in run if name.startswith("tables/")}),
    )


# ---------------------------------------------------------------- commands

RUN = ["--quiet", "--threads", "1"]


def check_or_run(rng, share_of_runs: float = 0.5) -> tuple:
    """A command on pipeline.yml, and whether it may write."""
    if rng.random() < share_of_runs:
        return ["run", "pipeline.yml", *RUN, *(["--run-dir", "run"] if rng.random() < 0.7 else [])], True
    return ["check", "pipeline.yml", "--threads", "1", *(["--json"] if rng.random() < 0.3 else [])], False


def look_or_run(rng, tables: list) -> tuple:
    """A command on a run directory that somebody else made."""
    kind = rng.randrange(10)
    if kind <= 2:
        return ["verify", "run"], False
    if kind == 3:
        return ["show", "run"], False
    if kind <= 5:
        return ["show", "run", "--table", rng.choice(tables), *(["--rows", "0"] if rng.random() < 0.3 else [])], False
    more = [
        [],
        ["--recheck"],
        ["--finish"],
        ["--shard", "0/2"],
        ["--set", "stages.divergence.threshold=0.5"],
        ["--set", "stages.effect.permutations=99"],
        ["--set", "stages.report.inputs=2"],
        ["--set", "stages.outputs.top_tokens=3"],
    ]
    pipeline = "run/pipeline.yml" if rng.random() < 0.2 else "pipeline.yml"
    return ["run", pipeline, "--run-dir", "run", *RUN, *rng.choice(more)], True


# ---------------------------------------------------------------- targets


def words(rng, data: bytes, change) -> bytes:
    """A change of text, and now and then one of bytes."""
    if rng.random() < 0.12:
        return mutate.bytes_(rng, data)
    return mutate.encoded(rng, change(data.decode()))


def pipeline_keys() -> list:
    text = (ROOT / "pipelines/pipeline.schema.json").read_text()
    found = set()

    def walk(node):
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(json.loads(text))
    return sorted(found)


KEYS = pipeline_keys()


def pipeline(rng, seeds: Seeds, box: Box) -> Case:
    fill_model(box, seeds)
    fill_inputs(box)
    text = seeds.pipelines[min(int(rng.expovariate(0.6)), len(seeds.pipelines) - 1)]
    others = [p.encode() for p in seeds.pipelines]
    if rng.random() < 0.1:
        data = mutate.bytes_(rng, text.encode(), others)
    else:
        data = words(rng, text.encode(), lambda text: mutate.yaml_(rng, text, KEYS))
    argv, may_write = check_or_run(rng, 0.4)
    if rng.random() < 0.15:
        paths = ["prompt", "model", "stages.extract.layers", "scenarios[0].inputs.one", "stages[1].kind", "seed", "scenarios", "x", "..", "a[9"]
        value = rng.choice(tokens.YAML + tokens.NUMBERS + tokens.PATHS + tokens.TEXTS).replace("\0", "")
        argv += ["--set", f"{rng.choice(paths)}={value[:100_000]}"]
    return Case("pipeline", "pipeline.yml", data, argv, None, may_write)


def with_small(seeds: Seeds, box: Box) -> None:
    fill_model(box, seeds)
    box.write("pipeline.yml", SMALL.encode())


def rehash(box: Box) -> None:
    try:
        formats.rehash_model(box.root / "model")
    except (ValueError, KeyError, OSError):
        return


def model_card(rng, seeds: Seeds, box: Box) -> Case:
    with_small(seeds, box)
    data = words(rng, seeds.model["model.json"], lambda text: mutate.json_(rng, text))
    argv, may_write = check_or_run(rng)
    return Case("model-card", "model/model.json", data, argv, None, may_write)


def tokenizer(rng, seeds: Seeds, box: Box) -> Case:
    with_small(seeds, box)
    data = words(rng, seeds.model["tokenizer.json"], lambda text: mutate.json_(rng, text, tokens.TOKENIZER))
    argv, may_write = check_or_run(rng)
    settle = rehash if rng.random() < 0.95 else None
    return Case("tokenizer", "model/tokenizer.json", data, argv, settle, may_write)


def mutated_graph(rng, seeds: Seeds) -> tuple:
    name = rng.choice(["model.onnx", *GRAPHS, "model.onnx.data"])
    others = [data for other, data in seeds.model.items() if other.endswith(".onnx")]
    if name == "model.onnx.data":
        return name, mutate.bytes_(rng, seeds.model[name])
    return name, formats.graph_(rng, seeds.model[name], others)


def with_all_graphs(seeds: Seeds, box: Box) -> None:
    """A pipeline whose stages load every graph of the model folder."""
    fill_model(box, seeds)
    fill_inputs(box)
    box.write("pipeline.yml", run_pipeline().encode())


def graph(rng, seeds: Seeds, box: Box) -> Case:
    """Graphs and weights that are not what model.json says: refused before they are loaded."""
    with_all_graphs(seeds, box)
    name, data = mutated_graph(rng, seeds)
    argv, may_write = check_or_run(rng)
    return Case("graph", f"model/{name}", data, argv, None, may_write)


def graph_rehashed(rng, seeds: Seeds, box: Box) -> Case:
    """Graphs and weights that model.json vouches for: what ONNX Runtime makes of them."""
    with_all_graphs(seeds, box)
    name, data = mutated_graph(rng, seeds)
    # `check` loads the model's own graph alone.
    argv, may_write = check_or_run(rng, 0.5 if name.startswith("model") else 1)
    return Case("graph-rehashed", f"model/{name}", data, argv, rehash, may_write, runtime=True)


def fill_run(rng, seeds: Seeds, box: Box) -> dict:
    """A run directory in `run`, a pipeline.yml beside it, and the model; gives the run's files."""
    name = rng.choice(["fresh", "fresh", "v1"])
    fill_model(box, seeds)
    fill_inputs(box)
    text = run_pipeline() if name == "fresh" else (ROOT / "tests/fixtures/runs/v1.yml").read_text()
    box.write("pipeline.yml", text.replace("/models/tiny", "model").encode())
    files = seeds.runs[name]
    for file, data in files.items():
        box.write(f"run/{file}", data)
    box.write("run/my-notes.txt", b"mine\n")
    box.write("run/tables/mine/part-00000.parquet.bak", b"mine\n")
    if name == "fresh":
        seal_record(box)
    return files


def reseal(name: str):
    def settle(box: Box) -> None:
        path = box.root / name
        path.write_bytes(formats.seal(path.read_bytes()))

    return settle


def receipts(rng, seeds: Seeds, box: Box) -> Case:
    files = fill_run(rng, seeds, box)
    name = rng.choice([name for name in files if name.startswith("receipts/")])
    sealed = rng.random() < 0.9
    data = words(rng, formats.unseal(files[name]) if sealed else files[name], lambda text: mutate.json_(rng, text))
    argv, may_write = look_or_run(rng, seeds.tables)
    return Case("receipts", f"run/{name}", data, argv, reseal(f"run/{name}") if sealed else None, may_write)


def record(rng, seeds: Seeds, box: Box) -> Case:
    files = fill_run(rng, seeds, box)
    sealed = rng.random() < 0.9
    data = words(rng, formats.unseal(files["run.json"]) if sealed else files["run.json"], lambda text: mutate.json_(rng, text))
    argv, may_write = look_or_run(rng, seeds.tables)
    return Case("run.json", "run/run.json", data, argv, seal_record if sealed else None, may_write)


def summary(rng, seeds: Seeds, box: Box) -> Case:
    """Verdicts; the receipt that names them is mostly made right again."""
    files = fill_run(rng, seeds, box)
    data = words(rng, files["summary.json"], lambda text: mutate.json_(rng, text))
    argv, may_write = (["show", "run"], False) if rng.random() < 0.5 else look_or_run(rng, seeds.tables)
    settle = vouch(files, "summary.json") if rng.random() < 0.7 else None
    return Case("summary.json", "run/summary.json", data, argv, settle, may_write)


def run_pipeline_yml(rng, seeds: Seeds, box: Box) -> Case:
    """The resolved pipeline of a run directory, which `verify` loads again."""
    files = fill_run(rng, seeds, box)
    data = words(rng, files["pipeline.yml"], lambda text: mutate.yaml_(rng, text, KEYS))
    argv, may_write = look_or_run(rng, seeds.tables)
    if rng.random() < 0.5:
        argv, may_write = ["verify", "run"], False
    record = json.loads(files["run.json"])
    record.pop("sha256", None)
    record["lineage"]["pipeline_sha256"] = PIPELINE_SHA
    text = json.dumps(record, indent=2).encode()

    def settle(box: Box) -> None:
        box.write("run/run.json", text)
        seal_record(box)

    return Case("run-pipeline", "run/pipeline.yml", data, argv, settle if rng.random() < 0.7 else None, may_write)


def vouch(files: dict, name: str):
    """Gives the receipt that names `name` the file's size and hash."""
    for receipt in files:
        if receipt.startswith("receipts/") and f'"{name}"'.encode() in files[receipt]:
            value = json.loads(files[receipt])
            value.pop("sha256", None)
            break
    else:
        return None

    def settle(box: Box) -> None:
        data = (box.root / "run" / name).read_bytes()
        for part in value["parts"]:
            if part["path"] == name:
                part.update(bytes=len(data), sha256=formats.sha256(data))
        (box.root / "run" / receipt).write_bytes(formats.seal(json.dumps(value, indent=2).encode()))

    return settle


def run_tables(rng, seeds: Seeds, box: Box) -> Case:
    """A table of a run directory, its receipt mostly made right again."""
    files = fill_run(rng, seeds, box)
    tables = [name for name in files if name.startswith("tables/")]
    name = rng.choice(tables)
    kind = rng.randrange(8)
    if kind == 0:
        # Another table's file, which is sound in itself.
        data = files[rng.choice(tables)]
    elif kind == 1:
        data = rng.choice(seeds.parquet)
    else:
        data = formats.parquet_(rng, files[name])
    argv, may_write = look_or_run(rng, [name.split("/")[1]])
    settle = vouch(files, name) if rng.random() < 0.7 else None
    return Case("run-tables", f"run/{name}", data, argv, settle, may_write)


def run_tree(rng, seeds: Seeds, box: Box) -> Case:
    """Links, pipes, folders and odd names where a run directory has files and folders."""
    files = fill_run(rng, seeds, box)
    names = [*files, "run.lock", ".locks", ".pending", ".pending/x", "tables", "receipts", "tables/effect", ".locks/shard-0", "run.json"]
    ends = ["@OUT@", "@OUT@/a.txt", "../../sentinel", "../../../sentinel/a.txt", ".", "..", "/dev/zero", "/dev/full", "/", "self", "@BOX@/model"]
    steps = []
    for _ in range(mutate.few(rng)):
        name = rng.choice(names)
        while rng.random() < 0.3 and "/" in name:
            name = name.rsplit("/", 1)[0]
        steps.append([rng.choice(["link", "link", "link", "hard", "pipe", "folder", "file", "gone", "rights", "odd"]), name, rng.choice(ends)])
    argv, may_write = look_or_run(rng, seeds.tables)
    return Case("run-tree", "steps.json", json.dumps(steps).encode(), argv, take_steps, may_write)


def take_steps(box: Box) -> None:
    for kind, name, end in json.loads((box.root / "steps.json").read_text()):
        path = box.root / "run" / name
        if not os.path.realpath(path.parent).startswith(os.path.realpath(box.root / "run")) or not path.parent.is_dir():
            continue
        if kind == "rights":
            if path.is_file() and not path.is_symlink():
                path.chmod(0)
            continue
        if kind == "odd":
            (path.parent / "part-99999.parquet\n\x1b[31m\u202e").write_bytes(b"x")
            (path.parent / os.fsdecode(b"\xff\xfe.json")).write_bytes(b"x")
            continue
        was_folder = path.is_dir() and not path.is_symlink()
        shutil.rmtree(path) if was_folder else path.unlink(missing_ok=True)
        if kind == "link":
            path.symlink_to(path.name if end == "self" else end)
        elif kind == "hard":
            os.link(box.sentinel / "a.txt", path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
            (path / "part-00000.parquet").write_bytes(b"PAR1")
        elif kind == "file":
            path.write_bytes(b"{}")


def with_inputs(rng, seeds: Seeds, box: Box, name: str) -> tuple:
    """A pipeline that takes its inputs, or its tasks, from `name`."""
    fill_model(box, seeds)
    box.write("good.jsonl", INPUTS_JSONL.encode())
    if rng.random() < 0.2:
        text = FILES.replace("INPUTS", "good.jsonl").replace("TASKS", f"{{ file: {name}, id: id, text: text }}")
    else:
        text = FILES.replace("INPUTS", name).replace("TASKS", INLINE_TASKS)
    box.write("pipeline.yml", text.encode())
    return check_or_run(rng)


def csv_data(rng) -> bytes:
    return words(rng, INPUTS_CSV.encode(), lambda text: mutate.lines_(rng, text, mutate.cell_line(",")))


def tsv_data(rng) -> bytes:
    text = "id\ttext\tsource\nball\tthe ball is red\ta\nq\ta \"cup\"\t\n3\ta cup\tb\n"
    return words(rng, text.encode(), lambda text: mutate.lines_(rng, text, mutate.cell_line("\t")))


def jsonl_data(rng) -> bytes:
    return words(rng, INPUTS_JSONL.encode(), lambda text: mutate.lines_(rng, text, mutate.json_line))


def plain_inputs(target: str, endings: list, data_of: Callable):
    def make(rng, seeds: Seeds, box: Box) -> Case:
        name = "in." + rng.choice(endings)
        argv, may_write = with_inputs(rng, seeds, box, name)
        return Case(target, name, data_of(rng), argv, None, may_write)

    return make


def parquet_inputs(rng, seeds: Seeds, box: Box) -> Case:
    argv, may_write = with_inputs(rng, seeds, box, "in.parquet")
    if rng.random() < 0.02:
        data = formats.parquet_bomb(rng)
    else:
        data = formats.parquet_(rng, rng.choice(seeds.parquet), seeds.parquet)
    return Case("parquet", "in.parquet", data, argv, None, may_write)


def compressed(rng, seeds: Seeds, box: Box) -> Case:
    ending, kind = rng.choice(["gz", "zst"]), rng.choice(["csv", "tsv", "jsonl", "parquet"])
    name = f"in.{kind}.{ending}"
    argv, may_write = with_inputs(rng, seeds, box, name)
    whole = {"csv": INPUTS_CSV.encode(), "jsonl": INPUTS_JSONL.encode(), "tsv": INPUTS_CSV.replace(",", "\t").encode()}
    if rng.random() < 0.4:
        plain = whole.get(kind) or rng.choice(seeds.parquet)
    elif kind == "parquet":
        plain = formats.parquet_(rng, rng.choice(seeds.parquet))
    else:
        plain = {"csv": csv_data, "tsv": tsv_data, "jsonl": jsonl_data}[kind](rng)
    return Case("compressed", name, formats.compress_(rng, plain, ending), argv, None, may_write)


# Name, how often, and what makes it.
TARGETS = [
    ("pipeline", 18, pipeline),
    ("model-card", 7, model_card),
    ("tokenizer", 10, tokenizer),
    ("graph", 3, graph),
    ("graph-rehashed", 6, graph_rehashed),
    ("receipts", 8, receipts),
    ("run.json", 6, record),
    ("summary.json", 5, summary),
    ("run-pipeline", 5, run_pipeline_yml),
    ("run-tables", 10, run_tables),
    ("run-tree", 8, run_tree),
    ("csv", 6, plain_inputs("csv", ["csv", "csv", "CSV"], csv_data)),
    ("tsv", 3, plain_inputs("tsv", ["tsv"], tsv_data)),
    ("jsonl", 6, plain_inputs("jsonl", ["jsonl", "jsonl", "ndjson"], jsonl_data)),
    ("parquet", 12, parquet_inputs),
    ("compressed", 6, compressed),
]
NAMES = [name for name, _, _ in TARGETS]


def target_of(seed: int, number: int) -> str:
    """Which target a case has, whatever others are run."""
    rng = random.Random(f"{seed}/{number}/target")
    return rng.choices(NAMES, [weight for _, weight, _ in TARGETS])[0]


def make_case(seed: int, number: int, seeds: Seeds, box: Box) -> Case:
    """Fills the box for a case; its mutated file is not in it yet."""
    name = target_of(seed, number)
    make = next(make for other, _, make in TARGETS if other == name)
    return make(random.Random(f"{seed}/{number}"), seeds, box)
