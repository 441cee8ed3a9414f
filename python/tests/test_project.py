"""What stands in several files of the project and must say one thing: versions."""

import re
import subprocess
import sys

from conftest import ROOT

import aqlens

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it along there.
    import tomli as tomllib


def toml(name):
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def test_the_version_stands_in_cargo_toml_and_nowhere_else():
    version = toml("Cargo.toml")["package"]["version"]
    (locked,) = [one for one in toml("Cargo.lock")["package"] if one["name"] == "aqlens"]
    assert locked["version"] == version
    project = toml("pyproject.toml")["project"]
    assert "version" not in project and project["dynamic"] == ["version"]
    said = subprocess.run([aqlens.find_bin(), "--version"], capture_output=True, text=True)
    assert said.stdout == f"aqlens {version}\n"
    for module in (ROOT / "python" / "aqlens").glob("*.py"):
        assert version not in module.read_text(encoding="utf-8"), module


def test_the_changelog_has_this_version_or_what_comes_after_it():
    version = toml("Cargo.toml")["package"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"(?m)^## \[?([^\]\s]+)", text)
    assert sections and sections[0] in ("Unreleased", version), sections[:1]
    released = [section for section in sections if section != "Unreleased"]
    numbers = [tuple(map(int, section.split("."))) for section in released]
    assert numbers == sorted(numbers, reverse=True), "newest first"
    assert all(number <= tuple(map(int, version.split("."))) for number in numbers), version


def test_the_extra_export_has_the_versions_that_the_exporter_is_developed_with():
    exporter = toml("export/pyproject.toml")["project"]
    developed = [*exporter["dependencies"], *exporter["optional-dependencies"]["gguf"]]
    marked = [f"{one}; python_version >= '3.11'" for one in developed]
    assert toml("pyproject.toml")["project"]["optional-dependencies"]["export"] == marked
    assert exporter["requires-python"] == ">=3.11"
    # Its own version is in the model folders that it makes: it is another thing than the program's.
    assert exporter["dynamic"] == ["version"]


def test_the_release_workflow_calls_what_there_is():
    """It has not run anywhere, so its commands are at least those of the project."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    commands = re.findall(r"(?m)^ +- run: (.+)$", text)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [one.removeprefix("make ") for one in commands if one.startswith("make ")]
    assert targets == ["dist", "test-wheel"]
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target
    scripts = {script for one in commands for script in re.findall(r"packaging/\S+\.py", one)}
    assert len(scripts) == 2 and all((ROOT / script).is_file() for script in scripts)
    for tool in ("maturin", r"cyclonedx-python-lib\[json-validation\]"):
        (pinned,) = re.findall(rf"{tool}==[\d.]+", " ".join(commands))
        assert pinned in makefile, pinned
