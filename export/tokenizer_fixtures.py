"""Small tokenizers of the layouts that published models have, and what transformers makes of texts.

    python export/tokenizer_fixtures.py     writes tests/fixtures/tokenizers/

Each is trained here on the lines below, a few hundred tokens large, with the parts (normalizer,
pre-tokenizer, decoder, post-processor) of the models it is named after. `LAYOUT.json` is a
tokenizer.json; `cases.json` has, for each layout, ids and places of the texts and prompts as
transformers gives them, and the text of every token as its vocabulary spells it.
"""

import json
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "tokenizers"

LINES = [
    *("A red ball lies on a blue table, next to a green cup.", "What color is the ball?"),
    *("The red cup and the red ball are red.", "Where is the blue cup? On the table."),
    *("Context: a table with 3 cups and 12 balls.", "Answer: there are 15 of them, not 1500."),
    *(
        "  indented text, and    more blanks",
        "Is it the tallest? It isn't; we'll see, they've seen.",
    ),
    *("(red) [red] <red> (red) 'red' red-red", "(ball) [ball] <ball> (ball) 'ball' ball-ball"),
    *("Grüße aus Köln: schöne Bälle, größere Tische.", "naïve café déjà vu, garçon, señor"),
    *("красный мяч лежит на синем столе", "красная чашка стоит рядом"),
    *("赤いボールは青いテーブルの上にあります。", "红色的球在蓝色的桌子上。"),
    *("def color(ball):\n    return ball.color\n", "x = [1, 2, 3]\n\n\ty = {'a': x}\n"),
]

TEXTS = [
    *(
        "What color is the ball?",
        "Grüße aus Köln, naïve café",
        "赤いボールは青い。红色的球",
        "ball 🎈🎉 ball",
    ),
    *(
        "two  blanks   and    four",
        "a\ttab\t\tand tabs",
        "line\nbreak\n\nand\r\nanother\n",
        "12 345 6789",
    ),
    *(" leading blank", " ", "the end<|end|>of it<s>here", "мяч ball 球 ボール red", "a▁b ▁ red▁"),
    *(
        "trailing blank ",
        "",
        "it's we'll THEY'VE isn't",
        "cafe\u0301 e\u0301\u0327 \u1112\u1161\u11ab",
        "a\u00a0b\u2003c",
    ),
    *("👩‍👩‍👧 family 🏳️‍🌈", "x = [1, 2]; y != 3 ** 4 // $5 %"),
]
"""Plain, accents, scripts, emoji, several blanks, tabs, line breaks, digits, leading and trailing
blanks, one blank, nothing, text of special tokens, the sign that stands for a blank, signs made of
several characters, other blanks, code."""

PROMPTS = [
    ("{task}\n\nContext: {input}\n\nAnswer:", "What color is the ball?", "A red ball."),
    ("{input} {task}", "Where?", "красный мяч"),
    ("{task}{input}", "Color: ", "赤いボール🎈"),
    ("  {task}  {input}  ", "déjà vu", "e\u0301 12\n34"),
    ("{input}", "", " red\u00a0ball"),
    ("[{task}]({input})", "a▁b", "\tred  ball "),
]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

MERGES = 150


def learn(lines, pre_tokenizer=None) -> list[tuple[str, str]]:
    """The pairs that a byte-pair encoding of `lines` joins, in order."""
    tokenizer = Tokenizer(models.BPE())
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    letters = {letter for line in lines for letter in line}
    size = MERGES + (256 if pre_tokenizer is not None else len(letters))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if pre_tokenizer is not None else []
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) for pair in merges]


def byte_level(split, *, normalizer=None, first=None, special=(), ignore_merges=False) -> Tokenizer:
    """GPT-2's kind: every byte is a letter. `split`: how a text falls into words."""
    merges = learn(LINES, split)
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    plain = processors.ByteLevel(trim_offsets=False)
    tokenizer.post_processor = plain
    if first is not None:
        number = tokenizer.token_to_id(first)
        template = processors.TemplateProcessing(
            single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, number)]
        )
        tokenizer.post_processor = processors.Sequence([plain, template])
    return tokenizer


def by_regex(pattern: str):
    """Words by a pattern, their bytes as letters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def sentence_piece(specials, first, normalizer, splitter, strips: bool) -> Tokenizer:
    """Llama 2's kind: letters with a sign for blanks, and bytes for letters that are not known."""
    lines = ["▁" + line.replace(" ", "▁") for line in LINES]
    # A word is all up to the next blank, as no published model joins words.
    words = [f"▁{word}" for line in lines for word in line.split("▁")[1:]]
    merges = learn(words)
    letters = sorted({letter for line in lines for letter in line})
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    tokens += ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if splitter is not None:
        tokenizer.pre_tokenizer = splitter
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strips else []))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in specials])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A",
        pair=f"{first} $A {first} $B",
        special_tokens=[(first, tokenizer.token_to_id(first))],
    )
    return tokenizer


def layouts() -> dict[str, Tokenizer]:
    """Every layout by its name."""
    llama2 = ("<unk>", "<s>", "</s>")
    gemma = ("<pad>", "<eos>", "<bos>", "<unk>")
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    start = "<|begin_of_text|>"
    return {
        "gpt2": byte_level(gpt2, special=["<|end|>"]),
        "llama3": byte_level(
            by_regex(LLAMA3), first=start, special=[start, "<|end|>"], ignore_merges=True
        ),
        "llama2": sentence_piece(llama2, "<s>", prepend, None, True),
        "mistral": sentence_piece(llama2, "<s>", None, metaspace, True),
        "gemma": sentence_piece(
            gemma,
            "<bos>",
            normalizers.Replace(" ", "▁"),
            pre_tokenizers.Split(" ", "merged_with_previous"),
            False,
        ),
        "qwen": byte_level(by_regex(QWEN), normalizer=normalizers.NFC(), special=["<|end|>"]),
    }


def spelled(tokenizer: Tokenizer) -> list[str]:
    """The text of every token by its spelling alone, no decoder asked."""
    bytes_of = {letter: byte for byte, letter in bytes_to_letters().items()}
    is_bytes = "<0x00>" not in tokenizer.get_vocab()
    special = set(tokenizer.get_added_tokens_decoder())
    texts = []
    for number in range(tokenizer.get_vocab_size()):
        token = tokenizer.id_to_token(number)
        if number in special:
            texts.append(token)
        elif is_bytes:
            data = bytes(bytes_of[letter] for letter in token)
            texts.append(data.decode("utf-8", errors="replace"))
        elif token.startswith("<0x"):
            byte = int(token[3:5], 16)
            texts.append(chr(byte) if byte < 128 else "\ufffd")
        else:
            texts.append(token.replace("▁", " "))
    return texts


def bytes_to_letters() -> dict[int, str]:
    """GPT-2's letters for bytes: printable ones stand for themselves, others from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def prompt_of(template: str, task: str, given: str) -> dict:
    """A prompt's text, and where task and input stand, in characters."""
    text, spans = template, {}
    for name, value in sorted(
        {"{task}": task, "{input}": given}.items(), key=lambda item: template.find(item[0])
    ):
        at = text.find(name)
        if at >= 0:
            text = text[:at] + value + text[at + len(name) :]
            spans[name] = [at, at + len(value)]
    return {"text": text, "task": spans.get("{task}"), "input": spans["{input}"]}


def cases_of(tokenizer: Tokenizer) -> dict:
    """What transformers makes of the texts and prompts."""
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)

    def cut(text: str) -> dict:
        found = fast(text, return_offsets_mapping=True)
        return {"ids": found["input_ids"], "offsets": [list(x) for x in found["offset_mapping"]]}

    prompts = [prompt_of(*prompt) for prompt in PROMPTS]
    return {
        "texts": [{"text": text, **cut(text)} for text in TEXTS],
        "prompts": [{**row, **cut(row["text"])} for row in prompts],
        "prefix_ids": fast("")["input_ids"],
        "tokens": spelled(tokenizer),
    }


def main() -> None:
    """Writes the fixtures."""
    OUT.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, tokenizer in layouts().items():
        (OUT / f"{name}.json").write_text(tokenizer.to_str() + "\n", encoding="utf-8")
        cases[name] = cases_of(tokenizer)
    lines = [
        f"{json.dumps(name)}: {json.dumps(values, ensure_ascii=False)}"
        for name, values in cases.items()
    ]
    (OUT / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
