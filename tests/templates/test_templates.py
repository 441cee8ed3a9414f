"""The program renders chat templates from outside as transformers does.

Each template of the packages is put into a model folder with conversations as transformers renders
the template that the package has. The program refuses a template unless it gives each of them to the
letter, so `aqlens check` is the comparison. A template may be refused for what transformers itself
refuses, and for nothing else.
"""

import re

import pytest
from conftest import chat, check, templates

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

REFUSED = {
    # What they need and a conversation of texts does not have.
}


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
    if card.template is None:
        assert name in REFUSED and REFUSED[name] in card.remark, card.remark
        return
    assert name not in REFUSED
    assert len(card.conversations) >= 2, "too few conversations prove anything"
    ended = check(base, tmp_path, {"template": card.template, "conversations": card.conversations})
    assert ended.returncode == 0, ended.stderr


def test_a_template_that_differs_by_a_blank_is_refused(base, tokenizer, tmp_path):
    card = card_of(tokenizer, TEMPLATES["axolotl/llama3"])
    card.conversations[0]["text"] = card.conversations[0]["text"].replace("ball", "ball ", 1)
    ended = check(base, tmp_path, {"template": card.template, "conversations": card.conversations})
    assert ended.returncode == 2 and "chat template that renders" in ended.stderr
