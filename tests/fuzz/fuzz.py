#!/usr/bin/env python3
"""Gives aqlens files that were mutated, and asks that it says so or copes.  docs/fuzzing.md.

    tests/fuzz/fuzz.py [--seconds T | --cases N] [--seed S] [--targets a,b] [--jobs J]
    tests/fuzz/fuzz.py --seed S --case N      one case again; its folder stays
    tests/fuzz/fuzz.py --self-test            whether every kind of failure would be seen

Needs the release binary (AQLENS, or target/release/aqlens), an ONNX Runtime (ORT_DYLIB_PATH, or that of
.venv) and pyarrow. A case follows from its seed and number alone. Exits 1 when a case failed.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import targets
from box import CLASSES, FAILING, Box, Limits, Verdict, judge
from targets import ROOT

# So many cases of one bucket are kept.
KEPT = 3
# Runs that making a failing file smaller may take, and seconds.
TRIES, PATIENCE = 80, 20


def environment() -> dict:
    """What the program gets to know of this machine."""
    library = os.environ.get("ORT_DYLIB_PATH")
    if not library:
        found = sorted((ROOT / ".venv/lib").glob("python3*/site-packages/onnxruntime/capi/libonnxruntime.*"))
        if not found:
            raise SystemExit("no ONNX Runtime: run `make venv`, or set ORT_DYLIB_PATH")
        library = str(found[0])
    return {
        "PATH": "/usr/bin:/bin",
        "ORT_DYLIB_PATH": library,
        "ORT_DISABLE_TELEMETRY": "1",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }


class Fuzzer:
    """Runs cases one after another in a place of its own."""

    def __init__(self, aqlens: str, seed: int, seeds, place: Path, limits: Limits):
        self.aqlens, self.seed, self.seeds, self.limits = aqlens, seed, seeds, limits
        self.box = Box(place)
        self.environment = environment()

    def case(self, number: int):
        self.box.clear()
        return targets.make_case(self.seed, number, self.seeds, self.box)

    def run(self, case, data: bytes) -> Verdict:
        """Runs the case's command in a box that was filled for it, with `data` in its file."""
        case.place(self.box, data)
        names = self.box.names()
        before = self.box.watched(case.may_write)
        argv = [self.aqlens, *(self.box.settled(os.fsencode(word)) for word in case.argv)]
        ended = self.box.run(argv, self.environment, self.limits)
        after = self.box.watched(case.may_write)
        changed = sorted(
            f"{name} {'is new' if name not in before else 'is gone' if name not in after else 'was changed'}"
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        )
        kind, bucket = judge(ended, changed, names, self.limits)
        if case.runtime and kind in ("crash", "memory", "hang") and "panicked" not in ended.err:
            kind = "runtime"
        return Verdict(kind, bucket, ended, changed)

    def again(self, number: int, data: bytes) -> Verdict:
        return self.run(self.case(number), data)

    def smaller(self, number: int, data: bytes, bucket: str) -> bytes:
        """Takes chunks out of the file as long as the case fails as it did."""
        until, tries = time.monotonic() + PATIENCE, 0
        size = len(data) // 2
        while size >= 1:
            at = 0
            while at < len(data):
                if tries >= TRIES or time.monotonic() > until:
                    return data
                tries += 1
                less = data[:at] + data[at + size :]
                if self.again(number, less).bucket == bucket:
                    data = less
                else:
                    at += size
            size //= 2
        return data


def work(worker: int, options, seeds, place: Path, deadline: float, queue) -> None:
    """The cases of one worker: every `jobs`-th."""
    fuzzer = Fuzzer(options.aqlens, options.seed, seeds, place, options.limits)
    kept = Counter()
    number = options.first + worker
    last = options.first + options.cases if options.cases else None
    while (last is None or number < last) and time.monotonic() < deadline:
        name = targets.target_of(options.seed, number)
        if name in options.targets:
            case = fuzzer.case(number)
            verdict = fuzzer.run(case, case.data)
            smallest = None
            if verdict.kind in FAILING or verdict.kind == "runtime":
                kept[verdict.bucket] += 1
                if kept[verdict.bucket] == 1 and verdict.kind in ("crash", "nameless", "silent"):
                    smallest = fuzzer.smaller(number, case.data, verdict.bucket)
            ended = verdict.ended
            report = (number, name, verdict.kind, verdict.bucket, ended.cpu_seconds, ended.resident_bytes)
            details = None
            if verdict.kind in FAILING or verdict.kind == "runtime":
                details = (case.argv, case.victim, case.data, smallest, verdict.changed, ended.code, ended.err, ended.out)
            queue.put((report, details))
        number += options.jobs
    queue.put((None, None))


class Report:
    """What was found so far, and the folder of what failed."""

    def __init__(self, options):
        self.options = options
        self.counts = {name: Counter() for name in targets.NAMES}
        self.buckets = {}
        self.slowest, self.largest, self.most = [], [], Counter()
        self.started = time.monotonic()

    def add(self, report, details) -> None:
        number, name, kind, bucket, cpu, resident = report
        self.counts[name][kind] += 1
        self.slowest = sorted([*self.slowest, (cpu, number, name)], reverse=True)[:3]
        self.largest = sorted([*self.largest, (resident, number, name)], reverse=True)[:3]
        if details is None:
            return
        cases = self.buckets.setdefault((kind, name, bucket), [])
        cases.append(number)
        if len(cases) == 1:
            print(f"{kind:<10} {name}: {bucket}\n{'':10} {self.repeat(number)}", flush=True)
        if len(cases) <= KEPT:
            self.keep(number, name, kind, bucket, details)

    def repeat(self, number: int) -> str:
        return f"tests/fuzz/fuzz.py --seed {self.options.seed} --case {number}"

    def keep(self, number: int, name: str, kind: str, bucket: str, details) -> None:
        argv, victim, data, smallest, changed, code, err, out = details
        folder = self.options.keep / f"{kind}-{name}-{self.options.seed}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mutated").write_bytes(data)
        if smallest is not None:
            (folder / "smallest").write_bytes(smallest)
        lines = [
            f"{kind}: {bucket}",
            f"repeat: {self.repeat(number)}",
            f"command: aqlens {' '.join(map(str, argv))}"[:3000],
            f"mutated: {victim} ({len(data)} bytes, before seals and hashes were made right)",
            f"exit: {code}",
            *(f"touched: {line}" for line in changed[:20]),
            "stderr:",
            err[:6000],
            "stdout:",
            out[:3000],
        ]
        (folder / "what.txt").write_text("\n".join(lines) + "\n", errors="replace")

    def cases(self) -> int:
        return sum(sum(counts.values()) for counts in self.counts.values())

    def failed(self) -> int:
        return sum(counts[kind] for counts in self.counts.values() for kind in FAILING)

    def print(self) -> None:
        shown = [kind for kind in CLASSES if kind in ("ok", "refused", *FAILING) or any(c[kind] for c in self.counts.values())]
        rows = [["target", "cases", *shown]]
        for name, counts in self.counts.items():
            if counts:
                rows.append([name, sum(counts.values()), *(counts[kind] for kind in shown)])
        total = sum(self.counts.values(), Counter())
        rows.append(["all", self.cases(), *(total[kind] for kind in shown)])
        widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
        print()
        for row in rows:
            print("  ".join(str(cell).rjust(width) if i else str(cell).ljust(width) for i, (cell, width) in enumerate(zip(row, widths))))
        print(f"\n{self.cases()} cases in {time.monotonic() - self.started:.0f} s, seed {self.options.seed}")
        print("most CPU: " + ", ".join(f"{cpu:.1f} s ({name} {number})" for cpu, number, name in self.slowest))
        print("most memory: " + ", ".join(f"{bytes_ >> 20} MiB ({name} {number})" for bytes_, number, name in self.largest))
        for (kind, name, bucket), numbers in sorted(self.buckets.items(), key=lambda item: (item[0][0] == "runtime", -len(item[1]))):
            print(f"{len(numbers):6} x {kind:<9} {name}: {bucket}\n{'':10} {self.repeat(min(numbers))}")
        if any(total[kind] for kind in ("runtime",)):
            print("`runtime`: ONNX Runtime itself ended on a graph whose hashes were made right (docs/fuzzing.md)")
        if self.buckets:
            print(f"kept in {self.options.keep}")

    def save(self) -> None:
        self.options.keep.mkdir(parents=True, exist_ok=True)
        found = {
            "seed": self.options.seed,
            "cases": self.cases(),
            "seconds": round(time.monotonic() - self.started, 1),
            "counts": {name: dict(counts) for name, counts in self.counts.items() if counts},
            "buckets": [
                {"kind": kind, "target": name, "bucket": bucket, "cases": len(numbers), "first": min(numbers)}
                for (kind, name, bucket), numbers in self.buckets.items()
            ],
        }
        (self.options.keep / "counts.json").write_text(json.dumps(found, indent=1) + "\n")


def fuzz(options, scratch: Path) -> int:
    seeds = targets.make_seeds(options.aqlens, environment(), scratch / "seeds")
    deadline = time.monotonic() + (options.seconds if options.seconds else 1e9)
    context = multiprocessing.get_context("fork")
    queue = context.Queue(200)
    workers = []
    for worker in range(options.jobs):
        place = scratch / f"w{worker}"
        process = context.Process(target=work, args=(worker, options, seeds, place, deadline, queue), daemon=True)
        process.start()
        workers.append(process)
    report, ended, told = Report(options), 0, time.monotonic()
    while ended < options.jobs:
        try:
            result, details = queue.get(timeout=10)
        except Exception:
            # A worker that was killed never says that it ended.
            if not any(process.is_alive() for process in workers):
                raise SystemExit("a worker of the fuzzer itself ended without a word") from None
            continue
        if result is None:
            ended += 1
        else:
            report.add(result, details)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"... {report.cases()} cases, {report.failed()} failed", flush=True)
    if any(process.join() or process.exitcode for process in workers):
        raise SystemExit("a worker of the fuzzer itself failed")
    report.print()
    report.save()
    if not report.cases():
        raise SystemExit("no case ran")
    return 1 if report.failed() else 0


def one(options, scratch: Path) -> int:
    """One case again, told at length."""
    seeds = targets.make_seeds(options.aqlens, environment(), scratch / "seeds")
    fuzzer = Fuzzer(options.aqlens, options.seed, seeds, scratch / "w0", options.limits)
    case = fuzzer.case(options.case)
    data = options.data.read_bytes() if options.data else case.data
    verdict = fuzzer.run(case, data)
    ended = verdict.ended
    print(f"target   {case.target}\nmutated  {case.victim} ({len(data)} bytes)")
    print(f"in       {fuzzer.box.root}")
    print("command  aqlens " + " ".join(map(str, case.argv))[:2000])
    print(f"ended    {ended.code} after {ended.cpu_seconds:.2f} s of CPU with {ended.resident_bytes >> 20} MiB")
    for line in verdict.changed:
        print(f"touched  {line}")
    print(f"class    {verdict.kind} {verdict.bucket}\nstderr:\n{ended.err[:8000]}\nstdout:\n{ended.out[-4000:]}")
    return 1 if verdict.kind in FAILING else 0


def scratch_folder() -> Path:
    """In memory where that can be had: on a disk, making the boxes takes longer than the program."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 3 << 30
    return Path(tempfile.mkdtemp(prefix="aqlens-fuzz-", dir=memory if roomy and "TMPDIR" not in os.environ else None))


def arguments(argv=None):
    default = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long")
    parser.add_argument("--cases", type=int, default=0, help="stop after so many cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="run this case alone and keep its folder")
    parser.add_argument("--data", type=Path, help="with --case: a file in place of the mutated one")
    parser.add_argument("--targets", default=",".join(targets.NAMES), help="of " + ", ".join(targets.NAMES))
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--aqlens", default=os.environ.get("AQLENS", str(default / "release/aqlens")))
    parser.add_argument("--keep", type=Path, default=default / "fuzz", help="where failing cases are kept")
    parser.add_argument("--self-test", action="store_true", help="see whether every kind of failure is seen")
    options = parser.parse_args(argv)
    options.limits = Limits()
    options.targets = options.targets.split(",")
    unknown = set(options.targets) - set(targets.NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.case is None and not options.self_test and not (options.seconds or options.cases):
        parser.error("say how long: --seconds T or --cases N")
    options.aqlens = str(Path(options.aqlens).resolve())
    return options


def main() -> int:
    options = arguments()
    if options.self_test:
        import self_test

        return self_test.main()
    if not Path(options.aqlens).is_file():
        raise SystemExit(f"{options.aqlens} is not there: run `make build`, or set AQLENS")
    scratch = scratch_folder()
    if options.case is not None:
        return one(options, scratch)
    try:
        return fuzz(options, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
