"""float16 and bfloat16: what the graphs hold, that they are the model's, and what they cost."""

import json
from itertools import product

import onnx
import pytest
import torch
from onnx import TensorProto
from transformers import GPT2LMHeadModel

from aqlens_export import accuracy
from aqlens_export.accuracy import PLAIN
from aqlens_export.calm import HEADROOM, Calm, Moved
from aqlens_export.check import open_session, pad_batch
from aqlens_export.dtypes import ONNX_TYPES, TYPES, narrowed, round_weights, widen
from aqlens_export.errors import ExportError
from aqlens_export.graphs import GRAPHS, check_graphs, write_spec
from aqlens_export.options import DTYPES
from aqlens_export.read import read_spec
from aqlens_export.run import ExportOptions, export_model
from aqlens_export.source import from_checkpoint
from aqlens_export.subject import subject_of
from aqlens_export.twin import check_twin, make_twin

from .conftest import TINY
from .test_card import write_checkpoint
from .test_mutants import MUTANTS, POSITIONS
from .tiny_families import FAMILIES, make_config, make_model

NARROW = ["f16", "bf16"]


def rounded(family, dtype):
    """A tiny model with rounded weights."""
    model = make_model(*FAMILIES[family])
    round_weights(model, dtype)
    return model


def export(checkpoint, out, dtype):
    said = []
    options = ExportOptions(out, model=str(checkpoint), threads=1, dtype=dtype)
    export_model(options, said.append)
    return json.loads((out / "model.json").read_text(encoding="utf-8")), "\n".join(said)


def types_of(path):
    """Types of a graph's weights in the data file, its ends, and of what its products read."""
    graph = onnx.load(path, load_external_data=False).graph
    stored = {
        tensor.name: tensor.data_type
        for tensor in graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    ends = {end.type.tensor_type.elem_type for end in [*graph.input, *graph.output]}
    made = {name: node.op_type for node in graph.node for name in node.output}
    products = [n for n in graph.node if n.op_type in ("Gemm", "MatMul")]
    given = {made.get(name, stored.get(name)) for node in products for name in node.input}
    return stored, ends, given


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("family", ["llama tied", "gemma3", "opt 350m", "cohere", "falcon 40b"])
def test_narrow_graphs_are_the_model_s(family, dtype, tmp_path):
    """In float32, with the numbers that the weights were rounded to, at 1e-5."""
    model = rounded(family, dtype)
    spec = read_spec(model, POSITIONS)
    write_spec(tmp_path, spec, dtype)
    check_graphs(tmp_path, subject_of(model, spec), dtype=dtype)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("dtype", NARROW)
def test_weights_and_products_are_narrow_and_the_ends_float32(dtype, tmp_path):
    write_spec(tmp_path, read_spec(rounded("gemma3", dtype), POSITIONS), dtype)
    narrow = ONNX_TYPES[TYPES[dtype]]
    for name in GRAPHS:
        stored, ends, given = types_of(tmp_path / name)
        wide = {weight for weight, kind in stored.items() if kind != narrow}
        assert wide and all(w.endswith(".scale") or w.startswith("rope") for w in wide)
        assert ends <= {TensorProto.FLOAT, TensorProto.INT64}
        assert given <= {narrow, "Cast", "Transpose", "Reshape"}
        onnx.checker.check_model(str(tmp_path / name), full_check=True)


def test_graphs_of_float32_have_no_casts(tmp_path):
    write_spec(tmp_path, read_spec(make_model(*FAMILIES["gemma3"]), POSITIONS))
    for name in GRAPHS:
        nodes = onnx.load(tmp_path / name, load_external_data=False).graph.node
        assert "Cast" not in {node.op_type for node in nodes}


@pytest.mark.parametrize("dtype", NARROW)
def test_widened_graphs_hold_the_rounded_weights_bit_for_bit(dtype, tmp_path):
    spec = read_spec(rounded("gemma2", dtype), POSITIONS)
    for name in ("narrow", "wide", "plain"):
        (tmp_path / name).mkdir()
    write_spec(tmp_path / "narrow", spec, dtype)
    write_spec(tmp_path / "plain", spec)
    widen(tmp_path / "narrow", tmp_path / "wide", GRAPHS)
    data = [(tmp_path / name / "model.onnx.data").read_bytes() for name in ("wide", "plain")]
    assert data[0] == data[1]
    nodes = onnx.load(tmp_path / "wide" / "model.onnx", load_external_data=False).graph.node
    casts = [node.attribute[0].i for node in nodes if node.op_type == "Cast"]
    assert casts and set(casts) == {TensorProto.FLOAT}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_refused_in_bfloat16_too(name, tmp_path):
    family, mutate = MUTANTS[name]
    model = rounded(family, "bf16")
    spec = read_spec(model, POSITIONS)
    subject = subject_of(model, read_spec(model, POSITIONS))
    mutate(spec)
    write_spec(tmp_path, spec, "bf16")
    with pytest.raises(ExportError, match=r"does not compute|is not 0"):
        check_graphs(tmp_path, subject, dtype="bf16")


def test_a_weight_that_is_rounded_once_more_is_refused(tmp_path):
    """Weights of float16 in a graph of bfloat16 would be other weights."""
    model = rounded("llama", "f16")
    spec = read_spec(model, POSITIONS)
    write_spec(tmp_path, spec, "bf16")
    with pytest.raises(ExportError, match="does not compute"):
        check_graphs(tmp_path, subject_of(model, spec), dtype="bf16")


@pytest.mark.parametrize("dtype", NARROW)
def test_gpt2_is_of_format_3_in_another_type(dtype, tmp_path):
    checkpoint = TINY / "checkpoint"
    found, said = export(checkpoint, tmp_path / "m", dtype)
    assert (found["format"], found["family"], found["dtype"]) == (3, "gpt2", dtype)
    assert found["positions"] == "learned"
    assert found["probe"]["relative_tolerance"] > 1e-4
    own = GPT2LMHeadModel.from_pretrained(checkpoint)
    assert (found["n_layer"], found["d_model"]) == (own.config.n_layer, own.config.n_embd)
    assert "provider: cuda` only" in said
    check_twin(own.config, "gpt2", dtype)


@pytest.mark.parametrize("dtype", NARROW)
def test_what_a_type_costs_stands_in_the_card(dtype, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", "gpt_neox")
    found, said = export(checkpoint, tmp_path / "m", dtype)
    plain, _ = export(checkpoint, tmp_path / "plain", "f32")
    assert list(found) == [*list(plain)[:13], "accuracy", *list(plain)[13:]]
    assert found["dtype"] == dtype and "accuracy" not in plain
    accuracy, step = found["accuracy"], {"f16": 2.0**-11, "bf16": 2.0**-8}[dtype]
    assert list(accuracy) == ["prompts", "pytorch", "graph"]
    for kind in ("hidden", "attention", "logits"):
        assert 0 < accuracy["pytorch"][kind] < 100 * step
    assert 0.1 * step < accuracy["pytorch"]["hidden"]
    for kind, value in accuracy["graph"].items():
        assert 0 < value <= 2 * accuracy["pytorch"][kind] + 1e-6
    assert "provider: cuda" in said
    sizes = [(tmp_path / name / "model.onnx.data").stat().st_size for name in ("m", "plain")]
    assert sizes[0] < 0.7 * sizes[1]
    again, _ = export(checkpoint, tmp_path / "again", dtype)
    assert again == found


@pytest.mark.parametrize("family,dtype", [*product(["gpt_neox"], NARROW), ("llama", "bf16")])
def test_the_probe_s_tolerance_holds_for_the_graph_in_its_own_type(family, dtype, tmp_path):
    """As a reader applies it; float32, as ONNX Runtime would take for float16, is closer by far.
    The llama is off by more than any tolerance in single values, which its probe does not have."""
    found, _ = export(write_checkpoint(tmp_path / "c", family), tmp_path / "m", dtype)
    probe, folders = found["probe"], {}
    for name, round_to in (("rounded", dtype), ("wide", None)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        widen(tmp_path / "m", folders[name], GRAPHS, round_to)
    names = [f"hidden.{layer}" for layer in range(found["n_layer"])]
    off = {}
    for name, folder in folders.items():
        session = open_session(folder / "model.onnx", 1, PLAIN)
        hidden = session.run(names, pad_batch(probe["prompts"], lambda: 0))
        off[name] = max(
            abs(float(hidden[row["layer"]][row["prompt"], row["position"], i]) - value)
            / row["norm"]
            for row in probe["hidden"]
            for i, value in zip(row["index"], row["value"], strict=True)
        )
    assert off["wide"] < 1e-5 < 10 * off["wide"] + 1e-5 < off["rounded"]
    assert off["rounded"] <= probe["relative_tolerance"] / HEADROOM < 0.1 / HEADROOM
    largest = max(found["accuracy"]["graph"][kind] for kind in ("hidden", "attention"))
    assert (2 * largest > 0.1) == (family == "llama"), largest
    for name in ("hidden", "attention"):
        assert {row["layer"] for row in probe[name]} == set(range(found["n_layer"]))


@pytest.mark.parametrize(
    "factor,message",
    [
        (3e4, r"NaN or infinity in layer .* use --dtype bf16"),
        (1e7, r"model.layers.1.mlp.down_proj.weight has numbers that float16 cannot hold"),
    ],
)
def test_numbers_that_float16_cannot_hold_are_refused(factor, message, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    write_checkpoint(checkpoint, "llama")
    source = from_checkpoint(str(checkpoint), None)
    with torch.no_grad():
        source.model.model.layers[1].mlp.down_proj.weight.mul_(factor)
    source.model.save_pretrained(checkpoint)
    with pytest.raises(ExportError, match=message):
        export(checkpoint, tmp_path / "m", "f16")
    assert not (tmp_path / "m").exists()


def test_narrowed_weights_come_back_bit_for_bit():
    model = rounded("llama", "bf16")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with narrowed(model, "bf16"):
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and value.equal(before[name])


@pytest.mark.parametrize(
    "most,says", [(1e-3, "'s scores are off by"), (4e-3, " is off by .* in every hidden of layer")]
)
def test_a_model_that_is_too_far_off_is_refused(most, says, tmp_path, monkeypatch):
    """Its probe would need a tolerance that tells nothing."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", "gpt_neox")
    monkeypatch.setattr(accuracy, "LARGEST_TOLERANCE", most)
    with pytest.raises(ExportError, match=f"in bfloat16 this model{says}"):
        export(checkpoint, tmp_path / "m", "bf16")
    assert not (tmp_path / "m").exists()


def test_a_probe_has_the_values_that_rounding_moves_least():
    hidden = torch.tensor([0.2, 0.01, 0.004, 0.03, 0.005])
    attention = torch.tensor([[0.0, 0.0, 0.3, 0.002, 0.001], [0.0, 0.0, 0.3, 0.2, 0.4]])
    calm = Calm([Moved([hidden], [attention])], relative=0.04, attention=0.04)
    assert calm.positions(0, 0) == [1, 2, 4]
    assert [calm.queries(0, 0, head) for head in (0, 1)] == [[3, 4], []]
    assert (calm.has_query(0, 0, 0, 4), calm.has_query(0, 0, 1, 4)) == (True, False)
    tight = Calm(calm.moved, relative=0.01, attention=0.04)
    assert tight.positions(0, 0) == []
    probe = {"prompts": [[1, 2, 3, 4, 5]], "hidden": [], "attention": [{"layer": 0, "prompt": 0}]}
    with pytest.raises(ExportError, match=r"off by 0\.004 or more in every hidden of layer 0"):
        tight.refuse_few(probe, 1, "bfloat16")


@pytest.mark.parametrize("dtype", NARROW)
def test_twins_of_narrow_graphs_are_checked(dtype, monkeypatch):
    import aqlens_export.twin as twin

    config = make_config(*FAMILIES["llama"])
    check_twin(config, "llama", dtype)

    def wrong(model, limit):
        spec = read_spec(model, limit)
        spec.final_norm.eps = 1e-4
        return spec

    assert make_twin(config) is not None
    monkeypatch.setattr(twin, "read_spec", wrong)
    with pytest.raises(ExportError, match="computes something that the graphs do not"):
        check_twin(config, "llama", dtype)


def test_the_command_line_names_the_types_that_there_are():
    assert set(DTYPES) == set(TYPES)
