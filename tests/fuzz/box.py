"""Runs one command in a private folder under limits, and says how it ended.

```text
place/sentinel/      nothing may touch it: files, folders, a link
place/box/           where the user stands: pipeline, inputs, model, run directory
place/box/home, tmp  HOME and TMPDIR
```
"""

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

# Where a run may write. Everything else of the box stays as it was, and for the other commands all of it.
WRITABLE = ("run", "runs")
# In the run directory, and not by aqlens.
FOREIGN = ("run/my-notes.txt", "run/tables/mine/part-00000.parquet.bak")
FAILING = ("crash", "hang", "memory", "elsewhere", "silent", "nameless", "flood")
CLASSES = ("ok", "refused", *FAILING, "runtime")


@dataclass
class Limits:
    """What a case may take; a normal one takes 0.3 s and 150 MB."""

    cpu_seconds: float = 20
    wall_seconds: float = 120
    resident_bytes: int = 1 << 30
    address_bytes: int = 6 << 30
    file_bytes: int = 512 << 20
    output_bytes: int = 4 << 20


@dataclass
class Ended:
    code: int
    signal: int
    out: str
    err: str
    output_bytes: int
    cpu_seconds: float
    resident_bytes: int
    timed_out: bool


@dataclass
class Verdict:
    kind: str
    # What cases of one cause have in common.
    bucket: str
    ended: Ended
    changed: list = field(default_factory=list)


class Box:
    """A place with its sentinel; made anew for every case."""

    def __init__(self, place: Path):
        self.place, self.root, self.sentinel = place, place / "box", place / "sentinel"

    def clear(self) -> None:
        # A case may take its own rights away.
        shutil.rmtree(self.place, ignore_errors=True)
        for folder in (self.root / "home", self.root / "tmp", self.sentinel / "sub" / "deep"):
            folder.mkdir(parents=True)
        (self.sentinel / "a.txt").write_bytes(b"do not touch\n")
        (self.sentinel / "a.x").write_bytes(b"x" * 300_000)
        (self.sentinel / "sub" / "b.bin").write_bytes(bytes(range(256)))
        (self.sentinel / "sub" / "deep" / "c.parquet").write_bytes(b"PAR1")
        (self.sentinel / "part-00000.parquet").write_bytes(b"PAR1 of somebody else")
        (self.sentinel / "link").symlink_to("a.txt")

    def settled(self, data: bytes) -> bytes:
        """With the paths of this place put in."""
        if b"@" not in data:
            return data
        return data.replace(b"@OUT@", os.fsencode(self.sentinel)).replace(b"@BOX@", os.fsencode(self.root))

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.settled(data))

    def watched(self, may_write: bool) -> dict:
        """Every file that must stay, by name: its kind, inode, size, time and, outside, its bytes."""
        seen = {}
        for folder, folders, files in os.walk(self.place):
            if folder == str(self.root) and may_write:
                folders[:] = [name for name in folders if name not in WRITABLE]
            for name in folders + files:
                path = Path(folder) / name
                if may_write and path.parent == self.root and name in WRITABLE:
                    continue
                seen[str(path.relative_to(self.place))] = facts(path)
        if may_write:
            # A run makes its folder here, and files that it takes away again there: their own times are free.
            del seen["box"], seen["box/tmp"]
        for name in FOREIGN if may_write else ():
            path = self.root / name
            # A case may have put something else in a folder's place.
            if os.path.lexists(path) and str(path).startswith(os.path.realpath(path.parent)):
                seen[f"box/{name}"] = facts(path)
        return seen

    def names(self) -> list:
        """What a message can name: every file and folder of the box."""
        found = {"run.json", "pipeline.yml", "--set", "--run-dir", "ONNX Runtime"}
        for folder, folders, files in os.walk(self.root):
            found.update(folders + files)
        return sorted(found)

    def run(self, argv, environment, limits: Limits) -> Ended:
        out, err = self.place / "stdout", self.place / "stderr"

        def limit():
            seconds = int(limits.cpu_seconds)
            for what, most in (
                (resource.RLIMIT_AS, (limits.address_bytes,) * 2),
                # The first is a signal that can be told from others.
                (resource.RLIMIT_CPU, (seconds, seconds + 2)),
                (resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2),
                (resource.RLIMIT_CORE, (0, 0)),
            ):
                # Not every system limits address space.
                with contextlib.suppress(ValueError, OSError):
                    resource.setrlimit(what, most)

        environment = {**environment, "HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp")}
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                argv,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                preexec_fn=limit,
                start_new_session=True,
            )
        expired = threading.Event()

        def kill():
            expired.set()
            end(process.pid)

        timer = threading.Timer(limits.wall_seconds, kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = 0
        # What it left running.
        end(process.pid)
        size = out.stat().st_size + err.stat().st_size
        texts = [head_and_tail(out), head_and_tail(err)]
        out.unlink()
        err.unlink()
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -killed
        cpu = usage.ru_utime + usage.ru_stime
        scale = 1 if os.uname().sysname == "Darwin" else 1024
        timed_out = expired.is_set() or killed == signal.SIGXCPU
        return Ended(code, killed, *texts, size, cpu, usage.ru_maxrss * scale, timed_out)


def end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def facts(path: Path) -> tuple:
    found = path.lstat()
    mark = [stat.S_IFMT(found.st_mode), found.st_mode & 0o7777, found.st_ino]
    if stat.S_ISLNK(found.st_mode):
        mark.append(os.readlink(path))
    elif stat.S_ISREG(found.st_mode):
        mark += [found.st_size, found.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()]
    elif stat.S_ISDIR(found.st_mode):
        mark.append(found.st_mtime_ns)
    return tuple(mark)


def head_and_tail(path: Path, most: int = 30_000) -> str:
    with path.open("rb") as file:
        size = path.stat().st_size
        data = file.read(most)
        if size > 2 * most:
            file.seek(-most, os.SEEK_END)
            data += b"\n[...]\n"
        data += file.read(most)
    return data.decode("utf-8", "replace")


PANIC = re.compile(r"thread '[^']*'(?: \(\d+\))? panicked at ([^\n]*)\n([^\n]*)")
NO_MEMORY = re.compile(r"memory allocation of \d+ bytes failed|bad_alloc|Failed to allocate memory|Cannot allocate memory|MemoryError")


def common(text: str) -> str:
    """A message without what differs from case to case."""
    text = re.sub(r"/[^\s:`'\"]*/(?=[^/\s]*)", "/", text)
    text = re.sub(r"0x[0-9a-f]+|\d+", "N", text)
    text = re.sub(r"'[^']{0,400}'|\"[^\"]{0,400}\"|`[^`]{0,400}`", "'...'", text)
    return text[:160]


def judge(ended: Ended, changed: list, names: list, limits: Limits) -> tuple:
    """The class of an ending, and its bucket."""
    err = ended.err.strip()
    last = err.splitlines()[-1] if err else ""
    if changed:
        return "elsewhere", common(changed[0])
    if NO_MEMORY.search(err):
        return "memory", common(NO_MEMORY.search(err).group(0))
    panic = PANIC.search(ended.err)
    if panic:
        place = re.sub(r"^.*/registry/src/[^/]*/", "", panic.group(1).rstrip(":"))
        return "crash", f"panicked at {place}: {common(panic.group(2))}"
    if ended.timed_out:
        if ended.signal == signal.SIGXCPU:
            return "hang", "over its CPU time"
        return "hang", "waits" if ended.cpu_seconds < 2 else "slow, or starved by other programs"
    if "overflowed its stack" in err:
        return "crash", "stack overflow"
    if ended.signal:
        return "crash", f"{signal.Signals(ended.signal).name}: {common(last)}"
    if "panicked" in err or "stack backtrace" in err or ended.code not in (0, 1, 2, 3, 75, 130):
        return "crash", f"exit {ended.code}: {common(last)}"
    if ended.resident_bytes > limits.resident_bytes:
        return "memory", f"more than {limits.resident_bytes >> 20} MiB"
    if ended.output_bytes > limits.output_bytes:
        return "flood", f"more than {limits.output_bytes >> 20} MiB of output"
    if ended.code in (0, 3):
        return "ok", ""
    # `verify` and `check --json` say on standard output what is wrong.
    words = err or ended.out.strip()
    if not words:
        return "silent", f"exit {ended.code}"
    if not any(name in words or name in ended.out for name in names):
        return "nameless", common(words.splitlines()[0])
    return "refused", common(words.splitlines()[0])
