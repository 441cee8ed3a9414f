"""GPT-2's relatives: every switch of the configuration that the graph knows or refuses."""

import json

import onnx
import pytest
import torch
from transformers import BertConfig, GPT2Config, GPT2LMHeadModel

import tiny_model
from aqlens_export.errors import ExportError
from aqlens_export.graphs import GRAPHS
from aqlens_export.run import check_folder, write_graphs
from aqlens_export.source import from_checkpoint, from_seed

from .conftest import TINY

TOKENIZER = TINY / "tokenizer.json"


def shaken(source):
    """Moves biases and norms off 0 and 1, so that a term left out shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in source.model.parameters():
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            parameter.add_(noise * 0.2)
    return source


@pytest.mark.parametrize(
    "change",
    [
        {"n_head": 1},
        {"n_layer": 1},
        {"n_positions": 1},
        {"n_inner": 24},
        {"activation_function": "gelu"},
        {"activation_function": "gelu_pytorch_tanh"},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"layer_norm_epsilon": 0.1},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_a_variant_computes_what_pytorch_computes(small_config, change, tmp_path):
    source = shaken(from_seed(json.dumps({**small_config, **change}), 0, TOKENIZER))
    write_graphs(tmp_path, source)
    check_folder(tmp_path, source, threads=1)
    for graph in GRAPHS:
        names = [w.name for w in onnx.load(tmp_path / graph).graph.initializer]
        assert ("lm_head" in names) == (change == {"tie_word_embeddings": False})


def test_upcast_attention_is_the_same_arithmetic_in_float32(small_config, tmp_path):
    source = from_seed(json.dumps(small_config), 0, TOKENIZER)
    config = GPT2Config(**small_config, reorder_and_upcast_attn=True)
    config._attn_implementation = "eager"
    source.model = GPT2LMHeadModel(config).eval()
    write_graphs(tmp_path, shaken(source))
    check_folder(tmp_path, source, threads=1)


def test_half_precision_checkpoints_are_exported_in_float32(tmp_path):
    folder = tmp_path / "half"
    tiny_model.make_model().half().save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    source = from_checkpoint(str(folder), None)
    assert source.model.dtype == torch.float32
    write_graphs(tmp_path, source)
    check_folder(tmp_path, source, threads=1)


def test_an_activation_without_an_operator_is_refused(small_config):
    config = json.dumps({**small_config, "activation_function": "relu"})
    with pytest.raises(ExportError, match=r"activation_function 'relu'.*gelu_new"):
        from_seed(config, 0, TOKENIZER)


def test_another_family_is_refused(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ExportError, match="family 'bert'"):
        from_checkpoint(str(tmp_path), None)


def test_a_checkpoint_with_missing_weights_is_refused(tmp_path):
    model = tiny_model.make_model()
    state = {k: v for k, v in model.state_dict().items() if "h.3.mlp.c_fc" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    with pytest.raises(ExportError, match=r"lacks weights.*h\.3\.mlp\.c_fc"):
        from_checkpoint(str(tmp_path), None)


def test_a_tokenizer_with_ids_beyond_the_vocabulary_is_refused(small_config):
    with pytest.raises(ExportError, match=r"ids up to 319.*ends at 99"):
        from_seed(json.dumps({**small_config, "vocab_size": 100}), 0, TOKENIZER)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    tiny_model.make_model().save_pretrained(tmp_path)
    with pytest.raises(ExportError, match=r"no tokenizer\.json"):
        from_checkpoint(str(tmp_path), None)


def test_a_tokenizer_in_the_old_layout_is_converted(tmp_path):
    tiny_model.make_model().save_pretrained(tmp_path)
    tokenizer = tiny_model.make_tokenizer()
    tokenizer.model.save(str(tmp_path))
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    vocab[tiny_model.END_OF_TEXT] = tiny_model.VOCAB_SIZE - 1
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    converted = from_checkpoint(str(tmp_path), None).tokenizer_json.decode()
    text = "the red ball\r\n日本<|endoftext|> ?"
    again = type(tokenizer).from_str(converted)
    assert again.encode(text).ids == tokenizer.encode(text).ids
