"""The tiny model of the tests: a GPT-2 of an odd shape with random weights, and its tokenizer.

Its point is to differ from the demo model in everything a reader might have wired in: 5 layers, 3
heads of 9 dimensions (no power of two, no multiple of a vector register), 64 positions, 320
tokens. The weights are larger than GPT-2's at birth, biases and norms are not at their defaults,
so that attention is not flat and a term left out of a graph shows.
"""

import itertools
import json
from collections import Counter
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel

END_OF_TEXT = "<|endoftext|>"

VOCAB_SIZE = 320
"""256 bytes, 63 merges, the end of text."""

CONFIG = {
    "n_layer": 5,
    "n_head": 3,
    "n_embd": 27,
    "n_positions": 64,
    "vocab_size": VOCAB_SIZE,
    "initializer_range": 0.3,
    "bos_token_id": VOCAB_SIZE - 1,
    "eos_token_id": VOCAB_SIZE - 1,
}

MERGE_TEXT = (
    "the red ball is on the blue table next to the green cup. what color is the ball? where is "
    "the ball? name the thing that the ball is next to. the answer is here, in the next context: "
    "a green ball, a blue cup, a red table. what is red? the cup is under the table.\n\nAnswer: "
    "the ball.\n\nContext: the cup."
)
"""The merges come from this text, most frequent pair first."""


def learn_merges(text: str, count: int) -> list[tuple[str, str]]:
    """Byte-pair merges of `text`; of equally frequent pairs the first in code-point order.

    Written out, because a trained tokenizer must not depend on the trainer's version.
    """
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter(tuple(word) for word, _ in splitter.pre_tokenize_str(text))
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({_merged(word, best): times for word, times in words.items()})
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined, at = [], 0
    while at < len(word):
        if word[at : at + 2] == pair:
            joined.append("".join(pair))
            at += 2
        else:
            joined.append(word[at])
            at += 1
    return tuple(joined)


def make_tokenizer() -> Tokenizer:
    """A byte-level BPE with GPT-2's settings; the end of text is an added token, last."""
    merges = learn_merges(MERGE_TEXT, VOCAB_SIZE - 1 - 256)
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=True)])
    return tokenizer


def make_model(seed: int = 41) -> GPT2LMHeadModel:
    """Random weights, with biases and layer norms moved off 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**CONFIG)).eval()
    std = CONFIG["initializer_range"]
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            if name.endswith("bias"):
                parameter.copy_(noise * 0.1)
            elif "ln_" in name:
                parameter.copy_(1.0 + noise * 0.1)
            else:
                parameter.copy_(noise * std)
    return model


def write_checkpoint(folder: Path) -> None:
    """Writes config.json, model.safetensors and tokenizer.json in Hugging Face layout."""
    make_model().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    make_tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "model_max_length": CONFIG["n_positions"],
        **dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT),
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
