"""Chat templates, and conversations that a reader's own rendering of them must give.

transformers renders with Jinja2, aqlens with another engine. So the template is stored as both read
it, and beside it a few conversations as transformers renders the template that the model came with.
"""

import contextlib
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest import mock

from transformers.utils import chat_template_utils

GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")
"""Marks around what an assistant says, for training; other renderers of Jinja do not know them."""

DATE = "2026-01-02"
"""Today, for templates that ask for the time: they would render another text every day."""

CONVERSATIONS = (
    ([{"role": "user", "content": "What color is the ball?"}], False),
    (
        [
            {"role": "system", "content": "Answer in one word."},
            {"role": "user", "content": "Where is the cup?"},
        ],
        False,
    ),
    (
        [
            {"role": "user", "content": "The red ball is on the table."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": "What color is the ball?"},
        ],
        False,
    ),
    (
        [
            {"role": "user", "content": "Two lines.\nAnd a question?"},
            {"role": "assistant", "content": "The answer is"},
        ],
        True,
    ),
)
"""Messages, and whether the last one is the beginning of what the model goes on with."""


@dataclass
class Chat:
    """A chat template as aqlens needs it."""

    template: str | None = None
    conversations: list[dict] = field(default_factory=list)
    remark: str | None = None
    """Why a template that the model has is left out."""


def read_chat(tokenizer, cut) -> Chat:
    """The template of transformers' `tokenizer` and its conversations; `cut` makes a text's ids."""
    original = getattr(tokenizer, "chat_template", None)
    if isinstance(original, dict):
        original = original.get("default")
    if not isinstance(original, str):
        return Chat()
    template, rows, refusal = normalised(original), [], "it renders nothing"
    for messages, goes_on in CONVERSATIONS:
        try:
            text = _render(tokenizer, messages, original, goes_on)
            again = _render(tokenizer, messages, template, goes_on)
        except Exception as error:  # templates refuse roles by errors of their own
            refusal = str(error).strip().split("\n")[0]
            continue
        if again != text:
            return Chat(remark="without its marks for training it renders other texts")
        row = {"messages": messages, "add_generation_prompt": not goes_on}
        row |= {"continue_final": True} if goes_on else {}
        row |= {"date": DATE} if "strftime_now" in template else {}
        rows.append({**row, "text": text, "ids": cut(text)})
    if not rows:
        return Chat(remark=f"it refuses every conversation that was tried ({refusal})")
    return Chat(template, rows)


def normalised(template: str) -> str:
    """The template with LF newlines, and a condition that always holds in place of each mark for
    training: the marks may also take blanks away, and the condition takes away the same."""
    template = template.replace("\r\n", "\n").replace("\r", "\n")
    return GENERATION.sub(_condition, template)


def _condition(mark: re.Match) -> str:
    before, end, after = mark.groups()
    return f"{{%{before} {'endif' if end else 'if true'} {after}%}}"


def _render(tokenizer, messages: list[dict], template: str, goes_on: bool) -> str:
    with _today():
        return tokenizer.apply_chat_template(
            messages,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )


@contextlib.contextmanager
def _today() -> Iterator[None]:
    """It is DATE."""

    class Fixed(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(DATE).replace(tzinfo=tz)

    with mock.patch.object(chat_template_utils, "datetime", Fixed):
        yield
