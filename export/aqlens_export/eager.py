"""What PyTorch makes of one prompt: the values every export is measured against.

Each prompt runs alone and unpadded through Hugging Face's own `GPT2LMHeadModel` with eager
attention, in float32, and forward hooks catch what passes: so neither padding nor batching nor a
line of this project's graph has a part in the reference.
"""

from dataclasses import dataclass

import torch
from transformers import GPT2LMHeadModel


@dataclass
class EagerRun:
    """One prompt of T tokens. All tensors are float32 on the CPU."""

    hidden: list[torch.Tensor]
    """Per layer [T, d_model]: the block's output, both residual adds in, ln_f not applied."""
    attention: dict[int, torch.Tensor]
    """Layer -> [heads, T, T], softmaxed. Only the layers that were asked for."""
    logits: torch.Tensor
    """[vocab], at the last token."""
    keys: list[torch.Tensor]
    """Per layer [T, d_model]: the keys of all heads, one head after another."""
    values: list[torch.Tensor]
    """Per layer [T, d_model], as `keys`."""


def run_head(model: GPT2LMHeadModel, hidden: torch.Tensor) -> torch.Tensor:
    """Scores of the next token from a block's raw output: [T, d_model] to [T, vocab]."""
    with torch.no_grad():
        return model.lm_head(model.transformer.ln_f(hidden))


def run_alone(model: GPT2LMHeadModel, ids: list[int], attention_layers=None) -> EagerRun:
    """Runs the prompt `ids`; keeps the attention of `attention_layers` (None: of all)."""
    blocks = model.transformer.h
    hidden: dict[int, torch.Tensor] = {}
    attention: dict[int, torch.Tensor] = {}
    projected: dict[int, torch.Tensor] = {}

    def keep_hidden(layer):
        def hook(_module, _inputs, output):
            output = output[0] if isinstance(output, tuple) else output
            hidden[layer] = output.reshape(-1, output.shape[-1])

        return hook

    def keep_attention(layer):
        def hook(_module, _inputs, output):
            attention[layer] = output[1][0]

        return hook

    def keep_projection(layer):
        def hook(_module, _inputs, output):
            projected[layer] = output[0]

        return hook

    wanted = range(len(blocks)) if attention_layers is None else attention_layers
    hooks = [block.register_forward_hook(keep_hidden(i)) for i, block in enumerate(blocks)]
    hooks += [blocks[i].attn.register_forward_hook(keep_attention(i)) for i in wanted]
    hooks += [b.attn.c_attn.register_forward_hook(keep_projection(i)) for i, b in enumerate(blocks)]
    try:
        with torch.no_grad():
            output = model(torch.tensor([ids]), use_cache=False, logits_to_keep=1)
    finally:
        for hook in hooks:
            hook.remove()
    thirds = [projected[i].chunk(3, dim=-1) for i in range(len(blocks))]
    return EagerRun(
        hidden=[hidden[i] for i in range(len(blocks))],
        attention=attention,
        logits=output.logits[0, -1],
        keys=[third[1] for third in thirds],
        values=[third[2] for third in thirds],
    )
