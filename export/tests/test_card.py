"""A family's export from end to end: the folder, model.json of format 3, the tokenizer's policy."""

import contextlib
import hashlib
import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import tiny_model
from aqlens_export.errors import ExportError
from aqlens_export.gguf import with_digits
from aqlens_export.precise import in_float64, round_up
from aqlens_export.read import read_spec
from aqlens_export.run import ExportOptions, check_subject, export_model, write_graphs
from aqlens_export.source import from_checkpoint
from aqlens_export.subject import longest_prompt
from aqlens_export.tokens import TEXTS, read_tokens

from .tiny_families import FAMILIES, make_model

KEYS = [
    *("format", "family", "n_layer", "n_head", "n_kv_head", "d_head", "d_model", "d_ff"),
    *("vocab_size", "n_positions", "windows", "positions", "dtype", "special_tokens"),
    *("chat_template", "licence", "source", "files", "exporter", "probe"),
]

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\r\n"
    "{%- generation -%}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{% endif %}"
)


def with_bos(backend):
    """The tokenizer with an id in front of every text and one behind it."""
    backend.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>",
        pair="$A $B",
        special_tokens=[("<|endoftext|>", tiny_model.VOCAB_SIZE - 1)],
    )
    return backend


def write_checkpoint(folder, family, template=None, backend=None):
    model_type, changes = FAMILIES[family]
    make_model(model_type, {**changes, "vocab_size": 320}).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend or with_bos(tiny_model.make_tokenizer()),
        bos_token="<|endoftext|>",
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def export(checkpoint, out, **changes):
    export_model(
        ExportOptions(out, model=str(checkpoint), threads=1, **changes), lambda _line: None
    )
    return json.loads((out / "model.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    """A Gemma 3 with a chat template and a licence: its folder, and what model.json says."""
    folder = tmp_path_factory.mktemp("gemma")
    write_checkpoint(folder / "checkpoint", "gemma3", TEMPLATE)
    card = "---\nlicense: apache-2.0\ntags: [a]\n---\n# A model\n"
    (folder / "checkpoint" / "README.md").write_text(card)
    return folder, export(folder / "checkpoint", folder / "m")


def test_the_card_has_the_contract_s_keys_in_order(gemma):
    folder, found = gemma
    assert list(found) == KEYS
    assert (found["format"], found["family"], found["dtype"]) == (3, "gemma3_text", "f32")
    shape = [found[key] for key in KEYS[2:10]]
    assert shape == [4, 6, 2, 16, 48, 80, 320, 96]
    assert found["windows"] == [7, 7, None, 7]
    assert found["positions"] == "relative"
    assert found["licence"] == "apache-2.0"
    assert found["source"] == {"name": "checkpoint", "revision": None, "random_seed": None}
    roles = {name: entry["role"] for name, entry in found["files"].items()}
    assert roles == {
        "model.onnx": "graph",
        "head.onnx": "head",
        "past.onnx": "past",
        "patch.onnx": "patch",
        "model.onnx.data": "weights",
        "tokenizer.json": "tokenizer",
    }
    for name, entry in found["files"].items():
        data = (folder / "m" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["bytes"] == len(data)
    assert str(folder) not in json.dumps(found)


def test_the_card_says_what_stands_in_front_of_a_text_and_behind(gemma):
    folder, found = gemma
    tokens = found["special_tokens"]
    assert (tokens["prefix_ids"], tokens["suffix_ids"]) == ([319], [319])
    assert tokens["named"] == {"bos": {"id": 319, "text": "<|endoftext|>"}}
    plain = Tokenizer.from_file(str(folder / "m" / "tokenizer.json"))
    texts = found["probe"]["texts"]
    assert len(texts) == 20 and [row["text"] for row in texts] == list(TEXTS)
    for row in texts:
        ids = plain.encode(row["text"], add_special_tokens=False).ids
        assert [319, *ids, 319] == row["ids"]


def test_the_card_has_the_template_and_conversations(gemma):
    _, found = gemma
    assert "\r" not in found["chat_template"] and "generation %}" not in found["chat_template"]
    conversations = found["probe"]["conversations"]
    first, *_, last = conversations
    assert len(conversations) == 4
    assert list(first) == ["messages", "add_generation_prompt", "text", "ids"]
    assert first["add_generation_prompt"] is True
    assert first["text"].startswith("<|im_start|>userWhat color")
    assert first["text"].endswith("<|im_start|>assistant")
    assert first["ids"][0] != 319
    assert list(last) == ["messages", "add_generation_prompt", "continue_final", "text", "ids"]
    assert last["continue_final"] is True and last["add_generation_prompt"] is False
    assert last["messages"][-1] == {"role": "assistant", "content": "The answer is"}
    assert last["text"].endswith("<|im_start|>assistantThe answer is")


def test_the_probe_has_a_prompt_that_the_window_does_not_hold(gemma):
    probe = gemma[1]["probe"]
    lengths = [len(prompt) for prompt in probe["prompts"]]
    assert lengths == [11, 1, 29, 5, 19]
    rows = [row for row in probe["attention"] if row["prompt"] == 4]
    assert {row["layer"] for row in rows} == {0, 2, 3}
    for row in rows:
        zeros = row["value"].count(0.0)
        assert zeros == (0 if row["layer"] == 2 else 19 - 7)


def test_a_family_exported_twice_gives_the_same_bytes(gemma):
    folder, _ = gemma
    before = {p.name: p.read_bytes() for p in (folder / "m").iterdir()}
    export(folder / "checkpoint", folder / "m")
    assert before == {p.name: p.read_bytes() for p in (folder / "m").iterdir()}


def test_a_model_without_special_tokens_and_template_says_so(tmp_path):
    checkpoint = write_checkpoint(
        tmp_path / "checkpoint", "llama", backend=tiny_model.make_tokenizer()
    )
    found = export(checkpoint, tmp_path / "m", name="mine")
    tokens = found["special_tokens"]
    assert (tokens["prefix_ids"], tokens["suffix_ids"]) == ([], [])
    assert (found["chat_template"], found["licence"]) == (None, None)
    assert "conversations" not in found["probe"]
    assert found["source"]["name"] == "mine"


def metaspace():
    """A tokenizer of another kind: words from the blank on, nothing in bytes."""
    vocab = {"<unk>": 0, "<s>": 1, "▁": 2}
    for text in TEXTS:
        for letter in text.replace(" ", "▁"):
            vocab.setdefault(letter, len(vocab))
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="$A $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


def test_a_tokenizer_may_have_ids_beyond_the_vocabulary_that_no_text_gives():
    tokenizer = metaspace()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    largest = max(tokenizer.get_vocab().values())
    found = read_tokens(tokenizer, None, largest, "a model")
    assert found.prefix_ids == [1] and found.suffix_ids == []
    with pytest.raises(ExportError, match="vocabulary ends at 9"):
        read_tokens(tokenizer, None, 10, "a model")


def test_a_file_that_gives_other_ids_than_transformers_is_replaced():
    tokenizer = metaspace()
    other = tiny_model.make_tokenizer().to_str().encode()
    right = tokenizer.backend_tokenizer.to_str().encode()
    assert read_tokens(tokenizer, right, 1000, "a model").json == right
    again = read_tokens(tokenizer, other, 1000, "a model").json
    assert Tokenizer.from_str(again.decode()).encode("a", add_special_tokens=False).ids == [
        *tokenizer("a", add_special_tokens=False)["input_ids"]
    ]


def test_float64_is_float64_throughout_and_leaves_the_weights_alone():
    model = make_model(*FAMILIES["llama"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
        for name, module in model.named_modules()
        if name.endswith(("norm", "proj", "act_fn"))
    ]
    with in_float64(model):
        model(torch.arange(9)[None])
    for hook in hooks:
        hook.remove()
    assert {str(dtype) for dtype in seen} == {"torch.float64"}
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and value.equal(before[name])


def test_float64_is_closer_to_itself_than_float32(tmp_path):
    """The measure of a real model: twice what float32 is off, and no more."""
    source = from_checkpoint(str(write_checkpoint(tmp_path / "c", "gpt_neox")), None)
    folder = tmp_path / "m"
    folder.mkdir()
    write_graphs(folder, source)
    subject = source.subject()
    found = check_subject(folder, subject, 1)
    for kind, value in found.largest.items():
        assert 0 < value <= 2 * subject.distance(kind) + 1e-6
    assert min(subject.tolerances()) >= 1e-5


@pytest.mark.parametrize(
    ("tokens", "off", "times", "is_right"),
    [
        (700, 0, 0, True),
        # Few tokens of a long prompt may amplify rounding more than PyTorch showed.
        (700, 7, 9, True),
        (700, 7, 11, False),
        (700, 8, 1.1, False),
        (99, 1, 1.1, False),
        (700, 1, float("nan"), False),
    ],
)
def test_few_tokens_of_a_long_prompt_may_be_further_off(tmp_path, tokens, off, times, is_right):
    source = from_checkpoint(str(write_checkpoint(tmp_path / "c", "gpt_neox")), None)
    subject = source.subject()
    subject.own.largest["hidden"] = 4e-6
    allowed = 2 * 4e-6 + 1e-6
    values = np.full(tokens, 0.9 * allowed)
    values[50 : 50 + off] = times * allowed
    found, message = subject.differences(), "does not compute what PyTorch computes: .*hidden.3"
    with contextlib.nullcontext() if is_right else pytest.raises(ExportError, match=message):
        found.note_vectors("hidden", values, "hidden.3")
        subject.settle(found)


def test_a_wrong_epsilon_in_a_real_model_is_refused(tmp_path):
    source = from_checkpoint(str(write_checkpoint(tmp_path / "c", "llama")), None)
    source.spec.final_norm.eps = 1e-4
    folder = tmp_path / "m"
    folder.mkdir()
    write_graphs(folder, source)
    with pytest.raises(ExportError, match="does not compute what PyTorch computes"):
        check_subject(folder, source.subject(), 1)


@pytest.mark.parametrize(
    "windows,n_positions,length",
    [
        ([None], 8192, 192),
        ([512, None], 32768, 700),
        ([4096], 32768, 192),
        ([2000], 32768, 2048),
        ([7], 64, 64),
    ],
)
def test_the_longest_prompt_exceeds_every_window_that_it_can(windows, n_positions, length):
    shape = read_spec(make_model(*FAMILIES["llama"])).shape
    shape.windows, shape.n_positions = windows, n_positions
    assert longest_prompt(shape) == length


def test_tolerances_are_rounded_up_to_one_digit():
    assert [round_up(x) for x in (1e-5, 1.01e-5, 1.9e-4, 2e-4)] == [1e-5, 2e-5, 2e-4, 2e-4]


@pytest.mark.parametrize(
    "content,says", [(b"no", "the letters GGUF"), (b"GGUF" + bytes(8), "ended early, fetch it")]
)
def test_a_gguf_file_that_is_none_or_cut_is_refused(content, says, tmp_path):
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(ExportError, match="not a readable GGUF file") as refused:
        from_checkpoint(str(tmp_path / "model.gguf"), None)
    assert says in str(refused.value)


def test_digits_stand_alone_where_a_gguf_file_says_so():
    backend = tiny_model.make_tokenizer()
    backend.pre_tokenizer = with_digits(backend)
    pieces = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("on 12")]
    assert pieces == ["on", "Ġ", "1", "2"]
