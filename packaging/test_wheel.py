"""Installs the wheel as somebody does who has Python and nothing else, and runs the demo.

Usage: test_wheel.py WHEEL [--contents-only] [--python PATH ...] [--export-venv VENV]

For each Python from 3.10 on (of PATH and of pyenv, unless some are named): a bare environment, an
empty HOME, no cargo or compiler on PATH, and, once all is installed, no network where the system
lets a process do without. With an environment that has what the extra `export` brings, the wheel's
`aqlens-export` makes a model there, which the program runs. Prints seconds and bytes; exits with 1
when something does not hold.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What a wheel holds, besides the modules: the demo is inside the program, and nowhere else.
CONTENTS = [
    "aqlens/py.typed",
    "aqlens-*.data/scripts/aqlens",
    "aqlens-*.data/scripts/aqlens-export",
    "aqlens-*.dist-info/METADATA",
    "aqlens-*.dist-info/RECORD",
    "aqlens-*.dist-info/WHEEL",
    "aqlens-*.dist-info/licenses/LICENSE-APACHE",
    "aqlens-*.dist-info/licenses/LICENSE-MIT",
    "aqlens-*.dist-info/licenses/THIRD-PARTY-LICENCES.txt",
    "aqlens-*.dist-info/sboms/aqlens.cdx.json",
]
PACKAGES = ["aqlens", "aqlens_export"]
LARGEST = 25_000_000

OLDEST = "onnxruntime==1.19.0"


def contents(wheel: Path) -> None:
    """The wheel has what it should, and nothing else."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        metadata = packed.read(next(n for n in names if n.endswith("METADATA"))).decode()
        program = next(n for n in names if n.endswith("scripts/aqlens"))
        bill = json.loads(packed.read(next(n for n in names if n.endswith(".cdx.json"))))
        licences = packed.read(next(n for n in names if n.endswith("LICENCES.txt"))).decode()
        assert packed.getinfo(program).external_attr >> 16 & 0o111, "the program is executable"
    python = ROOT / "python"
    files = [file for name in PACKAGES for file in sorted((python / name).glob("*.py"))]
    modules = [file.relative_to(python).as_posix() for file in files]
    wanted = [*CONTENTS, *modules]
    for pattern in wanted:
        assert fnmatch.filter(names, pattern), f"the wheel has no {pattern}"
    for name in names:
        known = any(fnmatch.fnmatch(name, pattern) for pattern in wanted)
        assert known, f"the wheel has {name}, which nobody asked for"
    requires = set(re.findall(r"(?m)^Requires-Dist: ([a-z-]+)(?!.*extra)", metadata))
    assert requires == {"onnxruntime", "numpy"}, requires
    version = wheel.name.split("-")[1]
    assert bill["metadata"]["component"]["version"] == version, bill["metadata"]
    # The bill and the licences are of the same crates; Rust's own library is named otherwise there.
    billed = {f"{one['name']} {one['version']} (" for one in bill["components"]}
    without = {one for one in billed if one not in licences and not one.startswith("std ")}
    assert len(billed) > 100 and not without, without
    assert wheel.stat().st_size < LARGEST, wheel.stat().st_size
    assert "manylinux_2_28" in wheel.name, wheel.name
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(names)} files")


def pythons() -> list:
    """Each Python from 3.10 on, once a version."""
    found = [Path(path) for n in range(10, 16) if (path := shutil.which(f"python3.{n}"))]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [Path(sys.executable), *sorted(root.glob("versions/3.*/bin/python3")), *found]
    by_version = {}
    for python in found:
        command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        # The shims of pyenv are there for versions that are not chosen, too.
        if asked.returncode == 0:
            version = tuple(map(int, asked.stdout.split()))
            if version >= (3, 10):
                by_version.setdefault(version, python)
    return [python for _, python in sorted(by_version.items())]


@cache
def alone() -> list:
    """What to put before a command to cut off its network; empty where the system forbids it."""
    unshare = shutil.which("unshare")
    for options in (["--net"], ["--user", "--map-root-user", "--net"]) if unshare else ():
        tried = subprocess.run([unshare, *options, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return [unshare, *options]
    return []


class Bare:
    """A machine with Python and nothing else, as far as a process can see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home, self.work = folder / "home", folder / "work"
        for each in (self.home, self.work, folder / "tools"):
            each.mkdir()
        # What Python's own start needs, and what is in every minimal system.
        for tool in ("env", "sh", "uname"):
            (folder / "tools" / tool).symlink_to(shutil.which(tool))
        keep = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        tools = {"PATH": str(folder / "tools"), "HOME": str(self.home), "LANG": "C.UTF-8"}
        self.environ = {**keep, **tools, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *command: object, network: bool = False, code: int = 0) -> str:
        """What the command prints, errors if it is to end with a `code`; it must end with that."""
        words = [] if network else alone()
        ended = subprocess.run(
            [*words, *map(str, command)],
            env=self.environ,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, f"{command}\n{ended.stdout}\n{ended.stderr}"
        return ended.stderr if code else ended.stdout


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


SCRIPT = """
import aqlens
run = aqlens.run("aqlens-demo/pipelines/experiment-037.yml", "again", stages__tokens__top_k=7)
said = {one.verdict for one in run.verdict if one.measure == "notebook"}
assert said == {"supported"}, said
print(aqlens.__version__, aqlens.find_bin())
"""


def try_out(bare: Bare, program: Path, python: Path) -> float:
    """The demo, twice, and the package; returns the seconds of the first demo."""
    began = time.monotonic()
    said = bare.run(program, "demo")
    seconds = time.monotonic() - began
    assert "red-ball: " in said and "report: aqlens-demo/runs" in said, said
    assert (bare.work / "aqlens-demo/runs/experiment-037/report.html").is_file()
    assert "the demo is in aqlens-demo already" in bare.run(program, "demo")
    bare.run(program, "verify", "aqlens-demo/runs/experiment-037")
    version = bare.run(program, "--version")
    assert bare.run(python, "-m", "aqlens", "--version") == version
    own_version, own_program = bare.run(python, "-c", SCRIPT).split()
    assert version == f"aqlens {own_version}\n" and own_program == str(program), own_program
    exporter = program.with_name("aqlens-export")
    assert "--random-weights" in bare.run(exporter, "--help")
    refused = bare.run(exporter, "gpt2", "--out", "m", code=1)
    assert refused.count("\n") == 1 and refused.startswith("error: aqlens-export needs "), refused
    assert not any(bare.home.iterdir()), f"left in HOME: {list(bare.home.iterdir())}"
    return seconds


def in_environment(wheel: Path, python: Path, also: tuple = ()) -> str:
    """A bare virtual environment; returns a line about it."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Bare(Path(folder))
        venv = Path(folder) / "venv"
        bare.run(python, "-m", "venv", venv)
        before, began = size(venv), time.monotonic()
        pip = (venv / "bin/python", "-m", "pip", "install", "-q", "--no-cache-dir")
        bare.run(*pip, wheel, *also, "--disable-pip-version-check", network=True)
        seconds, added = time.monotonic() - began, size(venv) - before
        demo = try_out(bare, venv / "bin/aqlens", venv / "bin/python")
        doctor = bare.run(venv / "bin/aqlens", "doctor")
        runtime = re.search(r"ONNX Runtime +([\d.]+)", doctor)
        version = bare.run(venv / "bin/python", "--version").split()[1]
        return (
            f"Python {version}, ONNX Runtime {runtime and runtime.group(1)}: installed in "
            f"{seconds:.1f} s ({added:,} bytes), demo {demo:.2f} s"
        )


def in_target(wheel: Path, python: Path) -> str:
    """`pip install --target`: no environment at all."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Bare(Path(folder))
        target = Path(folder) / "target"
        pip = (python, "-m", "pip", "install", "-q", "--no-cache-dir", "--target", target)
        bare.run(*pip, wheel, "--disable-pip-version-check", network=True)
        bare.environ["PYTHONPATH"] = str(target)
        seconds = try_out(bare, target / "bin/aqlens", python)
        return f"pip install --target: demo {seconds:.2f} s"


#: A model of 3 layers and 48 dimensions, as the configuration of transformers' Llama has it.
LLAMA = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "vocab_size": 320,
}


def exports(wheel: Path, packages: Path) -> str:
    """The wheel's own exporter with the packages of another environment, which are not copied."""
    python = packages / "bin/python"
    with tempfile.TemporaryDirectory() as folder:
        bare = Bare(Path(folder))
        venv = Path(folder) / "venv"
        bare.run(python, "-m", "venv", venv)
        pip = (venv / "bin/python", "-m", "pip", "install", "-q", "--no-deps", "--no-index")
        bare.run(*pip, wheel, "--disable-pip-version-check")
        purelib = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        own, others = (
            bare.run(one, "-c", purelib).strip() for one in (venv / "bin/python", python)
        )
        (Path(own) / "others.pth").write_text(others + "\n")
        tiny = ROOT / "tests" / "fixtures" / "tiny"
        command = [venv / "bin/aqlens-export", "--random-weights", "--family", "llama"]
        command += ["--config", json.dumps(LLAMA), "--tokenizer", tiny / "tokenizer.json"]
        began = time.monotonic()
        said = bare.run(*command, "--out", "model")
        seconds = time.monotonic() - began
        assert "largest differences from PyTorch" in said, said
        run = [venv / "bin/aqlens", "run", ROOT / "tests" / "fixtures" / "tiny.yml"]
        run += ["--set", "model=model", "--set", "stages.extract.layers=[0, 2]"]
        bare.run(*run, "--run-dir", "run", "--onnxruntime", packages)
        record = json.loads((bare.work / "run/run.json").read_text())
        assert record["state"] == "finished" and record["model_shape"]["d_model"] == 48, record
        return (
            f"aqlens-export of the wheel: a model of random weights in {seconds:.1f} s, and a run"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", type=Path, action="append")
    parser.add_argument("--export-venv", type=Path)
    parser.add_argument("--contents-only", action="store_true")
    args = parser.parse_args()
    wheel = args.wheel.resolve()
    contents(wheel)
    if args.contents_only:
        return
    print(
        "network after the installation: " + ("none" if alone() else "NOT CUT OFF: not permitted")
    )
    found = args.python or pythons()
    for python in found:
        print(in_environment(wheel, python), flush=True)
    # The oldest ONNX Runtime was made for Python up to 3.12, and numpy 1.
    old = [python for python in found if not re.search(r"3\.1[3-9]", str(python.resolve()))]
    if old:
        print("oldest runtime: " + in_environment(wheel, old[0], (OLDEST, "numpy<2")), flush=True)
    print(in_target(wheel, found[0]))
    if args.export_venv:
        print(exports(wheel, args.export_venv.absolute()), flush=True)
    print(f"{len(found)} Pythons passed")


if __name__ == "__main__":
    main()
