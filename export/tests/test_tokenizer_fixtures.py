"""The tokenizers of the Rust tests are those that the script makes, and of the kinds they claim."""

import json

import pytest

import tokenizer_fixtures as made


@pytest.fixture(scope="module")
def layouts():
    return made.layouts()


def test_the_committed_fixtures_are_what_the_script_makes(layouts):
    cases = json.loads((made.OUT / "cases.json").read_text(encoding="utf-8"))
    assert list(cases) == list(layouts) and len(made.TEXTS) == len(set(made.TEXTS)) == 20
    for name, tokenizer in layouts.items():
        committed = (made.OUT / f"{name}.json").read_text(encoding="utf-8")
        assert tokenizer.to_str() + "\n" == committed, name
        assert json.loads(json.dumps(made.cases_of(tokenizer))) == cases[name], name


def test_layouts_differ_where_the_models_do(layouts):
    """Digits, signs made of two characters, unknown signs, the first word's blank."""
    cut = {name: (lambda t, k=tok: k.encode(t).tokens) for name, tok in layouts.items()}
    assert cut["llama3"]("345") != cut["qwen"]("345") == ["3", "4", "5"]
    assert cut["qwen"]("e\u0301") == cut["qwen"]("é") and cut["gpt2"]("e\u0301") != cut["gpt2"]("é")
    assert cut["llama2"]("🎈")[1:] == ["▁", "<0xF0>", "<0x9F>", "<0x8E>", "<0x88>"]
    assert cut["gemma"]("red")[1:] == ["red"] and cut["mistral"]("red")[1:] == ["▁red"]
    assert [name for name in cut if len(cut[name]("")) == 1] == [
        *("llama3", "llama2", "mistral", "gemma")
    ]
