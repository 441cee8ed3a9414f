"""Opens every table of a run with an old and a new version of each reader, each in an environment of
its own, and compares what they say with each other, with the tables' contract and with the receipts.

Usage: matrix.py ENVIRONMENTS AQLENS [--spark] [--run RUN] [--only READER,...]

ENVIRONMENTS is a folder that is made once and kept. Without --run, AQLENS runs `pipeline.yml` into a
temporary folder. Prints a table of reader, version, tables and result; exits with 1 when something
disagrees.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent

# Old pyarrow and pandas come from a time before Python 3.12 or 3.13: those get the oldest that there is.
OLD_PYARROW = [
    "pyarrow==14.0.0; python_version < '3.13'",
    "pyarrow==18.0.0; python_version >= '3.13'",
    "numpy<2; python_version < '3.13'",
]
OLD_PANDAS = [
    "pandas==2.0.0; python_version < '3.12'",
    "pandas==2.1.1; python_version == '3.12'",
    "pandas==2.2.3; python_version >= '3.13'",
]


def pinned(name: str, version: str) -> list:
    """That version; on Python 3.10 the last one that was made for it."""
    return [f"{name}=={version}; python_version >= '3.11'", f"{name}; python_version < '3.11'"]


NEW_PYARROW = pinned("pyarrow", "26.0.1")

# By reader, what its environments hold: the oldest version that is to open every table, and a new one.
ENVIRONMENTS = {
    "polars": [["polars==1.0.0"], pinned("polars", "2.1.0")],
    "duckdb": [
        ["duckdb==0.10.0; python_version < '3.13'", "duckdb==1.1.1; python_version >= '3.13'"],
        pinned("duckdb", "2.0.1"),
    ],
    "pyarrow": [OLD_PYARROW, NEW_PYARROW],
    "pandas": [[*OLD_PANDAS, *OLD_PYARROW], [*pinned("pandas", "3.1.1"), *NEW_PYARROW]],
    "datasets": [["datasets==2.14.7", *OLD_PYARROW], pinned("datasets", "5.2.0")],
    "datafusion": [["datafusion==43.1.0"], pinned("datafusion", "55.0.0")],
    "daft": [["daft==0.6.0"], pinned("daft", "0.7.26")],
}
SPARK = {"spark": [["pyspark==3.5.9"]]}


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def tool(environments: Path) -> Path:
    """`uv`, which makes an environment in a second where pip takes many."""
    folder = environments / "uv"
    if not (folder / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python_of(folder), "-m", "pip", "install", "--quiet", "uv"]
        subprocess.run([*install, "--disable-pip-version-check"], check=True)
    return folder / "bin" / "uv"


def environment(environments: Path, name: str, requirements: list) -> Path:
    """Makes the environment unless it is there with these requirements; returns its Python."""
    folder = environments / name
    mark, wanted = folder / "requirements.txt", "\n".join(requirements)
    if not mark.exists() or mark.read_text() != wanted:
        uv = tool(environments)
        own = {"UV_PYTHON_DOWNLOADS": "never", "UV_CACHE_DIR": str(environments / "cache")}
        environ = {**os.environ, **own}
        print(f"installing {name}", file=sys.stderr)
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder]
        subprocess.run(make, env=environ, check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python_of(folder), *requirements]
        subprocess.run(install, env=environ, check=True)
        mark.write_text(wanted)
    return python_of(folder)


def version_of(python: Path, package: str) -> str:
    script = f"from importlib.metadata import version; print(version('{package}'))"
    return subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def answers_of(python: Path, reader: str, run: Path, schema: Path) -> dict:
    """What the reader says; `failed` when it says nothing."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        environ |= {"DAFT_ANALYTICS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
        command = [python, HERE / "answers.py", reader, run, schema]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    try:
        return json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"tables": {}, "joined": None, "failed": ended.stderr[-2000:]}


def recorded(run: Path) -> dict:
    """Rows of each table as the receipts have them: `all`, and by layer where files have one."""
    rows: dict = {}
    for file in (run / "receipts").rglob("*.json"):
        for part in json.loads(file.read_text())["parts"]:
            if part["path"].startswith("tables/"):
                _, table, name = part["path"].split("/", 2)
                of_table = rows.setdefault(table, {"all": 0})
                of_table["all"] += part["rows"]
                if "-layer-" in name:
                    layer = str(int(name.removesuffix(".parquet").split("-layer-")[1]))
                    of_table[layer] = of_table.get(layer, 0) + part["rows"]
    return rows


def contract(column: dict, reader: str) -> set:
    """The types that the reader may give a column."""
    kind = column["type"].replace("utf8", "text").split("[")[0].removeprefix("fixed_size_")
    # pandas has no integer that may be missing, and no key is one.
    is_float_too = reader == "pandas" and column["nullable"] and kind.startswith("int")
    return {kind, "float64"} if is_float_too else {kind}


def wrong_in(table: dict, answer: dict, reader: str, rows: dict) -> list:
    """How an answer differs from the table's contract and receipts."""
    if "error" in answer:
        return [answer["error"].splitlines()[0]]
    wrong = [
        f"{way} gives {n} rows, not {rows['all']}" for way, n in answer["ways"].items() if n != rows["all"]
    ]
    types = answer["types"]
    for column in table["columns"]:
        found = types.get(column["name"])
        if found not in contract(column, reader):
            wrong.append(f"{column['name']} is {found}, not {column['type']}")
    names = [column["name"] for column in table["columns"]]
    if list(types) != names:
        wrong.append(f"its columns are {list(types)}, not {names}")
    layers = {layer: n for layer, n in rows.items() if layer != "all"}
    if layers and answer.get("layers") != layers:
        wrong.append(f"rows by layer are {answer.get('layers')}, not {layers}")
    if "layers" in answer:
        above = sum(n for layer, n in answer["layers"].items() if int(layer) > 1)
        if answer["above"] != above or sum(answer["layers"].values()) != rows["all"]:
            wrong.append(f"{answer['above']} rows have layer > 1, not {above}")
    return wrong


def differences(answer: dict, first: dict) -> list:
    """How an answer differs from that of the first reader: counts exactly, sums but for rounding."""
    wrong = []
    if answer.get("layers") != first.get("layers"):
        wrong.append(f"rows by layer are {answer.get('layers')}, not {first.get('layers')}")
    for column, sums in first["sums"].items():
        found = answer["sums"].get(column, {})
        if found.keys() != sums.keys():
            wrong.append(f"{column} has layers {sorted(found)}, not {sorted(sums)}")
            continue
        for layer, (n, total) in sums.items():
            n_found, total_found = found[layer]
            if n_found != n or not abs(total_found - total) <= 1e-9 * max(1, abs(total)):
                wrong.append(f"{column} of layer {layer} is {found[layer]}, not {[n, total]}")
    return wrong


def check(found: dict, schema: dict, rows: dict) -> dict:
    """By reader and version, what is wrong with it: (table, what)."""
    problems = {}
    whole = [answers for answers in found.values() if "failed" not in answers]
    joined = next((a["joined"] for a in whole if isinstance(a["joined"], list)), None)
    for (reader, version), answers in found.items():
        wrong = [("", answers["failed"])] if "failed" in answers else []
        for table in schema["tables"]:
            name = table["name"]
            answer = answers["tables"].get(name, {"error": "no answer"})
            of_table = wrong_in(table, answer, reader, rows[name])
            first = next((a["tables"][name] for a in whole if "error" not in a["tables"][name]), None)
            if "error" not in answer and first is not None:
                of_table += differences(answer, first)
            wrong += [(name, what) for what in of_table]
        if answers["joined"] != joined or joined is None or joined[0] == 0:
            wrong.append(("activations with vectors", f"joined: {answers['joined']}, not {joined}"))
        problems[reader, version] = wrong
    return problems


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("environments", type=Path)
    parser.add_argument("aqlens", type=Path)
    parser.add_argument("--spark", action="store_true")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    args.environments.mkdir(parents=True, exist_ok=True)
    wanted = {**ENVIRONMENTS, **(SPARK if args.spark else {})}
    wanted = {name: of for name, of in wanted.items() if args.only is None or name in args.only.split(",")}
    pythons = []
    for reader, versions in wanted.items():
        for age, requirements in zip(("old", "new"), versions):
            python = environment(args.environments.absolute(), f"{reader}-{age}", requirements)
            package = "pyspark" if reader == "spark" else reader
            pythons.append((reader, version_of(python, package), python))
    with tempfile.TemporaryDirectory() as folder:
        run = args.run or Path(folder) / "run"
        if args.run is None:
            command = [args.aqlens, "run", HERE / "pipeline.yml", "--run-dir", run, "--quiet"]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            # Done with skipped prompts: table `skipped` has rows.
            assert ended.returncode == 3, ended.stderr
        schema = Path(folder) / "schema.json"
        shown = subprocess.run([args.aqlens, "schema", "--json"], capture_output=True, check=True)
        schema.write_bytes(shown.stdout)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            asked = [pool.submit(answers_of, python, reader, run, schema) for reader, _, python in pythons]
            found = {
                (reader, version): answers.result()
                for (reader, version, _), answers in zip(pythons, asked)
            }
        rows = recorded(run)
        contract_of_all = json.loads(schema.read_text())
    problems = check(found, contract_of_all, rows)
    tables = len(contract_of_all["tables"])
    print("| reader | version | tables | result |\n|---|---|---|---|")
    for (reader, version), wrong in problems.items():
        opened = tables - len({table for table, _ in wrong} & set(rows))
        result = "all agree" if not wrong else f"problems: {len(wrong)}"
        print(f"| {reader} | {version} | {opened} of {tables} | {result} |")
    for (reader, version), wrong in problems.items():
        for table, what in wrong:
            print(f"{reader} {version}: {table}: {what}")
    good = sum(not wrong for wrong in problems.values())
    print(f"{good} passed, {len(problems) - good} failed")
    sys.exit(0 if good == len(problems) else 1)


if __name__ == "__main__":
    main()
