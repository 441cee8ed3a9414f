"""Models in a GGUF file, as llama.cpp keeps them; quantized weights are turned into float32.

Needs the packages `gguf` and `accelerate`, which the extra `export` of aqlens brings.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from .errors import ExportError

MAGIC = b"GGUF"
"""How such a file begins."""

DIGITS = {"type": "Digits", "individual_digits": True}
"""What llama.cpp's pre-tokenizers of EACH_DIGIT do and transformers leaves out."""

EACH_DIGIT = ("smollm",)


@dataclass
class Facts:
    """What the file says of itself."""

    pre_tokenizer: str | None
    licence: str | None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Facts]:
    """The file's facts; within the block transformers reads no metadata again.

    It would for the configuration, the weights and the tokenizer, and a vocabulary of 49,152 words
    takes 7 seconds each time.
    """
    try:
        import gguf
    except ImportError as error:
        raise ExportError(
            f"{path} needs the package gguf: `pip install 'aqlens[export]'`, or in a checkout "
            "`pip install './export[gguf]'`"
        ) from error
    plain = gguf.GGUFReader
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ExportError(
                f"{path} is not a readable GGUF file: it does not begin with the letters GGUF"
            )
    try:
        reader = plain(str(path))
    except Exception as error:  # the package raises what it meets
        raise ExportError(
            f"{path} is not a readable GGUF file; if a copy or a download ended early, fetch it "
            f"again ({error})"
        ) from error

    def text(key: str) -> str | None:
        entry = reader.get_field(key)
        return None if entry is None else str(entry.contents())

    def again(given, *more):
        return reader if Path(given).resolve() == path.resolve() else plain(given, *more)

    gguf.GGUFReader = again
    try:
        yield Facts(text("tokenizer.ggml.pre"), text("general.license"))
    finally:
        gguf.GGUFReader = plain


def load_config(path: Path):
    """The configuration, without what marks the model as quantized."""
    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    return _plain(config)


def _plain(config):
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._attn_implementation = "eager"
    return config


def load_model(path: Path) -> nn.Module:
    """A float32 model. transformers marks what it loads from GGUF as quantized and refuses to
    convert or save it: so a model is made again from the configuration and given the weights."""
    from accelerate import init_empty_weights

    loaded = AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype=torch.float32
    )
    state = {name: value.float() for name, value in loaded.state_dict().items()}
    config = _plain(loaded.config)
    del loaded
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Tied weights may be named once only.
    report = model.load_state_dict(state, strict=False, assign=True)
    model.tie_weights()
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    missing = [name for name in report.missing_keys if name not in tied]
    if missing or report.unexpected_keys:
        odd = (missing + list(report.unexpected_keys))[0]
        raise ExportError(f"{path.name} and a {type(model).__name__} do not have the same {odd}")
    return model.eval()


def load_tokenizer(path: Path, facts: Facts):
    """transformers' tokenizer, with the pre-tokenizer that the file names where it lost it."""
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    if facts.pre_tokenizer in EACH_DIGIT:
        tokenizer.backend_tokenizer.pre_tokenizer = with_digits(tokenizer.backend_tokenizer)
    return tokenizer


def with_digits(backend):
    """The pre-tokenizer with every digit on its own first."""
    described = json.loads(backend.to_str())
    found = described["pre_tokenizer"]
    steps = found["pretokenizers"] if found and found["type"] == "Sequence" else [found]
    if DIGITS not in steps:
        steps = [DIGITS, *(step for step in steps if step)]
    described["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    return Tokenizer.from_str(json.dumps(described)).pre_tokenizer
