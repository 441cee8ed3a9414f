"""Where a model comes from: the hub, a Hugging Face folder, or a seed."""

from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from huggingface_hub import hf_hub_download
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from . import gguf
from .errors import ExportError
from .precise import PreciseSubject
from .read import read_spec
from .refusals import refuse_config
from .seeded import RANDOM, check_config, family_config, gpt2_config, make_random, read_json
from .spec import Spec
from .subject import Subject, gpt2_subject, longest_prompt
from .tokens import Tokens, read_tokens
from .twin import check_twin

TEXTS_CHECKED = 6
"""Of the probe's texts, so many are also checked as prompts."""


@dataclass
class Source:
    """A float32 model in evaluation mode with eager attention, its tokenizer, its origin."""

    model: nn.Module
    tokenizer_json: bytes
    name: str
    revision: str | None
    random_seed: int | None
    spec: Spec | None = None
    """What the graphs are made of; None for a GPT-2, which has its own (`graph.py`)."""
    tokens: Tokens | None = None
    licence: str | None = None

    def subject(self) -> Subject:
        """The model as the checks see it."""
        if self.spec is None:
            return gpt2_subject(self.model)
        texts = [row["ids"] for row in self.tokens.texts[:TEXTS_CHECKED]]
        shape, layers = self.spec.shape, self.spec.attention_layers()
        return PreciseSubject(self.model, shape, layers, longest_prompt(shape), texts)


def from_checkpoint(
    name: str, revision: str | None, say=lambda _line: None, dtype: str = "f32"
) -> Source:
    """Loads a GGUF file or a folder in Hugging Face layout, or asks the hub for the model `name`.

    `dtype`: what graphs are to be made; the model is float32 in any case.

    Raises ExportError for what cannot be exported; of large models before their weights are read.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = Path(name)
    if revision is not None and folder.exists():
        raise ExportError(f"--revision {revision} with {name}, which lies here: leave it out")
    if folder.suffix == ".gguf":
        return _from_gguf(folder, say, dtype)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ExportError(
            f"{name} has no config.json: name a folder in Hugging Face layout "
            "(config.json, model.safetensors, tokenizer.json)"
        )
    # Every file from one commit, even if the branch moves meanwhile.
    commit = None if folder.is_dir() else _commit_of(name, revision)
    config = _ask(name, lambda: AutoConfig.from_pretrained(name, revision=commit))
    shown = folder.resolve().name if folder.is_dir() else name
    if config.model_type == "gpt2":
        check_config(config, name)
    if config.model_type == "gpt2" and dtype == "f32":
        model = _load(GPT2LMHeadModel, name, commit)
        tokenizer = _tokenizer_of(name, folder, commit)
        return _checked(Source(model, tokenizer, shown, commit, None))
    _try_twin(config, name, say, dtype)
    model = _load(AutoModelForCausalLM, name, commit)
    tokenizer = _ask(name, lambda: AutoTokenizer.from_pretrained(name, revision=commit))
    file = _file_of(name, folder, commit, "tokenizer.json")
    card = _file_of(name, folder, commit, "README.md")
    licence = _licence_in(card.decode("utf-8", "replace")) if card else None
    source = Source(model, b"", shown, commit, None, licence=licence)
    return _family(tokenizer, file, source, say)


def _from_gguf(path: Path, say, dtype: str) -> Source:
    """One GGUF file."""
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    name = str(path)
    with gguf.opened(path) as facts:
        _try_twin(_ask(name, lambda: gguf.load_config(path)), name, say, dtype)
        model = _ask(name, lambda: gguf.load_model(path))
        tokenizer = _ask(name, lambda: gguf.load_tokenizer(path, facts))
    if facts.pre_tokenizer in gguf.EACH_DIGIT:
        say("          tokenizer: every digit on its own, as the file asks for")
    source = Source(model, b"", path.stem, None, None, licence=facts.licence)
    return _family(tokenizer, None, source, say)


def _try_twin(config, name: str, say, dtype: str) -> None:
    """Refuses what cannot be exported, by its configuration and by a tiny model like it."""
    refuse_config(config, name)
    say(f"          trying the family {config.model_type} on a tiny model of random weights")
    check_twin(config, name, dtype)


def _load(kind, name: str, commit: str | None) -> nn.Module:
    """The whole model in float32."""
    model, report = _ask(
        name,
        lambda: kind.from_pretrained(
            name,
            revision=commit,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        ),
    )
    _refuse_gaps(name, report, type(model).__name__)
    return model.eval()


def _family(tokenizer, file: bytes | None, source: Source, say) -> Source:
    """Fills in what every family but GPT-2 has beside the model."""
    source.spec = read_spec(source.model)
    source.tokens = read_tokens(tokenizer, file, len(source.spec.embedding), source.name)
    source.tokenizer_json = source.tokens.json
    if source.tokens.chat.remark:
        say(f"          the chat template is left out: {source.tokens.chat.remark}")
    return source


def _file_of(name: str, folder: Path, commit: str | None, file: str) -> bytes | None:
    """A file of the folder or of the hub's model; None where there is none."""
    if folder.is_dir():
        return (folder / file).read_bytes() if (folder / file).is_file() else None
    try:
        return Path(hf_hub_download(name, file, revision=commit)).read_bytes()
    except (OSError, ValueError):
        return None


def _licence_in(card: str) -> str | None:
    """`license` in the head of a model card."""
    parts = card.split("---", 2)
    if card.startswith("---") and len(parts) == 3:
        found = yaml.safe_load(parts[1])
        if isinstance(found, dict) and isinstance(found.get("license"), str):
            return found["license"]
    return None


def _commit_of(name: str, revision: str | None) -> str | None:
    """The hub's commit: its client files what it fetched below snapshots/<commit>."""
    config = Path(_ask(name, lambda: hf_hub_download(name, "config.json", revision=revision)))
    return config.parent.name if config.parent.parent.name == "snapshots" else revision


def from_seed(
    config_text: str,
    seed: int,
    tokenizer: Path,
    family: str | None = None,
    say=lambda _line: None,
    dtype: str = "f32",
) -> Source:
    """A model with random weights: a GPT-2, or one of `family`, transformers' name of it.

    `config_text` is a JSON file's path or JSON itself.
    """
    values, is_gpt2 = read_json(config_text), family in (None, "gpt2")
    config = gpt2_config(values) if is_gpt2 else family_config(family, values)
    if not tokenizer.is_file():
        raise ExportError(f"--tokenizer {tokenizer}: no such file; give a tokenizer.json")
    file = tokenizer.read_bytes()
    if is_gpt2:
        torch.manual_seed(seed)
        config._attn_implementation = "eager"
        model = GPT2LMHeadModel(config).float().eval()
        if dtype == "f32":
            return _checked(Source(model, file, RANDOM, None, seed))
        _try_twin(config, "the random GPT-2", say, dtype)
    else:
        _try_twin(config, f"--family {family}", say, dtype)
        model = make_random(config, seed)
    source = Source(model, b"", RANDOM, None, seed)
    try:
        backend = Tokenizer.from_str(file.decode("utf-8"))
    except Exception as error:  # the tokenizers package raises bare Exception
        raise ExportError(f"--tokenizer {tokenizer} is unreadable: {error}") from error
    return _family(PreTrainedTokenizerFast(tokenizer_object=backend), file, source, say)


def _ask(name: str, load):
    """Runs a loader of transformers and turns its failures into one sentence."""
    try:
        return load()
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ExportError(
            f"cannot load {name}: {first_line}\n"
            "MODEL is a folder in Hugging Face layout or a model name that the hub has; "
            "without a network, copy the model's folder here and name that"
        ) from error


def _refuse_gaps(name: str, report: dict, kind: str) -> None:
    """A weight that the checkpoint lacks would silently be random."""
    gaps = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if gaps:
        raise ExportError(
            f"{name} lacks weights of a {kind}, or has them in another shape: "
            f"{', '.join(gaps[:4])}{' ...' if len(gaps) > 4 else ''}; "
            "save the whole language model and export that"
        )


def _tokenizer_of(name: str, folder: Path, revision: str | None) -> bytes:
    """tokenizer.json as it is; made from vocab.json and merges.txt for old folders."""
    if (folder / "tokenizer.json").is_file():
        return (folder / "tokenizer.json").read_bytes()
    if folder.is_dir():
        if not (folder / "vocab.json").is_file():
            raise ExportError(f"{name} has no tokenizer.json: copy the model's own into it")
        fast = _ask(name, lambda: AutoTokenizer.from_pretrained(name))
        return fast.backend_tokenizer.to_str(pretty=True).encode()
    return Path(
        _ask(name, lambda: hf_hub_download(name, "tokenizer.json", revision=revision))
    ).read_bytes()


def _checked(source: Source) -> Source:
    """A tokenizer that can produce ids the model has no embedding for is the wrong one."""
    try:
        tokenizer = Tokenizer.from_str(source.tokenizer_json.decode("utf-8"))
    except Exception as error:  # the tokenizers package raises bare Exception
        raise ExportError(f"the tokenizer.json of {source.name} is unreadable: {error}") from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    vocab_size = source.model.config.vocab_size
    if largest >= vocab_size:
        raise ExportError(
            f"the tokenizer of {source.name} has token ids up to {largest}, but the model's "
            f"vocabulary ends at {vocab_size - 1}: give the tokenizer.json the model was made with"
        )
    return source
