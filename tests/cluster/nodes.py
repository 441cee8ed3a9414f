"""Two Ray nodes on this machine, real raylets on addresses of their own, and what to do to them."""

import hashlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AQLENS = os.environ.get("AQLENS") or str(ROOT / "target/release/aqlens")
HEAD, SECOND = "127.0.0.2", "127.0.0.3"
PORT = 6391
ADDRESS = f"{HEAD}:{PORT}"
# Sockets, logs and the token; goes with this process.
FOLDER = tempfile.TemporaryDirectory(prefix="aqlens-ray-")
# This cluster's own; without one Ray takes the user's where there is one, on the head alone.
TOKEN = Path(FOLDER.name) / "token"
TOKEN.write_text(secrets.token_hex(32))
TOKEN.chmod(0o600)
RAY = str(Path(sys.executable).parent / "ray")
SITE = Path(sys.executable).parents[1]
STARTED: dict[str, list[int]] = {}
ENVIRONMENT = {
    **os.environ,
    "AQLENS": AQLENS,
    "PYTHONPATH": str(ROOT / "python"),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ADDRESS": ADDRESS,
    "RAY_TMPDIR": FOLDER.name,
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": str(TOKEN),
}


# A raylet gives up when its agent, a Python process, is not there after 20 seconds; nothing changes that.
STARTS = 5


def start(address: str, **variables: str) -> None:
    """A node with one core; `variables` are of its workers' environment. Again where the machine is too busy."""
    words = [RAY, "start", f"--node-ip-address={address}", "--num-cpus=1", "--disable-usage-stats"]
    words += [f"--address={ADDRESS}"] if address != HEAD else ["--head", f"--port={PORT}", "--include-dashboard=false"]
    before = set(processes())
    for _ in range(STARTS):
        done = subprocess.run(words, env={**ENVIRONMENT, **variables}, capture_output=True, text=True)
        STARTED[address] = rays(before)
        if done.returncode == 0:
            return
        end(address)
        print(f"the node {address} did not start, once more")
    raise AssertionError(done.stdout + done.stderr)


def rays(before: set[int]) -> list[int]:
    """Ray's processes but for these."""
    return [pid for pid, (_, command) in processes().items() if pid not in before and str(SITE) in command]


def end(address: str) -> None:
    """Ends all that is left of a node, its helpers too, which outlive the raylet."""
    left = STARTED.pop(address, [])
    kill([one for pid in left for one in tree(pid)])


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(folder.name)] = (parent, command)
    return found


def raylet(address: str) -> int:
    """The process of a node's raylet."""
    found = [
        pid
        for pid, (_, command) in processes().items()
        if "raylet/raylet " in command and f"--node_ip_address={address}" in command
    ]
    assert len(found) == 1, found
    return found[0]


def tree(pid: int) -> list[int]:
    """A process and all that it started, and they."""
    of = processes()
    found, new = [pid], [pid]
    while new:
        new = [one for one, (parent, _) in of.items() if parent in new]
        found += new
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def at_work(run: Path) -> list[str]:
    """Processes of the program on a run."""
    mine = [c for _, c in processes().values() if c.startswith(AQLENS) and f"--run-dir {run} " in c]
    return mine


def gone(run: Path, seconds: float = 20.0) -> list[str]:
    """What is still at work on the run after so long."""
    until = time.monotonic() + seconds
    while at_work(run) and time.monotonic() < until:
        time.sleep(0.2)
    return at_work(run)


def driver(pipeline: Path, run: Path, *more: str, address: str = ADDRESS, **variables: str) -> subprocess.Popen:
    """`python -m aqlens.ray`, the first of a process group of its own, as a shell starts it."""
    words = [sys.executable, "-m", "aqlens.ray", str(pipeline), "--run-dir", str(run), "--num-cpus", "1"]
    words += ["--address", address, "--quiet", *more]
    environment = {**ENVIRONMENT, **variables}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def until(holds, seconds: float = 300.0) -> None:
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(0.02)


def receipts(run: Path) -> dict[str, int]:
    """When each receipt was written."""
    found = {}
    for path in run.glob("receipts/*/part-*.json"):
        try:
            found[str(path.relative_to(run))] = path.stat().st_mtime_ns
        except FileNotFoundError:  # Withdrawn in between.
            continue
    return found


def bytes_of(run: Path) -> dict[str, str]:
    """SHA-256 of every table and of the report."""
    files = [*run.glob("tables/**/*.parquet"), run / "report.html"]
    return {str(f.relative_to(run)): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}


def tiny(folder: Path) -> Path:
    """The tiny model's pipeline in seven shards."""
    fixtures = ROOT / "tests/fixtures"
    text = (fixtures / "tiny.yml").read_text().replace("model: tiny", f"model: {fixtures}/tiny")
    for name in ("tiny-inputs.jsonl", "tiny-tasks.csv"):
        text = text.replace(name, f"{fixtures}/{name}")
    path = folder / "tiny.yml"
    path.write_text(f"shard_inputs: 2\n{text}  - kind: report\n")
    return path


def pipeline(folder: Path, inputs: int = 60, shard_inputs: int = 6) -> Path:
    """`pipelines/scenes.yml` on its first scenes."""
    lines = (ROOT / "data/scenes.jsonl").read_text().splitlines(keepends=True)[:inputs]
    (folder / "scenes.jsonl").write_text("".join(lines))
    text = (ROOT / "pipelines/scenes.yml").read_text()
    text = text.replace("../data/demo", str(ROOT / "data/demo")).replace("../data/scenes.jsonl", "scenes.jsonl")
    path = folder / "s60.yml"
    path.write_text(f"shard_inputs: {shard_inputs}\n{text}")
    return path


def alone(pipeline: Path, run: Path, *more: str) -> float:
    """One process does it; gives the seconds it took."""
    began = time.monotonic()
    words = [AQLENS, "run", str(pipeline), "--run-dir", str(run), "--threads", "1", "--quiet", *more]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began
