"""Every family that the exporter knows, as a tiny model: its four graphs against PyTorch."""

import hashlib

import onnx
import pytest

from aqlens_export.graphs import GRAPHS, check_graphs, write_spec
from aqlens_export.read import read_spec
from aqlens_export.refusals import refuse_config
from aqlens_export.subject import subject_of
from aqlens_export.twin import make_twin

from .tiny_families import FAMILIES, make_config, make_model

POSITIONS = 96

ALLOWED = {
    **{"hidden": 3e-6, "attention": 1e-5, "logits": 1e-6, "head": 3e-7},
    **{"past": 5e-6, "past_attention": 1e-5, "patch": 1e-6},
    **{"elsewhere": 5e-6, "elsewhere_attention": 1e-5},
}
"""Largest differences, a third of what the check allows where it can be."""


def check(folder, model):
    spec = read_spec(model, POSITIONS)
    write_spec(folder, spec)
    return check_graphs(folder, subject_of(model, spec))


@pytest.mark.parametrize("name", FAMILIES)
def test_all_four_graphs_compute_what_the_family_s_own_code_computes(name, tmp_path):
    model = make_model(*FAMILIES[name])
    refuse_config(model.config, name)
    found = check(tmp_path, model)
    assert found.prompts > 40
    for kind, value in found.largest.items():
        assert 0 < value <= ALLOWED[kind], (kind, value, found.places[kind])
    for graph in GRAPHS:
        onnx.checker.check_model(str(tmp_path / graph), full_check=True)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt_neox", "opt 350m", "cohere2"])
def test_the_same_model_gives_the_same_bytes(name, tmp_path):
    found = []
    for copy in "ab":
        folder = tmp_path / copy
        folder.mkdir()
        write_spec(folder, read_spec(make_model(*FAMILIES[name]), POSITIONS))
        files = sorted(folder.iterdir())
        found.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    assert found[0] == found[1]


@pytest.mark.parametrize("name,tied", [("llama", False), ("llama tied", True), ("gemma3", True)])
def test_weights_are_stored_once(name, tied, tmp_path):
    model = make_model(*FAMILIES[name])
    spec = read_spec(model, POSITIONS)
    write_spec(tmp_path, spec)
    assert spec.tied == tied
    tables = sum(part.numel() for pair in spec.tables.values() for part in pair)
    stored = {}
    for graph in GRAPHS:
        for weight in onnx.load(tmp_path / graph, load_external_data=False).graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT and weight.dims:
                facts = {entry.key: entry.value for entry in weight.external_data}
                assert stored.setdefault(weight.name, facts) == facts
    total = sum(int(facts["length"]) for facts in stored.values())
    assert total == 4 * (sum(p.numel() for p in model.parameters()) + tables)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_twin_of_a_family_keeps_what_the_check_must_see(name):
    config = make_config(*FAMILIES[name])
    model, twin = (make_model(*FAMILIES[name]), make_twin(config))
    spec, small = read_spec(model, POSITIONS), read_spec(twin, POSITIONS)

    def kinds(read):
        return {
            (b.attention.window is None, b.attention.rope and b.attention.rope.interleaved)
            for b in read.blocks
        }

    assert kinds(spec) == kinds(small)
    for part in ("final_norm", "project_in", "positions", "logit_cap"):
        assert (getattr(spec, part) is None) == (getattr(small, part) is None)
    assert (spec.shape.n_kv_head < spec.shape.n_head) == (
        small.shape.n_kv_head < small.shape.n_head
    )
    assert spec.blocks[0].mlp.activation == small.blocks[0].mlp.activation


@pytest.mark.parametrize("name", FAMILIES)
def test_a_twin_of_a_family_passes_its_check(name, tmp_path):
    found = check(tmp_path, make_twin(make_config(*FAMILIES[name])))
    assert found.largest["hidden"] < 1e-5
