"""What patch.onnx promises, on the committed tiny model, and that faults in it are found."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from aqlens_export import graphs
from aqlens_export import run as run_module
from aqlens_export.build import _unembed as unembed
from aqlens_export.check import pad_batch, relative_difference
from aqlens_export.eager import run_alone, run_patched
from aqlens_export.errors import ExportError
from aqlens_export.graph import GraphBuilder
from aqlens_export.graphs import check_graphs, write_spec
from aqlens_export.patch import build_patch
from aqlens_export.read import read_spec
from aqlens_export.run import ExportOptions, check_folder, export_model, write_graphs
from aqlens_export.source import from_seed
from aqlens_export.subject import subject_of

from .conftest import TINY
from .test_graph import D_MODEL, N_LAYER, VOCAB, draw
from .tiny_families import FAMILIES, make_model


def run(patch, streams, layers, padding=0.0):
    """Logits of each row's stream [T, d_model] from its layer on."""
    seq = max(len(stream) for stream in streams)
    given = np.full((len(streams), seq, D_MODEL), padding, np.float32)
    mask = np.zeros((len(streams), seq), np.int64)
    for row, stream in enumerate(streams):
        given[row, : len(stream)] = stream
        mask[row, : len(stream)] = 1
    inputs = {"stream": given, "layer": np.array(layers, np.int64), "attention_mask": mask}
    return patch.run(["logits"], inputs)[0]


def streams_of(session, prompts):
    """Every block's output of each prompt, as model.onnx gives it: by prompt, then layer."""
    names = [f"hidden.{layer}" for layer in range(N_LAYER)]
    values = session.run(names, pad_batch(prompts, lambda: 0))
    return [[v[row, : len(prompt)] for v in values] for row, prompt in enumerate(prompts)]


def test_inputs_and_outputs_have_the_contracts_names_types_and_shapes(patch):
    assert {given.name: (given.type, given.shape) for given in patch.get_inputs()} == {
        "stream": ("tensor(float)", ["batch", "seq", D_MODEL]),
        "layer": ("tensor(int64)", ["batch"]),
        "attention_mask": ("tensor(int64)", ["batch", "seq"]),
    }
    (output,) = patch.get_outputs()
    assert (output.name, output.type, output.shape) == ("logits", "tensor(float)", ["batch", VOCAB])
    onnx.checker.check_model(str(TINY / "patch.onnx"), full_check=True)


def test_every_weight_is_one_of_the_model_s():
    weights = {}
    for name in ("model.onnx", "patch.onnx"):
        graph = onnx.load(TINY / name, load_external_data=False).graph
        weights[name] = {
            w.name: [(entry.key, entry.value) for entry in w.external_data]
            for w in graph.initializer
            if w.data_location == onnx.TensorProto.EXTERNAL
        }
    assert weights["patch.onnx"]
    for name, place in weights["patch.onnx"].items():
        assert place == weights["model.onnx"][name]
    assert (TINY / "patch.onnx").stat().st_size < 30_000


def test_from_every_layer_the_model_s_own_logits_come_out(patch, session):
    prompts = draw([6, 25, 1, 14], seed=1)
    (plain,) = session.run(["logits"], pad_batch(prompts, lambda: 0))
    streams = streams_of(session, prompts)
    for layer in range(N_LAYER):
        logits = run(patch, [stream[layer] for stream in streams], [layer] * len(prompts))
        assert relative_difference(logits, plain) < 1e-6


def test_rows_of_a_batch_may_start_at_different_layers(patch, session):
    prompts = draw([3, 30, 12, 1, 7, 20], seed=2)
    (plain,) = session.run(["logits"], pad_batch(prompts, lambda: 0))
    streams, layers = streams_of(session, prompts), [3, 0, 4, 2, 1, 4]
    given = [stream[layer] for stream, layer in zip(streams, layers, strict=True)]
    together = run(patch, given, layers)
    assert relative_difference(together, plain) < 1e-6
    for row, (stream, layer) in enumerate(zip(given, layers, strict=True)):
        assert relative_difference(run(patch, [stream], [layer])[0], together[row]) < 1e-6


def test_what_padding_holds_changes_not_one_bit(patch, session):
    streams = streams_of(session, draw([3, 30, 12], seed=3))
    given, layers = [stream[1] for stream in streams], [1, 3, 2]
    assert np.array_equal(run(patch, given, layers), run(patch, given, layers, padding=1e6))


def test_a_mixed_stream_gives_what_hooks_give(patch, session, model):
    first, second = streams_of(session, draw([17, 11], seed=4))
    for layer in range(N_LAYER):
        mixed = np.concatenate([first[layer][:6], second[layer][2:]])
        expected = run_patched(model, layer, torch.from_numpy(mixed)).numpy()
        (logits,) = run(patch, [mixed], [layer])
        assert relative_difference(logits, expected) < 1e-6


def test_hooks_that_put_back_what_was_there_change_nothing(model):
    """The reference, checked by itself: and that what they put in is looked at."""
    (prompt,) = draw([13], seed=5)
    found = run_alone(model, prompt)
    for layer in range(N_LAYER):
        same = run_patched(model, layer, found.hidden[layer])
        assert relative_difference(same.numpy(), found.logits.numpy()) < 1e-6
        turned = run_patched(model, layer, found.hidden[layer].flip(0))
        assert relative_difference(turned.numpy(), found.logits.numpy()) > 1e-3


def test_the_last_layer_s_stream_is_read_by_the_head_alone(patch, session, head):
    (stream,) = streams_of(session, draw([9], seed=6))
    (expected,) = head.run(["logits"], {"hidden": stream[-1][-1:]})
    logits = run(patch, [stream[-1]], [N_LAYER - 1])
    assert relative_difference(logits, expected) < 1e-6


def test_a_layer_that_is_not_there_is_an_error(patch, session):
    (stream,) = streams_of(session, draw([4], seed=7))
    refused = ort.capi.onnxruntime_pybind11_state.InvalidArgument
    with pytest.raises(refused, match=r"known_layer|bounds"):
        run(patch, [stream[0]], [N_LAYER])


@pytest.mark.parametrize("change", [{"n_layer": 1}, {"n_positions": 1}, {"n_layer": 4}], ids=str)
def test_small_models_are_checked_as_far_as_they_reach(small_config, tmp_path, change):
    source = from_seed(json.dumps({**small_config, **change}), 0, TINY / "tokenizer.json")
    write_graphs(tmp_path, source)
    assert 0 < check_folder(tmp_path, source, threads=1).largest["patch"] < 1e-5


def at_layer(change):
    """Another layer than the one that a row asks for, or another row's."""

    def fault(plain, self, op, inputs, output, attributes):
        if output != "known_layer":
            return plain(self, op, inputs, output, **attributes)
        plain(self, op, inputs, "asked_layer", **attributes)
        return change(plain, self, output)

    return fault


def one_earlier(plain, self, output):
    self.ints("faulty.step", 1)
    return plain(self, "Sub", ["asked_layer", "faulty.step"], output)


def the_first_row_s(plain, self, output):
    self.ints("faulty.first", [0])
    plain(self, "Gather", ["asked_layer", "faulty.first"], "faulty.layer")
    plain(self, "Shape", ["asked_layer"], "faulty.size")
    return plain(self, "Expand", ["faulty.layer", "faulty.size"], output)


def from_the_first_row(plain, self, op, inputs, output, attributes):
    """Every row gets the first row's stream."""
    if not output.endswith(".stream") or op != "Where":
        return plain(self, op, inputs, output, **attributes)
    if "faulty.stream" not in {name for node in self.nodes for name in node.output}:
        self.ints("faulty.first", [0])
        plain(self, "Gather", ["stream", "faulty.first"], "faulty.stream", axis=0)
    return plain(self, op, [inputs[0], "faulty.stream", inputs[2]], output, **attributes)


def never(plain, self, op, inputs, output, attributes):
    """One layer keeps what was computed."""
    inputs = [inputs[0], inputs[2], inputs[2]] if output == "patch.1.stream" else inputs
    return plain(self, op, inputs, output, **attributes)


def last_padded_token(plain, self, op, inputs, output, attributes):
    """Logits at the batch's last place in place of the row's."""
    if output == "lengths":
        self.ints("faulty.axis", [1])
        plain(self, "Sub", ["attention_mask", "attention_mask"], "faulty.none")
        plain(self, "Add", ["faulty.none", "one"], "faulty.all")
        inputs = ["faulty.all", "faulty.axis"]
    return plain(self, op, inputs, output, **attributes)


FAULTS = {
    "a layer too early": at_layer(one_earlier),
    "every row at the first row's layer": at_layer(the_first_row_s),
    "every row the first row's stream": from_the_first_row,
    "a layer that is never patched": never,
    "the last place in place of the last token": last_padded_token,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_patch_that_computes_something_else_is_not_kept(
    small_config, tmp_path, monkeypatch, name
):
    plain = GraphBuilder.node

    def node(self, op, inputs, output, **attributes):
        return FAULTS[name](plain, self, op, inputs, output, attributes)

    def faulty(model, weights):
        with monkeypatch.context() as patched:
            patched.setattr(GraphBuilder, "node", node)
            return build_patch(model, weights)

    monkeypatch.setattr(run_module, "build_patch", faulty)
    config = json.dumps({**small_config, "n_layer": 3})
    options = ExportOptions(tmp_path / "m", config=config, tokenizer=TINY / "tokenizer.json")
    with pytest.raises(ExportError, match=r"patch\.onnx"):
        export_model(options, lambda _line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["gemma3", "opt", "gpt_neox"])
@pytest.mark.parametrize("name", [*FAULTS, "the final norm before"])
def test_a_fault_in_another_family_s_is_refused(family, name, tmp_path, monkeypatch):
    plain, built = GraphBuilder.node, graphs.build_patch
    model = make_model(*FAMILIES[family])
    spec = read_spec(model, 96)

    def node(self, op, inputs, output, **attributes):
        return FAULTS[name](plain, self, op, inputs, output, attributes)

    def faulty(spec, weights, dtype):
        with monkeypatch.context() as patched:
            if name in FAULTS:
                patched.setattr(GraphBuilder, "node", node)
            else:
                patched.setattr("aqlens_export.build._unembed", normed_twice)
            return built(spec, weights, dtype)

    monkeypatch.setattr(graphs, "build_patch", faulty)
    write_spec(tmp_path, spec)
    with pytest.raises(ExportError, match=r"patch\.onnx"):
        check_graphs(tmp_path, subject_of(model, spec))


def normed_twice(n, spec, value):
    """The head on a stream that was normed already."""
    unembed(n, spec, n.norm(spec.final_norm, value, "final_norm.before"))
