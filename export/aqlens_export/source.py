"""Where a model comes from: the hub, a Hugging Face folder, or a seed."""

import json
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
    GPT2Config,
    GPT2LMHeadModel,
)
from transformers.utils import logging as transformers_logging

from . import gguf
from .errors import ExportError
from .graph import GELU
from .precise import PreciseSubject
from .read import read_spec
from .refusals import refuse_config
from .spec import Spec
from .subject import Subject, gpt2_subject, longest_prompt
from .tokens import Tokens, read_tokens
from .twin import check_twin

RANDOM_REQUIRED = {"n_layer", "n_head", "n_embd", "vocab_size", "n_positions"}
RANDOM_OPTIONAL = {
    *("n_inner", "activation_function", "layer_norm_epsilon", "initializer_range"),
    *("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings"),
}

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


def from_checkpoint(name: str, revision: str | None, say=lambda _line: None) -> Source:
    """Loads a GGUF file or a folder in Hugging Face layout, or asks the hub for the model `name`.

    Raises ExportError for what cannot be exported; of large models before their weights are read.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = Path(name)
    if revision is not None and folder.exists():
        raise ExportError(f"--revision {revision} with {name}, which lies here: leave it out")
    if folder.suffix == ".gguf":
        return _from_gguf(folder, say)
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
        model = _load(GPT2LMHeadModel, name, commit)
        tokenizer = _tokenizer_of(name, folder, commit)
        return _checked(Source(model, tokenizer, shown, commit, None))
    _try_twin(config, name, say)
    model = _load(AutoModelForCausalLM, name, commit)
    tokenizer = _ask(name, lambda: AutoTokenizer.from_pretrained(name, revision=commit))
    file = _file_of(name, folder, commit, "tokenizer.json")
    card = _file_of(name, folder, commit, "README.md")
    licence = _licence_in(card.decode("utf-8", "replace")) if card else None
    return _family(model, tokenizer, file, Source(model, b"", shown, commit, None, licence=licence))


def _from_gguf(path: Path, say) -> Source:
    """One GGUF file."""
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    facts = gguf.read_facts(path)
    name = str(path)
    _try_twin(_ask(name, lambda: gguf.load_config(path)), name, say)
    model = _ask(name, lambda: gguf.load_model(path))
    tokenizer = _ask(name, lambda: gguf.load_tokenizer(path, facts))
    if facts.pre_tokenizer in gguf.EACH_DIGIT:
        say("          tokenizer: every digit on its own, as the file asks for")
    source = Source(model, b"", path.stem, None, None, licence=facts.licence)
    return _family(model, tokenizer, None, source)


def _try_twin(config, name: str, say) -> None:
    """Refuses what cannot be exported, by its configuration and by a tiny model like it."""
    refuse_config(config, name)
    say(f"          trying the family {config.model_type} on a tiny model of random weights")
    check_twin(config, name)


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


def _family(model: nn.Module, tokenizer, file: bytes | None, source: Source) -> Source:
    """Fills in what every family but GPT-2 has beside the model."""
    source.spec = read_spec(model)
    source.tokens = read_tokens(tokenizer, file, len(source.spec.embedding), source.name)
    source.tokenizer_json = source.tokens.json
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


def from_seed(config_text: str, seed: int, tokenizer: Path) -> Source:
    """A model with random weights; `config_text` is a JSON file's path or JSON itself."""
    config = _random_config(config_text)
    if not tokenizer.is_file():
        raise ExportError(f"--tokenizer {tokenizer}: no such file; give a tokenizer.json")
    torch.manual_seed(seed)
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).float().eval()
    return _checked(Source(model, tokenizer.read_bytes(), "random-weights", None, seed))


def check_config(config: GPT2Config, name: str) -> None:
    """Refuses what the graph has no nodes for."""
    if config.activation_function not in GELU:
        raise ExportError(
            f"{name} has activation_function {config.activation_function!r}: "
            f"the graph has {', '.join(GELU)}"
        )
    if config.add_cross_attention:
        raise ExportError(f"{name} has cross-attention: only decoder-only GPT-2 is exported")
    if config.n_embd % config.n_head:
        raise ExportError(
            f"{name}: n_embd {config.n_embd} is not a multiple of n_head {config.n_head}; "
            "change one of them"
        )


def _random_config(config_text: str) -> GPT2Config:
    path = Path(config_text)
    inline = config_text.lstrip().startswith("{")
    try:
        values = json.loads(config_text if inline else path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"--config {config_text}: no such file, and not JSON itself") from error
    except json.JSONDecodeError as error:
        raise ExportError(f"--config {config_text}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ExportError(f"--config {config_text}: expected a JSON object")
    missing = sorted(RANDOM_REQUIRED - values.keys())
    unknown = sorted(values.keys() - RANDOM_REQUIRED - RANDOM_OPTIONAL)
    if missing:
        raise ExportError(f"--config: {', '.join(missing)} missing; add it")
    if unknown:
        known = ", ".join(sorted(RANDOM_REQUIRED | RANDOM_OPTIONAL))
        raise ExportError(f"--config: unknown key {', '.join(unknown)}; known are {known}")
    sizes = RANDOM_REQUIRED | ({"n_inner"} & values.keys())
    for key in sorted(sizes):
        if not isinstance(values[key], int) or isinstance(values[key], bool) or values[key] < 1:
            raise ExportError(f"--config: {key} is {values[key]!r}; give a whole number above 0")
    end_of_text = values["vocab_size"] - 1
    config = GPT2Config(**values, bos_token_id=end_of_text, eos_token_id=end_of_text)
    check_config(config, "--config")
    return config


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
