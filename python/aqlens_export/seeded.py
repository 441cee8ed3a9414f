"""Models with random weights: a configuration from JSON, and weights from a seed."""

import json
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config

from .errors import ExportError
from .graph import GELU
from .refusals import refuse_config

RANDOM = "random-weights"
"""The name of such a model, where none is given."""

RANDOM_REQUIRED = {"n_layer", "n_head", "n_embd", "vocab_size", "n_positions"}
RANDOM_OPTIONAL = {
    *("n_inner", "activation_function", "layer_norm_epsilon", "initializer_range"),
    *("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings"),
}

MATRIX_NOISE, VECTOR_NOISE = 0.02, 0.2
"""Standard deviations of what is added to the weights at birth. Norms are 1 and biases 0 then: a
norm or a bias that a graph left out would not show."""


def read_json(config_text: str) -> dict:
    """What --config says: a JSON file's path, or JSON itself."""
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
    return values


def gpt2_config(values: dict) -> GPT2Config:
    """The configuration of a GPT-2."""
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


def family_config(family: str, values: dict):
    """The configuration of another family, transformers' defaults where `values` says nothing."""
    try:
        config = AutoConfig.for_model(family, **values)
    except Exception as error:  # the families' configurations raise what they like
        said = str(error).strip().split("\n")[0]
        raise ExportError(
            f"--config: no configuration of the family {family!r} can be made of it: {said}"
        ) from error
    strange = sorted(values.keys() - _known_keys(family))
    if strange:
        raise ExportError(
            f"--config: the family {family!r} has no {', '.join(strange)} in transformers; its "
            "keys are those of the model's own config.json"
        )
    refuse_config(config, f"--family {family}")
    config._attn_implementation = "eager"
    return config


def _known_keys(family: str) -> set[str]:
    """What the family's configuration reads: transformers itself keeps any other key, unused."""
    plain = AutoConfig.for_model(family)
    return {*plain.to_dict(), *plain.attribute_map, "rope_theta", "rope_scaling"}


def make_random(config, seed: int) -> nn.Module:
    """The model in float32, every parameter moved off its value at birth."""
    torch.manual_seed(seed)
    try:
        model = AutoModelForCausalLM.from_config(config).float().eval()
    except Exception as error:  # the families' constructors raise what they like
        said = str(error).strip().split("\n")[0]
        raise ExportError(f"--config: no model of these sizes can be made: {said}") from error
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            parameter.add_(noise * (MATRIX_NOISE if parameter.dim() > 1 else VECTOR_NOISE))
    return model


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
