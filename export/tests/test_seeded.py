"""Random weights of any family, from the command line's options on."""

import json

import pytest

from aqlens_export import cli
from aqlens_export.errors import ExportError
from aqlens_export.seeded import family_config, make_random

from .conftest import TINY

TOKENIZER = TINY / "tokenizer.json"

LLAMA = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "vocab_size": 320,
    "rope_theta": 500.0,
}

GEMMA3 = {**LLAMA, "head_dim": 16, "sliding_window": 7}


def run(out, family, config, seed=5):
    arguments = ["--random-weights", "--family", family, "--config", json.dumps(config)]
    arguments += ["--seed", str(seed), "--tokenizer", str(TOKENIZER), "--threads", "1"]
    return cli.main([*arguments, "--out", str(out)])


@pytest.mark.parametrize("family,config", [("llama", LLAMA), ("gemma3_text", GEMMA3)])
def test_random_weights_of_a_family_are_exported_and_checked(family, config, tmp_path):
    assert run(tmp_path / "m", family, config) == 0
    found = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert (found["format"], found["family"], found["n_layer"]) == (3, family, 3)
    assert found["source"] == {"name": "random-weights", "revision": None, "random_seed": 5}
    assert (found["n_kv_head"], found["d_model"], found["n_positions"]) == (2, 48, 64)
    assert (tmp_path / "m" / "tokenizer.json").read_bytes() == TOKENIZER.read_bytes()


def test_a_seed_gives_the_same_bytes_again_and_another_other_ones(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(tmp_path / name, "llama", LLAMA, seed) == 0
    a, b, c = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "abc"
    )
    assert a == b and a["model.onnx.data"] != c["model.onnx.data"]


def test_norms_and_biases_are_random_too():
    model = make_random(family_config("qwen2", LLAMA), 0)
    for name, values in model.named_parameters():
        assert values.std() > 0, name


@pytest.mark.parametrize(
    "family,change,message",
    [
        ("llama", {"n_layer": 3}, "no n_layer in transformers"),
        ("lama", {}, "no configuration of the family 'lama'"),
        ("mixtral", {"num_local_experts": 4}, "a mixture of experts"),
        ("llama", {"num_attention_heads": 0}, "can be made"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(family, change, message):
    with pytest.raises(ExportError, match=message):
        make_random(family_config(family, {**LLAMA, **change}), 0)


def test_gpt2_by_its_name_is_gpt2(small_config, tmp_path):
    arguments = ["--random-weights", "--config", json.dumps(small_config), "--threads", "1"]
    arguments += ["--tokenizer", str(TOKENIZER)]
    assert cli.main([*arguments, "--out", str(tmp_path / "a")]) == 0
    assert cli.main([*arguments, "--family", "gpt2", "--out", str(tmp_path / "b")]) == 0
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
