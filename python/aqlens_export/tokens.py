"""What a model's tokenizer does beside cutting texts: special tokens, and the chat template.

aqlens reads tokenizer.json alone, without transformers. So everything is tried on texts here: the
file, with the ids of the card in front and behind, must give what transformers gives.
"""

from dataclasses import dataclass, field

from tokenizers import Tokenizer

from .chat import Chat, read_chat
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
    chat: Chat = field(default_factory=Chat)


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
    found.chat = read_chat(tokenizer, lambda text: _plain(tokenizer, text))
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
    """Every special token that has a name of its own: templates ask for `bos_token` and others."""
    named = {}
    for name, text in sorted(tokenizer.special_tokens_map.items()):
        number = tokenizer.convert_tokens_to_ids(text)
        if number is not None and tokenizer.convert_ids_to_tokens(number) == text:
            named[name.removesuffix("_token")] = {"id": int(number), "text": text}
    return named
