"""Verdict, summary, lineage, report, and what a notebook shows; the demo; the program's place."""

import html
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import aqlens


def test_the_verdict_is_what_the_summary_says(kinds):
    summary = json.loads((kinds.path / "summary.json").read_text())
    assert kinds.summary == summary
    scenes = summary["scenarios"][0]
    own, *evidence = kinds.verdict.about("scenes")
    assert own.measure == "notebook" and own.verdict == scenes["verdict"]
    assert own.value == scenes["value"] and own.reason == scenes["reason"]
    assert [one.measure for one in evidence] == [one["measure"] for one in scenes["evidence"]]
    for one, said in zip(evidence, scenes["evidence"]):
        assert (one.verdict, one.value, one.p) == (said["verdict"], said["delta"], said["p"])
    assert len(kinds.verdict) == sum(1 + len(s["evidence"]) for s in summary["scenarios"])
    assert kinds.verdict.about("scenes", "jsd_bits")[0].layer == -1
    assert scenes["reason"] in str(kinds.verdict)


def test_a_notebook_shows_the_verdict_and_the_report(kinds):
    shown = kinds._repr_html_()
    assert shown.count("<tr>") == 1 + len(kinds.verdict)
    for word in ("kinds", "too-long", "not_testable", "prompts"):
        assert word in shown
    framed = kinds.report._repr_html_()
    inside = framed.split('srcdoc="')[1].split('"')[0]
    assert html.unescape(inside) == kinds.report.html
    assert kinds.report.html == (kinds.path / "report.html").read_text()


def test_names_from_a_run_are_no_html(tmp_path):
    from conftest import TINY

    name = "<script>alert(1)</script>"
    run = aqlens.run(TINY, tmp_path / "a&b", settings={"scenarios.odd-texts.name": name})
    shown = run._repr_html_()
    assert name not in shown and html.escape(name) in shown and "a&amp;b" in shown


def test_lineage_and_prompts_say_where_numbers_come_from(kinds):
    assert kinds.lineage["model"] == "tiny" and len(kinds.lineage["model_sha256"]) == 64
    prompts = kinds.prompts
    assert prompts.height == kinds.record["counts"]["prompts"]
    assert {"text", "token_ids", "input_start"} <= set(prompts.columns)
    assert kinds.name == "kinds" and repr(kinds) == f"Run({str(kinds.path)!r})"


def test_the_demo_runs_and_answers_at_once_again(demo):
    own = [one for one in demo.verdict if one.measure == "notebook"]
    by_scenario = {one.scenario: one.verdict for one in own}
    assert by_scenario == {"red-ball": "supported", "fire": "supported"}
    folder = demo.path.parents[1]
    before = (demo.path / "report.html").stat().st_mtime_ns
    assert aqlens.demo(folder).lineage == demo.lineage
    assert (demo.path / "report.html").stat().st_mtime_ns == before
    (folder / "data" / "demo" / "model.onnx").write_bytes(b"mine")
    with pytest.raises(aqlens.WrongPipeline, match="nothing was written"):
        aqlens.demo(folder)


def test_the_module_is_the_program():
    command = [sys.executable, "-m", "aqlens", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    direct = subprocess.run([aqlens.find_bin(), "--version"], capture_output=True, text=True)
    assert ended.stdout == direct.stdout != ""
    wrong = subprocess.run([*command[:-1], "nonsense"], capture_output=True, check=False)
    assert wrong.returncode == 2


def test_the_program_is_looked_for_where_it_may_be(monkeypatch, tmp_path):
    program = tmp_path / "bin" / "aqlens"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("AQLENS", str(program))
    assert aqlens.find_bin() == str(program)
    monkeypatch.setenv("AQLENS", str(tmp_path / "none"))
    with pytest.raises(aqlens.NoProgram, match="AQLENS names"):
        aqlens.find_bin()
    monkeypatch.delenv("AQLENS")
    monkeypatch.setattr("aqlens._program._places", lambda: iter([tmp_path / "elsewhere"]))
    monkeypatch.setenv("PATH", os.pathsep.join(["/nowhere", str(program.parent)]))
    assert aqlens.find_bin() == str(program)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(aqlens.NoProgram, match="elsewhere"):
        aqlens.find_bin()


def test_a_folder_that_pip_filled_has_the_program_beside_the_package(monkeypatch, tmp_path):
    """`pip install --target DIR`: DIR/aqlens and DIR/bin/aqlens."""
    from aqlens import _program

    monkeypatch.delenv("AQLENS", raising=False)
    package = tmp_path / "aqlens"
    package.mkdir()
    program = tmp_path / "bin" / "aqlens"
    program.parent.mkdir()
    program.write_text("")
    monkeypatch.setattr(_program, "__file__", str(package / "_program.py"))
    monkeypatch.setattr(_program.sysconfig, "get_path", lambda *_, **__: str(tmp_path / "none"))
    assert Path(aqlens.find_bin()) == program


def test_the_version_is_the_installed_one():
    try:
        assert aqlens.__version__ == version("aqlens")
    except PackageNotFoundError:
        assert aqlens.__version__ == "unknown"
