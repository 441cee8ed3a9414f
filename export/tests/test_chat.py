"""Chat templates: what is stored of them, and that it renders what the model's own renders."""

import pytest
from transformers import PreTrainedTokenizerFast

import tiny_model
from aqlens_export.chat import CONVERSATIONS, DATE, normalised, read_chat
from aqlens_export.tokens import read_tokens

END = "{% if add_generation_prompt %}[assistant]{% endif %}"


def tokenizer_with(template, **named):
    found = PreTrainedTokenizerFast(tokenizer_object=tiny_model.make_tokenizer(), **named)
    found.chat_template = template
    return found


def chat_of(template):
    return read_chat(tokenizer_with(template), lambda text: [len(text)])


def each(body):
    return "{% for m in messages %}" + body + "{% endfor %}" + END


@pytest.mark.parametrize("before", ["", "-", "+"])
@pytest.mark.parametrize("after", ["", "-", "+"])
@pytest.mark.parametrize("space", [" ", "\n", " \r\n  ", ""])
def test_marks_for_training_take_the_same_blanks_away(before, after, space):
    """Each spelling renders other blanks; the stored template renders the original's."""
    body = "[{{ m.role }}]" + space + "{%@ generation #%}" + space + "{{ m.content }}" + space
    body += "{%@endgeneration#%}" + space + "."
    found = chat_of(each(body.replace("@", before).replace("#", after)))
    assert len(found.conversations) == 4 and found.remark is None
    assert "generation %" not in found.template and "\r" not in found.template
    kept = "" if "-" in (before, after) else space.replace("\r", "")
    assert found.conversations[0]["text"].startswith("[user]" + kept) or "\n" in space


def test_a_mark_that_takes_blanks_away_is_seen_in_the_text():
    marks = "a  {%- generation -%}  {{ m.content }}  {%- endgeneration -%}  b"
    first = chat_of(each(marks)).conversations[0]
    assert first["text"] == "aWhat color is the ball?b[assistant]"
    assert normalised("x {%- generation +%}") == "x {%- if true +%}"


def test_a_conversation_that_the_template_refuses_is_left_out():
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"
    found = chat_of(template + each("[{{ m.role }}]{{ m.content }}"))
    roles = [[m["role"] for m in row["messages"]] for row in found.conversations]
    assert roles == [["user"], ["user", "assistant", "user"], ["user", "assistant"]]


def test_a_template_that_renders_nothing_is_no_template():
    found = chat_of("{{ raise_exception('only with tools') }}{{ messages.content }}")
    assert (found.template, found.conversations) == (None, [])
    assert "refuses every conversation" in found.remark and "only with tools" in found.remark
    assert chat_of(None).remark is None


def test_a_template_that_asks_for_the_time_is_given_a_day():
    found = chat_of(each("{{ strftime_now('%d %b %Y') }} {{ m.content }}"))
    assert found.conversations[0]["text"] == "02 Jan 2026 What color is the ball?[assistant]"
    assert [row["date"] for row in found.conversations] == [DATE] * len(CONVERSATIONS)
    assert all("date" not in row for row in chat_of(each("{{ m.content }}")).conversations)


def test_every_special_token_that_a_template_may_ask_for_is_named():
    names = {"bos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<none>"}
    tokenizer = tokenizer_with(None, **names)
    number = tiny_model.VOCAB_SIZE - 1
    expected = {"id": number, "text": "<|endoftext|>"}
    found = read_tokens(tokenizer, None, 1000, "a model").named
    assert found["bos"] == found["pad"] == expected and found["unk"]["text"] == "<none>"
