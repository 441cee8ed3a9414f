"""The command from end to end: what it writes, when it refuses, what it leaves behind."""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from aqlens_export import cli
from aqlens_export import run as run_module
from aqlens_export.errors import ExportError
from aqlens_export.graph import GraphBuilder, build_head
from aqlens_export.graphs import GRAPHS
from aqlens_export.run import ExportOptions, export_model
from aqlens_export.source import from_seed
from aqlens_export.subject import Differences
from aqlens_export.weights import Weights

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
    assert first["model.onnx.data"] != other["model.onnx.data"]
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
    graphs = {"model.onnx", "model.onnx.data", "head.onnx", "past.onnx", "patch.onnx"}
    assert set(found["files"]) == {*graphs, "tokenizer.json"}
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
    made, committed = digests(tmp_path / "m"), digests(TINY)
    for name in ("model.onnx", "model.onnx.data"):
        assert made[name] == committed[name]


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


def test_every_weight_is_stored_once_in_the_data_file(random_options, small_config, tmp_path):
    config = json.dumps({**small_config, "tie_word_embeddings": False})
    export_model(random_options(tmp_path / "m", config=config), quiet)
    source = from_seed(config, 0, TOKENIZER)
    stored = {}
    for name in GRAPHS:
        onnx.checker.check_model(str(tmp_path / "m" / name))
        for weight in onnx.load(tmp_path / "m" / name, load_external_data=False).graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT and weight.dims:
                assert weight.data_location == onnx.TensorProto.EXTERNAL, (name, weight.name)
                facts = {entry.key: entry.value for entry in weight.external_data}
                assert facts.pop("location") == "model.onnx.data"
                assert stored.setdefault(weight.name, facts) == facts, (name, weight.name)
    places = sorted((int(f["offset"]), int(f["length"])) for f in stored.values())
    for (offset, length), (following, _) in itertools.pairwise(places):
        assert offset + length <= following
    assert sum(n for _, n in places) == 4 * sum(p.numel() for p in source.model.parameters())
    assert sum(places[-1]) == (tmp_path / "m" / "model.onnx.data").stat().st_size


def test_large_weights_start_on_a_page_and_small_ones_waste_none(tmp_path):
    weights = Weights(tmp_path)
    added = [
        weights.add(name, np.arange(size, dtype=np.float32))
        for name, size in (("a", 3), ("b", 1 << 14), ("c", 1), ("d", 5))
    ]
    weights.close()
    facts = [{entry.key: entry.value for entry in tensor.external_data} for tensor in added]
    assert [int(f["offset"]) for f in facts] == [0, 4096, 4096 + 65536, 4096 + 65536 + 64]
    assert [int(f["length"]) for f in facts] == [12, 65536, 4, 20]
    data = (tmp_path / "model.onnx.data").read_bytes()
    assert np.array_equal(np.frombuffer(data, np.float32, 1 << 14, 4096), np.arange(1 << 14))


def test_a_model_that_holds_its_weights_itself_is_replaced(random_options, tmp_path):
    """As exporters before 23 November 2026 wrote it: no data file, no graph but the head's."""
    out = tmp_path / "m"
    export_model(random_options(out), quiet)
    after = digests(out)
    onnx.save(onnx.load(out / "model.onnx"), out / "model.onnx")
    for name in ("model.onnx.data", "past.onnx", "patch.onnx"):
        (out / name).unlink()
    export_model(random_options(out), quiet)
    assert digests(out) == after


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
    assert before["model.onnx.data"] != after["model.onnx.data"]
    assert before["notes.md"] == after["notes.md"]


def test_the_folder_that_the_checkpoint_lies_in_is_taken(random_options, tmp_path):
    checkpoint = tmp_path / "m" / "checkpoint"
    export_model(random_options(tmp_path / "other", save_checkpoint=checkpoint), quiet)
    export_model(ExportOptions(tmp_path / "m", model=str(checkpoint), threads=1), quiet)
    assert (checkpoint / "model.safetensors").is_file()
    same = [(tmp_path / name / "model.onnx.data").read_bytes() for name in ("m", "other")]
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

    monkeypatch.setattr(run_module, "check_graphs", fail)
    with pytest.raises(ExportError):
        export_model(random_options(out, seed=2), quiet)
    assert digests(out) == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_full_disk_is_said_in_one_sentence(tmp_path, monkeypatch, capsys):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "check_graphs", full)
    command = [str(TINY / "checkpoint"), "--out", str(tmp_path / "m"), "--threads", "1"]
    assert cli.main(command) == 1
    said = capsys.readouterr().err
    assert "No space left on device; nothing was written" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


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
        cli.main([*arguments, "--out", str(tmp_path / "m")])
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
    assert cli.main([*arguments, "--out", str(tmp_path / "m")]) == 1
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
