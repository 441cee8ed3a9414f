"""What `python -m aqlens.ray` says of a wrong pipeline, a machine without the model, no GPU, a full disk, and a
prompt that ends its process; each with its exit code."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import nodes
import pytest
from test_ray import ended


def program(folder: Path, script: str) -> str:
    """A program in the place of aqlens: `$REAL` is the true one, `$LAST` the arguments."""
    path = folder / "aqlens"
    path.write_text(f'#!/bin/bash\nREAL="{nodes.AQLENS}"\n{script}\nexec "$REAL" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_wrong_pipeline_ends_with_2_and_what_is_wrong(tmp_path, second):
    path = nodes.tiny(tmp_path)
    path.write_text(path.read_text().replace("kind: extract", "kind: extrakt"))
    code, _, err = ended(nodes.driver(path, tmp_path / "run"))
    assert code == 2, err
    assert "extrakt" in err and "no machine of the cluster can do this" in err
    assert not (tmp_path / "run/receipts").exists()


def test_a_pipeline_that_is_not_there_ends_with_2(tmp_path):
    code, _, err = ended(nodes.driver(tmp_path / "none.yml", tmp_path / "run"))
    assert code == 2 and "there is no pipeline" in err


@pytest.mark.parametrize("mode, token", [("disabled", "0" * 64), ("token", None)])
def test_a_driver_without_the_clusters_token_ends_with_2_and_what_to_set(tmp_path, head, mode, token):
    other = tmp_path / "token"
    if token:
        other.write_text(token)
    variables = {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN_PATH": str(other)}
    code, _, err = ended(nodes.driver(nodes.tiny(tmp_path), tmp_path / "run", **variables))
    assert code == 2, err
    assert "no Ray cluster" in err and "RAY_AUTH_TOKEN_PATH" in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_machine_without_the_model_is_named_and_the_other_does_all(tmp_path, head, tiny_whole):
    path = nodes.tiny(tmp_path)
    lacks = program(tmp_path, 'case "$*" in *run*) set -- "$@" --set model=/nowhere;; esac')
    nodes.start(nodes.SECOND, AQLENS=lacks)
    try:
        run = tmp_path / "run"
        code, _, err = ended(nodes.driver(path, run))
        assert code == 0, err
        assert f"({nodes.SECOND})" in err and "/nowhere" in err
        assert nodes.bytes_of(run) == tiny_whole
    finally:
        nodes.end(nodes.SECOND)


def test_a_machine_whose_disk_is_full_rests_and_the_other_does_all(tmp_path, head, tiny_whole):
    path = nodes.tiny(tmp_path)
    said = "error: cannot write x: No space left on device (os error 28)"
    end = '{\\"event\\":\\"end\\",\\"exit_code\\":75,\\"error\\":\\"' + said + '\\",\\"retry\\":true}'
    full = program(tmp_path, f'case "$*" in *run*) echo "{end}" >&2; exit 75;; esac')
    nodes.start(nodes.SECOND, AQLENS=full)
    try:
        run = tmp_path / "run"
        code, _, err = ended(nodes.driver(path, run))
        assert code == 0, err
        assert "No space left" in err and nodes.SECOND in err
        assert nodes.bytes_of(run) == tiny_whole
    finally:
        nodes.end(nodes.SECOND)


def test_a_cluster_without_gpus_ends_with_what_to_ask_for(tmp_path, second):
    path = nodes.tiny(tmp_path)
    code, _, err = ended(nodes.driver(path, tmp_path / "run", "--num-gpus", "1", "--patience", "3"))
    assert code == 2, err
    assert "no machine of the cluster has 1 cores and 1 GPUs" in err


def test_no_cuda_on_machines_that_have_gpus_by_name_alone(tmp_path, second):
    path = nodes.tiny(tmp_path)
    code, _, err = ended(nodes.driver(path, tmp_path / "run", "--provider", "cuda"))
    assert code in (1, 2), err
    assert "no machine of the cluster can do this" in err and "cuda" in err.lower()


DIES = """
import json, os, signal, subprocess, sys

# The real one's parent is this process.
words = ["--with-parent" if word.startswith("--with-parent") else word for word in sys.argv[1:]]
child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
for line in child.stderr:
    sys.stderr.write(line)
    sys.stderr.flush()
    event = json.loads(line)
    if event["event"] == "started" and event.get("shard") == 3:
        child.kill()
        os.kill(os.getpid(), signal.SIGKILL)
sys.exit(child.wait())
"""


def test_a_shard_that_kills_its_process_is_named_and_the_rest_is_done(tmp_path, second, stub):
    """Played by a program that dies when its shard 3 begins, on both machines."""
    path, run = nodes.tiny(tmp_path), tmp_path / "run"
    (tmp_path / "dies.py").write_text(DIES)
    stub.write_text(f"exec {sys.executable} {tmp_path / 'dies.py'} {nodes.AQLENS} \"$@\"\n")
    code, _, err = ended(nodes.driver(path, run))
    assert code == 1, err
    assert "error: shard 3 failed 3 times: ended with -9" in err
    assert "all other shards are done" in err
    status = subprocess.run([nodes.AQLENS, "status", run, "--json"], capture_output=True, text=True)
    assert json.loads(status.stdout)["missing"] == "3"
    assert nodes.gone(run) == []
    # With the cause gone the same command ends it.
    stub.write_text("")
    code, _, err = ended(nodes.driver(path, run))
    assert code == 0, err
