"""The command from end to end: what it writes, when it refuses, what it leaves behind."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

import export
from aqlens_export import run as run_module
from aqlens_export.check import Differences, open_session
from aqlens_export.errors import ExportError
from aqlens_export.graph import GraphBuilder, build_head
from aqlens_export.run import ExportOptions, export_model

from .conftest import ROOT, TINY

TOKENIZER = TINY / "tokenizer.json"


@pytest.fixture
def random_options(small_config):
    """A function of the output folder: options of a small random export."""

    def options(out, **changes):
        base = {"config": json.dumps(small_config), "tokenizer": TOKENIZER, "threads": 1}
        return ExportOptions(out=out, **{**base, **changes})

    return options


def quiet(_line):
    """In place of print."""


def digests(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(random_options, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        export_model(random_options(tmp_path / name, seed=seed), quiet)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert first["model.onnx"] != other["model.onnx"]
    assert first["tokenizer.json"] == other["tokenizer.json"]


def test_the_number_of_threads_changes_no_byte(random_options, tmp_path):
    for threads in (1, 2):
        export_model(random_options(tmp_path / str(threads), threads=threads), quiet)
    torch.set_num_threads(1)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_model_json_describes_what_lies_beside_it(random_options, small_config, tmp_path):
    export_model(random_options(tmp_path / "m", seed=5), quiet)
    text = (tmp_path / "m" / "model.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["format"] == 1 and found["family"] == "gpt2"
    assert found["d_model"] == small_config["n_embd"]
    for key in ("n_layer", "n_head", "vocab_size", "n_positions"):
        assert found[key] == small_config[key]
    assert found["source"] == {"name": "random-weights", "revision": None, "random_seed": 5}
    assert set(found["files"]) == {"model.onnx", "head.onnx", "tokenizer.json"}
    for name, seal in found["files"].items():
        data = (tmp_path / "m" / name).read_bytes()
        assert seal == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert str(tmp_path) not in text


def test_a_folder_is_named_by_its_last_component(tmp_path):
    export_model(ExportOptions(tmp_path / "m", model=str(TINY / "checkpoint"), threads=1), quiet)
    found = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert found["source"] == {"name": "checkpoint", "revision": None, "random_seed": None}


def test_a_hub_model_is_recorded_with_its_commit(tmp_path):
    """The hub's files as its client caches them, read without a network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(TINY / "checkpoint", cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    command = [sys.executable, "export/export.py", "someone/tiny", "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "m")],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert found["source"] == {"name": "someone/tiny", "revision": commit, "random_seed": None}
    assert digests(tmp_path / "m")["model.onnx"] == digests(TINY)["model.onnx"]


def test_a_model_that_nobody_has_is_named(tmp_path):
    command = [sys.executable, "export/export.py", "someone/nothing", "--out", str(tmp_path / "m")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "error: cannot load someone/nothing" in done.stderr
    assert "copy the model's folder here" in done.stderr
    assert not (tmp_path / "m").exists()


def test_large_weights_go_to_a_data_file_that_the_runtime_finds(random_options, tmp_path):
    export_model(random_options(tmp_path / "inline"), quiet)
    export_model(random_options(tmp_path / "beside", inline_limit=0), quiet)
    found = json.loads((tmp_path / "beside" / "model.json").read_text(encoding="utf-8"))
    names = {"model.onnx", "model.onnx.data", "head.onnx", "tokenizer.json"}
    assert set(found["files"]) == names
    for name in ("model.onnx", "head.onnx"):
        onnx.checker.check_model(str(tmp_path / "beside" / name))
    ids = np.array([[5, 6, 7]])
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    one, two = (
        open_session(tmp_path / name / "model.onnx", 1).run(None, given)
        for name in ("inline", "beside")
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    rows = {"hidden": np.linspace(-3, 3, 5 * 16, dtype=np.float32).reshape(5, 16)}
    one, two = (
        open_session(tmp_path / name / "head.onnx", 1).run(None, rows)[0]
        for name in ("inline", "beside")
    )
    assert np.array_equal(one, two)
    # Both graphs read one copy of the unembedding.
    graph, head = (
        onnx.load(tmp_path / "beside" / name, load_external_data=False).graph
        for name in ("model.onnx", "head.onnx")
    )
    addresses = {w.name: str(w.external_data) for w in graph.initializer if w.external_data}
    assert {w.name for w in head.initializer} == {"ln_f.scale", "ln_f.bias", "wte"}
    for weight in head.initializer:
        assert str(weight.external_data) == addresses[weight.name]
    # Exported over it without the data file, nothing stale stays behind.
    export_model(random_options(tmp_path / "beside"), quiet)
    assert digests(tmp_path / "beside") == digests(tmp_path / "inline")


def test_a_folder_of_something_else_is_refused_and_untouched(random_options, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"has files in it but no model\.json of aqlens"):
        export_model(random_options(tmp_path), quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused_as_the_folder(random_options, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ExportError, match="is a file: name a folder"):
        export_model(random_options(tmp_path / "out"), quiet)


def test_an_empty_folder_and_a_model_folder_are_taken(random_options, tmp_path):
    out = tmp_path / "m"
    out.mkdir()
    export_model(random_options(out, seed=1), quiet)
    (out / "notes.md").write_text("kept")
    before = digests(out)
    export_model(random_options(out, seed=2), quiet)
    after = digests(out)
    assert before["model.onnx"] != after["model.onnx"]
    assert before["notes.md"] == after["notes.md"]


def test_the_folder_that_the_checkpoint_lies_in_is_taken(random_options, tmp_path):
    checkpoint = tmp_path / "m" / "checkpoint"
    export_model(random_options(tmp_path / "other", save_checkpoint=checkpoint), quiet)
    export_model(ExportOptions(tmp_path / "m", model=str(checkpoint), threads=1), quiet)
    assert (checkpoint / "model.safetensors").is_file()
    same = [(tmp_path / name / "model.onnx").read_bytes() for name in ("m", "other")]
    assert same[0] == same[1]


def test_a_checkpoint_folder_itself_is_refused(random_options, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    export_model(random_options(tmp_path / "other", save_checkpoint=checkpoint), quiet)
    with pytest.raises(ExportError, match="name a new folder"):
        export_model(ExportOptions(checkpoint, model=str(checkpoint), threads=1), quiet)


@pytest.mark.parametrize("broken", ["stream.1.mlp", "block.0.attention.scores", "logits"])
def test_a_graph_that_computes_something_else_is_not_kept(
    random_options, tmp_path, monkeypatch, broken
):
    plain = GraphBuilder.node

    def node(self, op, inputs, output, **attributes):
        if output == broken:
            plain(self, op, inputs, f"{output}.right", **attributes)
            self.weight(f"{output}.factor", np.array(1.001, np.float32))
            op, inputs, attributes = "Mul", [f"{output}.right", f"{output}.factor"], {}
        return plain(self, op, inputs, output, **attributes)

    monkeypatch.setattr(GraphBuilder, "node", node)
    with pytest.raises(ExportError, match="does not compute what PyTorch computes"):
        export_model(random_options(tmp_path / "m"), quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [1e-3, 1.0])
def test_a_head_that_computes_something_else_is_not_kept(
    random_options, tmp_path, monkeypatch, extra
):
    def other_norm(model, weights):
        head = build_head(model, weights)
        (norm,) = (node for node in head.graph.node if node.op_type == "LayerNormalization")
        (epsilon,) = (a for a in norm.attribute if a.name == "epsilon")
        epsilon.f += extra
        return head

    monkeypatch.setattr(run_module, "build_head", other_norm)
    with pytest.raises(ExportError, match=r"head\.onnx on hidden\.0"):
        export_model(random_options(tmp_path / "m"), quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_earlier_model_alone(random_options, tmp_path, monkeypatch):
    out = tmp_path / "m"
    export_model(random_options(out, seed=1), quiet)
    before = digests(out)

    def fail(*_arguments):
        raise ExportError("as if the check had failed")

    monkeypatch.setattr(run_module, "check_export", fail)
    with pytest.raises(ExportError):
        export_model(random_options(out, seed=2), quiet)
    assert digests(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_not_a_number_is_a_difference():
    with pytest.raises(ExportError):
        Differences().note("hidden", float("nan"), "hidden.0")


@pytest.mark.parametrize(
    "arguments,message",
    [
        ([], "name a MODEL"),
        (["gpt2", "--random-weights"], "goes without MODEL"),
        (["--random-weights"], "needs --config JSON and --tokenizer FILE"),
        (["gpt2", "--config", "{}"], "go with --random-weights only"),
    ],
)
def test_a_contradicting_command_line_exits_with_2(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        export.main([*arguments, "--out", str(tmp_path / "m")])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "config,message",
    [
        ("nowhere.json", "no such file"),
        ("{", "not JSON"),
        ("{}", "n_embd, n_head, n_layer, n_positions, vocab_size missing"),
        ({"n_heads": 2}, "unknown key n_heads; known are"),
        ({"n_head": 3}, "n_embd 16 is not a multiple of n_head 3"),
        ({"n_layer": 0}, "n_layer is 0; give a whole number above 0"),
        ({"n_embd": 16.5}, "n_embd is 16.5; give a whole number"),
    ],
)
def test_a_wrong_config_is_named(small_config, config, message, capsys, tmp_path):
    text = json.dumps({**small_config, **config}) if isinstance(config, dict) else config
    arguments = ["--random-weights", "--config", text, "--tokenizer", str(TOKENIZER)]
    assert export.main([*arguments, "--out", str(tmp_path / "m")]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_script_runs_from_the_projects_root(tmp_path):
    command = [sys.executable, "export/export.py", str(TINY / "checkpoint"), "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "m")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "largest differences from PyTorch" in done.stdout
    assert "aqlens check" in done.stdout
