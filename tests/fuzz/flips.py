#!/usr/bin/env python3
"""Flips single bits in a run directory and its model folder, and asks whether wrong numbers are called sound.

    tests/fuzz/flips.py BINARY MODEL [SEED] [COUNT]

A run of tests/fixtures/kinds.yml, all raw tables kept, is copied; one bit of one file is flipped; a later
stage gets another setting and the pipeline runs again; it runs with --recheck if that failed or `verify`
complains; `verify` has the last word. What it calls sound must then be, byte for byte, what a run makes
that nobody disturbed. Kinds of files take turns; which file, byte, bit and setting comes from the seed.
Exits 1 when wrong numbers were called sound. Needs what `aqlens run` needs, ORT_DYLIB_PATH for example.
"""

import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PIPELINE = Path(__file__).parent.parent / "fixtures" / "kinds.yml"
# Later stages with other settings: between them they read every table.
CHANGES = [
    "stages.similarity.measures=[flat]",
    "stages.tokens.top_k=3",
    "stages.attention.top_k=2",
    "stages.outputs.top_tokens=3",
    "stages.vectors.max_inputs=3",
    "stages.geometry.neighbours=1",
    "stages.effect.permutations=500",
    "stages.report.inputs=2",
]
# The stages among them that read a raw table.
READERS = {
    "activations": ("similarity", "vectors"),
    "attention": ("attention",),
    "logits": ("tokens", "outputs"),
    "vectors": ("geometry",),
}
# What a run ends with when it made numbers: all of them, or all but of prompts that cannot run.
MADE = (0, 3)


class Flips:
    def __init__(self, binary: str, model: str, work: Path):
        self.binary = str(Path(binary).resolve())
        self.work, self.good, self.bad = work, work / "good", work / "bad"
        self.kept_model, self.model = Path(model).resolve(), work / "model"
        self.copy(self.kept_model, self.model)
        text = PIPELINE.read_text().replace("model: tiny", f"model: {self.model}")
        (work / "p.yml").write_text(text)
        code, said = self.run(self.good)
        if code not in MADE:
            sys.exit(f"the undisturbed run ended with {code}:\n{said}")
        self.expected = {}

    @staticmethod
    def copy(source: Path, target: Path):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("checkpoint"))

    def aqlens(self, *arguments) -> tuple[int, str]:
        command = [self.binary, *map(str, arguments)]
        ended = subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=600)
        return ended.returncode, ended.stdout + ended.stderr

    def run(self, folder: Path, *more) -> tuple[int, str]:
        return self.aqlens("run", "p.yml", "--run-dir", folder, "--quiet", *more)

    def numbers(self, folder: Path) -> dict:
        files = [*folder.glob("tables/**/*.parquet"), folder / "summary.json", folder / "report.html"]
        return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.exists()}

    def expect(self, change: str) -> dict:
        """What an undisturbed run makes with that change."""
        if change not in self.expected:
            self.copy(self.good, self.bad)
            code, said = self.run(self.bad, "--set", change)
            if code not in MADE:
                sys.exit(f"the undisturbed run with {change} ended with {code}:\n{said}")
            self.expected[change] = self.numbers(self.bad)
        return self.expected[change]

    def kinds(self) -> dict[str, list[Path]]:
        """Every file, by what it is."""
        kinds = {}
        for file in sorted(path for path in self.good.rglob("*") if path.is_file()):
            name = file.relative_to(self.good)
            if name.parts[0] == "tables":
                raw = name.parts[1] in ("activations", "attention", "logits", "vectors")
                kind = name.parts[1] if raw else "small tables"
            else:
                kind = "receipts" if name.parts[0] == "receipts" else name.parts[-1]
            kinds.setdefault(kind, []).append(file)
        for file in sorted(self.model.iterdir()):
            kinds[f"model: {file.name}"] = [file]
        return {kind: files for kind, files in kinds.items() if any(f.stat().st_size for f in files)}

    def flip(self, seed: str, kind: str, files: list[Path]) -> tuple[str, str]:
        """One case: what came of it, and what it was."""
        random_ = random.Random(seed)
        readers = READERS.get(kind)
        change = random_.choice([c for c in CHANGES if not readers or c.split(".")[1] in readers])
        expected = self.expect(change)
        self.copy(self.good, self.bad)
        file = random_.choice([f for f in files if f.stat().st_size])
        if file.is_relative_to(self.good):
            file = self.bad / file.relative_to(self.good)
        content = bytearray(file.read_bytes())
        place, bit = random_.randrange(len(content)), random_.randrange(8)
        content[place] ^= 1 << bit
        file.write_bytes(content)
        what = f"bit {bit} of byte {place} of {file.relative_to(self.work)}, {change}"
        try:
            return self.outcome(change, expected, what), what
        finally:
            self.copy(self.kept_model, self.model)

    def outcome(self, change: str, expected: dict, what: str) -> str:
        code, said = self.run(self.bad, "--set", change)
        if code not in (*MADE, 1, 2):
            return f"ended with {code}"
        sound, found = self.aqlens("verify", self.bad)
        words = "run"
        if code not in MADE or sound != 0:
            words = "refused" if code not in MADE else "run, verify complained"
            again, _ = self.run(self.bad, "--set", change, "--recheck")
            words += ", rechecked" if again in MADE else ", still refused"
            if again not in (*MADE, 1, 2):
                return f"ended with {again}"
            sound, found = self.aqlens("verify", self.bad)
        if sound != 0:
            return f"{words}, not called sound"
        ours = self.numbers(self.bad)
        # A run that was refused left the run of before, which is sound if it is as it was.
        for theirs in (expected, self.numbers(self.good)):
            if ours == theirs:
                return f"{words}, sound and right"
            if words.startswith("run"):
                break
        names = set(ours) | set(expected)
        wrong = sorted(name for name in names if ours.get(name) != expected.get(name))
        if wrong == ["report.html"] and "model/model.json" in what:
            return f"{words}, another name of the model in the report"
        print("WRONG NUMBERS CALLED SOUND:", what, wrong, flush=True)
        return "WRONG NUMBERS CALLED SOUND"


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, model = sys.argv[1:3]
    given = [int(number) for number in sys.argv[3:]]
    seed, count = given + [1, 100][len(given) :]
    with tempfile.TemporaryDirectory() as folder:
        flips = Flips(binary, model, Path(folder))
        kinds = flips.kinds()
        names = list(kinds)
        outcomes = Counter()
        for case in range(count):
            kind = names[case % len(names)]
            outcome, what = flips.flip(f"{seed}/{case}", kind, kinds[kind])
            outcomes[kind, outcome] += 1
            print(f"{case}: {what}: {outcome}", flush=True)
    print(f"\nseed {seed}, {count} flips:")
    for (kind, outcome), n in sorted(outcomes.items()):
        print(f"{kind:<24} {n:>4}  {outcome}")
    wrong = sum(n for (_, outcome), n in outcomes.items() if outcome.startswith("WRONG"))
    crashed = sum(n for (_, outcome), n in outcomes.items() if outcome.startswith("ended"))
    print(f"wrong numbers called sound: {wrong}; ended otherwise than documented: {crashed}")
    return int(wrong + crashed > 0)


if __name__ == "__main__":
    sys.exit(main())
