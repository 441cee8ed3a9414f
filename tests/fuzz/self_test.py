"""Whether the fuzzer would see a failure: a program that fails in every way there is, in aqlens's place.

    tests/fuzz/fuzz.py --self-test
"""

import contextlib
import io
import json
import os
import random
import shutil
import stat
import sys
from pathlib import Path

import formats
import fuzz
import mutate
import targets
from box import FAILING, Box, Limits, judge

LIMITS = Limits(cpu_seconds=2, wall_seconds=8, resident_bytes=100 << 20, address_bytes=1 << 30, output_bytes=1 << 20)

# What the program does, and the class that it must get. `..` is the place, `.` the box.
WAYS = [
    ("ok", "print('done')"),
    ("ok", "sys.exit(3)"),
    ("refused", "sys.exit(say('error: inputs.csv: row 2 has 3 fields', 2))"),
    ("refused", "print('altered run.json'); sys.exit(1)"),
    ("silent", "sys.exit(1)"),
    ("nameless", "sys.exit(say('error: it did not work', 1))"),
    ("crash", "sys.exit(say(\"thread 'main' panicked at src/x.rs:7:9:\\nindex out of bounds\", 101))"),
    ("crash", "say(\"thread '<unnamed>' (71) panicked at src/x.rs:7:9:\\nswallowed by a worker\", 0)"),
    ("crash", "os.kill(os.getpid(), signal.SIGSEGV)"),
    ("crash", "os.kill(os.getpid(), signal.SIGABRT)"),
    ("crash", "sys.exit(say('error: inputs.csv', 17))"),
    ("crash", "say('stack backtrace: inputs.csv', 1); sys.exit(1)"),
    ("hang", "time.sleep(60)"),
    ("hang", "exec('while True: pass')"),
    ("hang", "open('pipe.csv').read()"),
    ("memory", "block = b'x' * (200 << 20); block.count(b'y')"),
    ("memory", "block = b'x' * (2 << 30)"),
    ("memory", "say('memory allocation of 999 bytes failed', 1); os.kill(os.getpid(), signal.SIGABRT)"),
    ("flood", "print('inputs.csv\\n' * 200_000)"),
    ("elsewhere", "open('../sentinel/a.txt', 'w').write('gone')"),
    ("elsewhere", "open('../sentinel/a.txt', 'a')  # nothing; then a new file\nopen('../sentinel/new', 'w')"),
    ("elsewhere", "os.unlink('../sentinel/sub/deep/c.parquet')"),
    ("elsewhere", "os.utime('../sentinel/sub/b.bin', ns=(1, 1))"),
    ("elsewhere", "data = open('../sentinel/a.x').read()\nos.unlink('../sentinel/a.x')\nopen('../sentinel/a.x', 'w').write(data)"),
    ("elsewhere", "os.chmod('../sentinel/sub', 0o700)"),
    ("elsewhere", "open('../beside', 'w')"),
    ("elsewhere", "open('inputs.csv', 'a').write('x')"),
    ("elsewhere", "open('home/.state', 'w')"),
    ("elsewhere", "open('tmp/left-over', 'w')"),
    ("elsewhere", "os.unlink('run/my-notes.txt')"),
]

FAKE = """#!{python}
import os, signal, sys, time

def say(text, code):
    print(text, file=sys.stderr)
    return code

{way}
"""


def fake(folder: Path, way: str) -> str:
    path = folder / "fake"
    path.write_text(FAKE.format(python=sys.executable, way=way))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def ways(folder: Path) -> None:
    """Each way of failing gets its class."""
    seen = set()
    for wanted, way in WAYS:
        box = Box(folder / "place")
        box.clear()
        targets.fill_inputs(box)
        box.write("run/run.json", b"{}")
        box.write("run/my-notes.txt", b"mine")
        before = box.watched(may_write=True)
        ended = box.run([fake(folder, way)], {"PATH": "/usr/bin:/bin"}, LIMITS)
        after = box.watched(may_write=True)
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        kind, bucket = judge(ended, changed, box.names(), LIMITS)
        if kind != wanted:
            raise SystemExit(f"self-test: {way!r} was taken for {kind} ({bucket}), and is {wanted}: {ended}")
        seen.add(wanted)
    unseen = set(FAILING) - seen
    if unseen:
        raise SystemExit(f"self-test: nothing tries {unseen}")


def looks_change_nothing(folder: Path) -> None:
    """A command that only looks may write nowhere, not even in the run directory."""
    box = Box(folder / "place")
    box.clear()
    before = box.watched(may_write=False)
    box.run([fake(folder, "os.mkdir('runs')")], {"PATH": "/usr/bin:/bin"}, LIMITS)
    if before == box.watched(may_write=False):
        raise SystemExit("self-test: a new folder was not seen")


def seeds() -> targets.Seeds:
    """Seeds without a program that makes a run: the frozen one stands for both."""
    v1 = targets.files_of(targets.ROOT / "tests/fixtures/runs/v1")
    model = {name: (targets.TINY / name).read_bytes() for name in targets.MODEL_FILES}
    return targets.Seeds([targets.SMALL, targets.run_pipeline()], formats.parquet_seeds(), {"v1": v1, "fresh": v1}, model, ["effect"])


def whole(folder: Path) -> None:
    """From the mutation to the exit code: a program that panics in every third case, and its repetition."""
    way = (
        "text = open('pipeline.yml', 'rb').read()\n"
        "if sum(text) % 3 == 0: sys.exit(say(\"thread 'main' panicked at src/x.rs:7:9:\\nodd\", 101))\n"
        "sys.exit(say('error: pipeline.yml', 2))"
    )
    program = fake(folder, way)
    common = ["--seed", "5", "--aqlens", program, "--keep", str(folder / "kept")]
    made, targets.make_seeds = targets.make_seeds, lambda *_: seeds()
    try:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            options = fuzz.arguments([*common, "--cases", "60", "--targets", "pipeline"])
            code = fuzz.fuzz(options, folder / "scratch")
        found = json.loads((folder / "kept/counts.json").read_text())
        crashes = found["counts"]["pipeline"].get("crash", 0)
        if code != 1 or not crashes or crashes == found["cases"] or "--case" not in said.getvalue():
            raise SystemExit(f"self-test: a program that panics gave {code}, {found}\n{said.getvalue()}")
        first = found["buckets"][0]["first"]
        kept = folder / f"kept/crash-pipeline-5-{first}"
        smallest = (kept / "smallest").read_bytes()
        if len(smallest) >= len((kept / "mutated").read_bytes()) or sum(smallest) % 3:
            raise SystemExit("self-test: a failing file was not made smaller, or no longer fails")
        with contextlib.redirect_stdout(said):
            again = fuzz.one(fuzz.arguments([*common, "--case", str(first)]), folder / "scratch")
        if again != 1 or "class    crash" not in said.getvalue():
            raise SystemExit("self-test: a failing case did not fail again")
        good = fake(folder, "sys.exit(say('error: pipeline.yml', 2))")
        with contextlib.redirect_stdout(said):
            options = fuzz.arguments([*common, "--aqlens", good, "--cases", "20", "--targets", "pipeline"])
            code = fuzz.fuzz(options, folder / "scratch")
        if code != 0:
            raise SystemExit(f"self-test: a program that refuses gave {code}")
    finally:
        targets.make_seeds = made


def same_again(folder: Path) -> None:
    """A case is the same whenever and wherever it is made, and cases differ."""
    given = seeds()
    for number in range(60):
        made = []
        for place in ("a", "a-longer-name"):
            box = Box(folder / place)
            box.clear()
            case = targets.make_case(9, number, given, box)
            made.append((case.target, case.victim, case.data, case.argv))
        if made[0] != made[1]:
            raise SystemExit(f"self-test: case {number} of {made[0][0]} is not the same twice")
    box = Box(folder / "a")
    files = set()
    for number in range(80):
        box.clear()
        files.add(targets.make_case(9, number, given, box).data)
    if len(files) < 70:
        raise SystemExit(f"self-test: 80 cases have {len(files)} files")


def vouched(folder: Path) -> None:
    """What was made right again is right: seals hold, hashes are those of the files."""
    v1 = seeds().runs["v1"]
    for name, data in v1.items():
        if name.startswith("receipts/") or name == "run.json":
            if formats.seal(data) != data or formats.seal(formats.unseal(data)) != data:
                raise SystemExit(f"self-test: {name} does not get its own seal")
    rng = random.Random(3)
    graph = (targets.TINY / "model.onnx").read_bytes()
    if formats.message(formats.fields(graph)) != graph:
        raise SystemExit("self-test: a graph is not itself after it was taken apart")
    text = (targets.TINY / "tokenizer.json").read_text()
    if json.loads(mutate.dump(mutate.parse(text))) != json.loads(text):
        raise SystemExit("self-test: JSON is not itself after it was taken apart")
    if len({mutate.json_(rng, text) for _ in range(50)}) < 40:
        raise SystemExit("self-test: JSON is hardly changed")


def main() -> int:
    # Links of the place would hide what a program does there.
    folder = Path(os.path.realpath(fuzz.scratch_folder()))
    try:
        for test in (vouched, same_again, ways, looks_change_nothing, whole):
            test(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"self-test: {len(WAYS)} ways to end were told apart")
    return 0
