"""The program renders chat templates from outside as transformers does.

Each template of the packages is put into a model folder with conversations as transformers renders
the template that the package has. The program refuses a template unless it gives each of them to
the letter, so `aqlens check` is the comparison. It may refuse one for leaving out what the messages
say, where transformers leaves it out too, and for nothing else.
"""

import re

import pytest
from aqlens_export import chat
from conftest import check, templates

TEMPLATES = templates()

MORE = (
    (
        [{"role": "user", "content": "Braces {{ x }} and {% if %}, \\n, \"quotes\" & 'more' <b>"}],
        False,
    ),
    ([{"role": "user", "content": "Grüße 東京 🙂\n\n  indented\ttab"}], False),
    (
        [
            {"role": "system", "content": "First.\nSecond."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "One.\n\nAnd a list:\n- a\n- b"},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": 'Two: {"a": [1, 2]}'},
            {"role": "user", "content": "Three?"},
        ],
        False,
    ),
    (
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say it."},
            {"role": "assistant", "content": "Answer: 12 %"},
        ],
        True,
    ),
)
"""Beside the exporter's own."""


def card_of(tokenizer, template: str) -> chat.Chat:
    """The template and its conversations, as the exporter stores them."""
    tokenizer.chat_template = template
    own = chat.CONVERSATIONS
    chat.CONVERSATIONS = (*own, *MORE)
    try:
        return chat.read_chat(
            tokenizer, lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
        )
    finally:
        chat.CONVERSATIONS = own


def test_there_are_many_templates_of_many_models():
    assert len(TEMPLATES) >= 90
    families = {re.split(r"[-_\d.]", name.split("/")[1])[0] for name in TEMPLATES}
    print(f"{len(TEMPLATES)} templates, {len(families)} families: {', '.join(sorted(families))}")
    assert len(families) >= 25


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_is_rendered_as_transformers_renders_it(base, tokenizer, tmp_path, name):
    card = card_of(tokenizer, TEMPLATES[name])
    assert card.remark is None and len(card.conversations) >= 2, card.remark
    first = card.conversations[0]
    ended = check(base, tmp_path, {"template": card.template, "conversations": card.conversations})
    if first["messages"][0]["content"] in first["text"]:
        assert ended.returncode == 0, ended.stderr
    else:
        # Templates of models that see want a list of parts in place of a text.
        assert ended.returncode == 1
        assert "has its input 0 times" in ended.stderr and "leaves its message out" in ended.stderr


def test_a_template_that_differs_by_a_blank_is_refused(base, tokenizer, tmp_path):
    card = card_of(tokenizer, TEMPLATES["axolotl/llama3"])
    card.conversations[0]["text"] = card.conversations[0]["text"].replace("ball", "ball ", 1)
    ended = check(base, tmp_path, {"template": card.template, "conversations": card.conversations})
    words = " ".join(ended.stderr.replace("│", " ").split())
    assert ended.returncode == 2 and "chat template that renders" in words, words
