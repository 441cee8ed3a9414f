"""Collects the licence texts of everything that is compiled into the program, for the wheel.

Usage: licences.py OUT

Reads `cargo metadata` and the sources that cargo has fetched; fails when a crate has no text and
its licence is none whose text is the same for everybody.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXTS = re.compile(r"(?i)^(licen[cs]e|copying|notice|unlicense|copyright)([-_.].*)?$")
#: Sources of C libraries that some crates carry, and of what is only tested with.
ELSEWHERE = re.compile(r"/(tests?|examples?|benches|doc|docs|contrib|programs)/")

HEAD = """\
Licences of what is compiled into the program `aqlens`
======================================================

Each text stands once, below the crates that it comes with. The program itself is under MIT or
Apache 2.0, at your choice: LICENSE-MIT, LICENSE-APACHE. ONNX Runtime is no part of it.

"""

RUST = """\
The Rust standard library (MIT OR Apache-2.0)
---------------------------------------------

Copyright (c) The Rust Project Contributors, https://github.com/rust-lang/rust: used under the MIT
licence, with the same words as those of LICENSE-MIT.

"""


def cargo(*arguments):
    """What cargo prints."""
    command = [os.environ.get("CARGO", "cargo"), *arguments, "--locked"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def host():
    """The kind of machine that the program is built on, and for."""
    said = subprocess.run(["rustc", "-vV"], cwd=ROOT, capture_output=True, text=True, check=True)
    return re.search(r"(?m)^host: (\S+)$", said.stdout).group(1)


def crates():
    """The packages that the program is linked from: no tools of the build, no tests."""
    tree = ["tree", "--target", host(), "--prefix", "none", "--edges", "normal,no-proc-macro"]
    linked = {tuple(line.split()[:2]) for line in cargo(*tree, "--format", "{p}").splitlines()}
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    used = [
        package
        for package in packages
        if (package["name"], f"v{package['version']}") in linked and package["name"] != "aqlens"
    ]
    return sorted(used, key=lambda one: (one["name"], one["version"]))


def texts_of(package):
    """The licence texts in the sources of a package, those of C libraries in it too."""
    folder = Path(package["manifest_path"]).parent
    named = [folder / package["license_file"]] if package["license_file"] else []
    found = [path for path in folder.rglob("*") if TEXTS.match(path.name) and path.is_file()]
    kept = [
        path for path in found if not ELSEWHERE.search(f"/{path.relative_to(folder).as_posix()}")
    ]
    sources = {".rs", ".c", ".h", ".py"}
    # zstd comes under either of two licences: COPYING is the other one.
    folders = {path.parent for path in kept if path.name.upper().startswith("LICENSE")}
    kept = [path for path in kept if path.name != "COPYING" or path.parent not in folders]
    whole = dict.fromkeys([*named, *sorted(path for path in kept if path.suffix not in sources)])
    texts = [path.read_text(encoding="utf-8", errors="replace").strip() for path in whole]
    return list({" ".join(text.split()): text for text in texts}.values())


def stand_in(package):
    """The text for a package that has none in its sources."""
    licence = package["license"] or ""
    if "Apache-2.0" in licence and "AND" not in licence:
        return (ROOT / "LICENSE-APACHE").read_text().strip()
    if re.search(r"\bMIT\b", licence):
        words = (ROOT / "LICENSE-MIT").read_text()
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return re.sub(r"(?m)^Copyright .*$", f"Copyright (c) {authors}", words).strip()
    sys.exit(f"error: {package['name']} ({licence}) has no licence text in its sources: add one")


def main():
    by_text, of_repository = {}, {}
    packages = crates()
    own = {package["id"]: texts_of(package) for package in packages}
    for package in packages:
        if package["repository"]:
            of_repository.setdefault(package["repository"], []).extend(own[package["id"]])
    for package in packages:
        # Of several crates in one repository, some are published without its licence.
        from_beside = of_repository.get(package["repository"])
        for text in own[package["id"]] or from_beside or [stand_in(package)]:
            words = " ".join(text.split())
            by_text.setdefault(words, (text, []))[1].append(package)
    parts = [HEAD, RUST]
    for text, of in by_text.values():
        for package in of:
            link = f", {package['repository']}" if package["repository"] else ""
            parts.append(f"{package['name']} {package['version']} ({package['license']}){link}\n")
        parts.append("-" * 60 + f"\n\n{text}\n\n\n")
    Path(sys.argv[1]).write_text("".join(parts), encoding="utf-8")
    print(f"{sys.argv[1]}: {len(packages)} crates, {len(by_text)} texts")


if __name__ == "__main__":
    main()
