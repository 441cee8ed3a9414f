"""The demo model's tokenizer: byte-level BPE in GPT-2's manner, learned from the corpus.

It has GPT-2's pre-tokenizer pattern, no prefix space, the 256 bytes, the merges, and
`<|endoftext|>` as the last token, so the tool meets the same shape of file as for GPT-2.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from demo.corpus import DENSE, END_OF_TEXT, QUESTION_SHARES, Corpus, answer_words

MAX_VOCABULARY = 2048
"""An upper bound; learning stops earlier, when no pair of tokens occurs twice."""

_SAMPLES_PER_KIND = 3000


def learn_tokenizer(seed: int) -> Tokenizer:
    """Learn merges from a sample of the training stream, every answer word included."""
    corpus = Corpus(seed)
    rules = corpus.rules()
    texts = [f" {word}.\n {word}," for word in answer_words() for _ in range(2)]
    texts += [sentence for found in corpus.contexts.values() for sentence in found]
    for kind in (*QUESTION_SHARES, *DENSE):
        for _ in range(_SAMPLES_PER_KIND):
            example = corpus.example(kind, rules)
            continuation = example.continuation.removesuffix(END_OF_TEXT)
            texts.append(example.prompt + continuation)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(texts, _trainer())
    return _with_last_token(tokenizer)


def _trainer() -> trainers.BpeTrainer:
    """Merges over all 256 bytes, without special tokens."""
    return trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _with_last_token(tokenizer: Tokenizer) -> Tokenizer:
    """Add the end-of-text token after everything else and into the vocabulary itself.

    GPT-2's own file has it in both places; a token only in `added_tokens` would give a
    vocabulary one shorter than the model's output.
    """
    spec = json.loads(tokenizer.to_str())
    token_id = len(spec["model"]["vocab"])
    spec["model"]["vocab"][END_OF_TEXT] = token_id
    spec["added_tokens"] = [
        {
            "id": token_id,
            "content": END_OF_TEXT,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    ]
    return Tokenizer.from_str(json.dumps(spec))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` and the small file `AutoTokenizer` needs beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": 128,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "add_prefix_space": False,
    }
    text = json.dumps(settings, indent=2, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
