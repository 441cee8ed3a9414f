"""What the program does, called from Python."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aqlens import _settings
from aqlens._errors import AqlensError, Problem
from aqlens._program import ended_of, environment, error_of, find_bin, json_of
from aqlens._progress import Log
from aqlens._run import Run

PathLike = str | os.PathLike[str]


def run(
    pipeline: PathLike,
    run_dir: PathLike | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    threads: int | None = None,
    onnxruntime: PathLike | None = None,
    shard: str | None = None,
    shards: str | None = None,
    join: bool = False,
    finish: bool = False,
    recheck: bool = False,
    progress: bool = True,
    **keywords: Any,
) -> Run:
    """Runs a pipeline and returns its run; what is done already is not done again.

    Args:
        pipeline: the pipeline file (YAML).
        run_dir: where the run goes; ``runs/NAME`` in the working directory when left out.
        settings: fields of the pipeline for this run: ``{"stages": {"tokens": {"top_k": 7}}}`` or
            ``{"stages.tokens.top_k": 7}``. Paths among them are relative to the working directory.
        threads: threads for the model and the analyses; one a core when left out.
        onnxruntime: the ONNX Runtime library, its folder, or a Python environment that has it.
        shard: only this share of the shards, ``"K/N"``; ``finish`` then ends the run.
        shards: only the shards of these numbers, ``"3,7,12-20"``.
        join: only shards that nobody else is working on, until there are none.
        finish: only what is over the whole run.
        recheck: hash every file first and make again what was altered.
        progress: show a bar of prompts, when `tqdm` is installed.
        keywords: as `settings`, with ``__`` for each step down: ``stages__tokens__top_k=7``.

    Raises:
        WrongPipeline: with every problem of the pipeline in ``problems``.
        Failed, Interrupted, BrokenError: what the program said; the same call again continues.
        Later: the folder is in use, or the system has no room: the same call may do it later.

    Prompts that were skipped are in table ``skipped``; ``Run.n_skipped`` counts them.
    """
    sets = _settings.arguments(settings, keywords)
    command = [find_bin(), "run", os.fspath(pipeline), *sets, "--log", "json", "--quiet"]
    if run_dir is not None:
        command += ["--run-dir", os.fspath(run_dir)]
    command += _runtime(threads, onnxruntime)
    if shard is not None:
        command += ["--shard", shard]
    if shards is not None:
        command += ["--shards", shards]
    command += ["--join"] * join
    command += ["--finish"] * finish + ["--recheck"] * recheck
    log = _followed(command, Log(progress))
    if log.exit_code not in (0, 3):
        error = error_of(log.exit_code, log.error)
        if error.exit_code == 2:
            error.problems = _problems(pipeline, sets) or (Problem(str(error)),)
        raise error
    return Run(log.run_dir)


def check(
    pipeline: PathLike,
    *,
    settings: Mapping[str, Any] | None = None,
    threads: int | None = None,
    onnxruntime: PathLike | None = None,
    **keywords: Any,
) -> dict[str, Any]:
    """What a run of the pipeline will take, as `aqlens check --json` says it: ``prompts``,
    ``tokens``, ``shards``, ``raw_bytes``, ``kept_bytes``, ``memory_bytes``, ``tokens_per_second``,
    ``seconds`` (of the model alone), ``designs`` (what each scenario can decide), ``warnings``, ...

    Raises:
        WrongPipeline: with every problem of the pipeline in ``problems``.
        Failed: the model cannot be opened, or the machine lacks something.
    """
    sets = _settings.arguments(settings, keywords)
    return _checked(pipeline, [*sets, *_runtime(threads, onnxruntime)])


def status(run_dir: PathLike) -> dict[str, Any]:
    """How far a run is, as `aqlens status --json` says it: ``shards``, ``n_done``, ``done`` and
    ``missing`` as in ``"3,7,12-20"``, ``held`` (shard and holder), ``at_work``,
    ``prompts_per_second``, ``seconds_left``, ...

    Raises:
        WrongPipeline: the folder holds no run.
    """
    progress: dict[str, Any] = json_of(["status", os.fspath(run_dir), "--json"])
    return progress


def demo(folder: PathLike = "aqlens-demo") -> Run:
    """Writes the demo model and its pipelines into a folder, runs the notebook's experiment there,
    and returns its run. Again, it answers at once.

    Raises:
        WrongPipeline: something else is in the folder under the demo's names; it stays as it is.
    """
    pipeline = Path(folder) / "pipelines" / "experiment-037.yml"
    command = [find_bin(), "demo", os.fspath(folder)]
    ended = subprocess.run(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode != 0:
        raise error_of(ended.returncode, ended.stderr)
    return Run(pipeline.parents[1] / "runs" / "experiment-037")


@cache
def schema() -> dict[str, Any]:
    """Every table that the installed program writes, its columns with types, units and meanings,
    the status words, and the stages: the document of `aqlens schema --json`."""
    document: dict[str, Any] = json_of(["schema", "--json"])
    return document


def statuses() -> dict[str, str]:
    """The words of every ``status`` column and what they mean; a value that could not be computed
    is null, and its row's status says why."""
    return {entry["word"]: entry["meaning"] for entry in schema()["statuses"]}


def _runtime(threads: int | None, onnxruntime: PathLike | None) -> list[str]:
    found = [] if threads is None else ["--threads", str(threads)]
    return found if onnxruntime is None else [*found, "--onnxruntime", os.fspath(onnxruntime)]


def _followed(command: list[str], log: Log) -> Log:
    """Runs the command and has its log followed, line by line."""
    with subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            with log:
                for line in process.stderr:
                    log.hear(line)
        except BaseException:
            # A keyboard's interrupt mostly came to it, too; whatever it is asked, nothing is left
            # half-written.
            process.terminate()
            process.wait()
            raise
        log.ended(process.wait())
    return log


def _checked(pipeline: PathLike, arguments: list[str]) -> dict[str, Any]:
    ended = ended_of(["check", os.fspath(pipeline), "--json", *arguments])
    if ended.returncode in (0, 3):
        plan: dict[str, Any] = json.loads(ended.stdout)
        return plan
    error = error_of(ended.returncode, ended.stderr)
    if ended.stdout.strip():
        problems = json.loads(ended.stdout).get("problems", [])
        error.problems = tuple(
            Problem(one["message"], one.get("at"), one.get("help")) for one in problems
        )
    raise error


def _problems(pipeline: PathLike, sets: list[str]) -> tuple[Problem, ...]:
    """Every problem of a pipeline that does not run."""
    try:
        _checked(pipeline, sets)
    except AqlensError as error:
        return error.problems
    return ()
