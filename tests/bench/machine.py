"""Processes timed from outside, and the machine that they ran on."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Finished:
    """One process, from start to exit."""

    stdout: str
    stderr: str
    seconds: float
    # Of all its threads, in its own code and in the system's.
    cpu_seconds: float
    peak_bytes: int
    # Share of the machine's cores that other processes took meanwhile (the hypervisor among
    # them); None where the system does not say.
    others: float | None


def run(command: list) -> Finished:
    """Runs `command` in the repository root; a failure ends the benchmark with its own words."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        busy, started = _busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        others, cpu = None, usage.ru_utime + usage.ru_stime
        if busy is not None:
            alien = _busy_seconds() - busy - cpu
            others = max(0.0, alien / (seconds * os.cpu_count()))
        out.seek(0)
        err.seek(0)
        # Linux counts in KiB, macOS in bytes.
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        finished = Finished(out.read(), err.read(), seconds, cpu, peak, others)
    if process.returncode != 0:
        raise SystemExit(
            f"error: {' '.join(command)} ended with {process.returncode}:\n"
            f"{finished.stderr.strip()}"
        )
    return finished


def _busy_seconds() -> float | None:
    """Seconds that all cores together were not idle since the machine started."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float | None:
    """What a running process has spent on the cores so far, with all its threads."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # Behind the name in brackets, which may hold anything: fields 14 and 15, counted from 1.
    fields = text.rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def forget(paths: list[Path]) -> bool:
    """Drops files from the system's cache, so that the next process reads them from the disk."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def describe() -> str:
    """Processor, cores, memory, system, in one line."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def binary() -> Path:
    """The release binary: AQLENS, or where cargo puts it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    aqlens = Path(os.environ.get("AQLENS", target / "release/aqlens")).resolve()
    if not aqlens.is_file():
        raise SystemExit(f"error: {aqlens} is not there: run `make build`, or set AQLENS")
    return aqlens


def work_folder() -> Path:
    """Where the benchmarks keep what they make; git ignores it."""
    folder = Path(os.environ.get("AQLENS_CACHE", ROOT / "target")).resolve() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(text: str) -> None:
    """A line about the progress, beside the figures."""
    print(text, file=sys.stderr, flush=True)
