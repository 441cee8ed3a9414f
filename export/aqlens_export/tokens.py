"""What a model's tokenizer does beside cutting texts: special tokens, and the chat template.

aqlens reads tokenizer.json alone, without transformers. So everything is tried on texts here: the
file, with the ids of the card in front and behind, must give what transformers gives.
"""

import re
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from .errors import ExportError

TEXTS = (
    *("What color is the ball?", "The red ball is on the blue table.", "a", " leading blank"),
    *("trailing blank ", "two  blanks   and\ttabs", "line\nbreak\n\nand another\r\n", "1234567890"),
    *(
        "3 + 4 = 7, 10.5 %",
        "Grüße aus Köln",
        "日本語のテキスト",
        "Привет, мир",
        "مرحبا بالعالم",
        "🎈🎉 emoji",
    ),
    *(
        "def f(x):\n    return x ** 2",
        "http://example.org/a?b=c&d=1",
        "don't can't we'll",
        "naïve café",
    ),
    *("Context: A red ball.\n\nAnswer:", "ALL CAPS, mixedCase and snake_case"),
)
"""The texts of the probe: blanks, digits, scripts, code, what tokenizers differ in."""

NAMED = ("bos", "eos", "pad", "unk")

GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""Marks of what an assistant says, for training; other renderers of Jinja do not know them."""

CONVERSATIONS = (
    [{"role": "user", "content": "What color is the ball?"}],
    [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Where is the cup?"},
    ],
    [
        {"role": "user", "content": "The red ball is on the table."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "What color is the ball?"},
    ],
    [{"role": "user", "content": "Two lines.\nAnd a question?"}],
)
"""Of which three that the template takes are kept; some take no system message."""


@dataclass
class Tokens:
    """A tokenizer as aqlens needs it."""

    json: bytes
    """tokenizer.json"""
    prefix_ids: list[int]
    suffix_ids: list[int]
    named: dict[str, dict]
    texts: list[dict]
    """Text and ids, special tokens in."""
    chat_template: str | None = None
    conversations: list[dict] = field(default_factory=list)


def read_tokens(tokenizer, file: bytes | None, vocab_size: int, name: str) -> Tokens:
    """Reads transformers' `tokenizer`; `file`: the bytes of tokenizer.json when there is one.

    Raises ExportError when the tokenizer has no form that aqlens can read.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None and file is None:
        raise ExportError(f"{name} has a tokenizer that only Python can run: no tokenizer.json")
    texts = [{"text": text, "ids": list(tokenizer(text)["input_ids"])} for text in TEXTS]
    prefix, suffix = _surroundings(tokenizer, texts, name)
    found = Tokens(
        json=_faithful(tokenizer, file, backend, name),
        prefix_ids=prefix,
        suffix_ids=suffix,
        named=_named(tokenizer),
        texts=texts,
    )
    largest = max(max(row["ids"], default=0) for row in texts)
    if largest >= vocab_size:
        raise ExportError(
            f"the tokenizer of {name} gives the token id {largest}, but the model's vocabulary "
            f"ends at {vocab_size - 1}: give the tokenizer.json the model was made with"
        )
    found.chat_template = _template(tokenizer)
    if found.chat_template is not None:
        found.conversations = _conversations(tokenizer, found.chat_template)
    return found


def _plain(tokenizer, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _surroundings(tokenizer, texts: list[dict], name: str) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts in front of a text and behind it, the same for every text."""
    found = set()
    for row in texts:
        plain, ids = _plain(tokenizer, row["text"]), row["ids"]
        places = [i for i in range(len(ids)) if ids[i : i + len(plain)] == plain]
        if not places:
            found.add(None)
            break
        end = places[0] + len(plain)
        found.add((tuple(ids[: places[0]]), tuple(ids[end:])))
    if len(found) != 1 or None in found:
        raise ExportError(
            f"the tokenizer of {name} changes a text's own tokens when it adds special ones: "
            "aqlens can put fixed ids in front of a text and behind it"
        )
    prefix, suffix = found.pop()
    return list(prefix), list(suffix)


def _faithful(tokenizer, file: bytes | None, backend, name: str) -> bytes:
    """tokenizer.json: the file as it is when it gives transformers' ids, else what transformers
    made of it."""
    made = None if backend is None else backend.to_str(pretty=True).encode()
    for candidate in (file, made):
        if candidate is not None and _agrees(tokenizer, candidate):
            return candidate
    raise ExportError(
        f"the tokenizer.json of {name} does not give the token ids that transformers gives: "
        "aqlens would read other prompts than the model"
    )


def _agrees(tokenizer, candidate: bytes) -> bool:
    try:
        alone = Tokenizer.from_str(candidate.decode("utf-8"))
    except Exception:  # the tokenizers package raises bare Exception
        return False
    alone.no_padding()
    alone.no_truncation()
    return all(
        alone.encode(text, add_special_tokens=False).ids == _plain(tokenizer, text)
        for text in TEXTS
    )


def _named(tokenizer) -> dict[str, dict]:
    named = {}
    for name in NAMED:
        token = getattr(tokenizer, f"{name}_token", None)
        number = getattr(tokenizer, f"{name}_token_id", None)
        if token is not None and number is not None:
            named[name] = {"id": int(number), "text": str(token)}
    return named


def _template(tokenizer) -> str | None:
    """The chat template with LF newlines and without the tags for training."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        return None
    template = template.replace("\r\n", "\n").replace("\r", "\n")
    return GENERATION.sub("", template)


def _conversations(tokenizer, template: str) -> list[dict]:
    """Three conversations as transformers renders and cuts them. None for a template that asks for
    the time: it renders another text every day."""
    if "strftime_now" in template:
        return []
    rows = []
    for messages in CONVERSATIONS:
        try:
            text = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        except Exception:  # templates refuse roles by errors of their own
            continue
        row = {"messages": messages, "add_generation_prompt": True, "text": text}
        rows.append({**row, "ids": _plain(tokenizer, text)})
    return rows[:3]
