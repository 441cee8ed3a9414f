"""What PyTorch makes of one prompt: the values every export is measured against.

Each prompt runs alone and unpadded through Hugging Face's own model with eager attention, and
forward hooks catch what passes: so neither padding nor batching nor a line of this project's graph
has a part in the reference.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import DynamicCache, GPT2LMHeadModel

from .errors import ExportError
from .layouts import attention_of, blocks_of


@dataclass
class EagerRun:
    """One prompt of T tokens. All tensors are on the CPU, of the model's type (float32)."""

    hidden: list[torch.Tensor]
    """Per layer [T, d_model]: the block's output, all residual adds in, no final norm applied."""
    attention: dict[int, torch.Tensor]
    """Layer -> [heads, T, T], softmaxed. Only the layers that were asked for."""
    logits: torch.Tensor
    """[vocab], at the last token."""
    keys: list[torch.Tensor]
    """Per layer [T, kv heads * d_head]: the keys of all heads, one head after another."""
    values: list[torch.Tensor]
    """Per layer [T, kv heads * d_head], as `keys`."""

    def rounded(self) -> "EagerRun":
        """The same numbers as float32."""
        return EagerRun(
            [x.float() for x in self.hidden],
            {layer: weights.float() for layer, weights in self.attention.items()},
            self.logits.float(),
            [x.float() for x in self.keys],
            [x.float() for x in self.values],
        )

    def without_keys(self) -> "EagerRun":
        """The same without keys and values."""
        return EagerRun(self.hidden, self.attention, self.logits, [], [])


def tensor_of(output) -> torch.Tensor:
    """What a block hands on: some give a tensor, some a tuple that it is the first of."""
    return output[0] if isinstance(output, tuple) else output


def run_head(model: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """Scores of the next token from a block's raw output: [T, d_model] to [T, vocab].

    The family's own code does it: every block is replaced by one that gives `hidden`.
    """
    if isinstance(model, GPT2LMHeadModel):
        with torch.no_grad():
            return model.lm_head(model.transformer.ln_f(hidden))
    rows = hidden.reshape(1, -1, hidden.shape[-1])
    given = (rows, None) if _blocks_give_tuples(model) else rows
    blocks = blocks_of(model)
    try:
        for block in blocks:
            block.forward = lambda *_inputs, **_named: given
        with torch.no_grad():
            logits = model(torch.zeros(1, rows.shape[1], dtype=torch.long), use_cache=False).logits
    finally:
        for block in blocks:
            del block.forward
    return logits.reshape(*hidden.shape[:-1], -1)


_gives_tuples: WeakKeyDictionary = WeakKeyDictionary()


def _blocks_give_tuples(model: nn.Module) -> bool:
    """Whether the model expects a tuple of its blocks; asked once a model."""
    if model not in _gives_tuples:
        found = []
        hook = blocks_of(model)[0].register_forward_hook(lambda _m, _i, out: found.append(out))
        try:
            with torch.no_grad():
                model(torch.zeros(1, 1, dtype=torch.long), use_cache=False)
        finally:
            hook.remove()
        _gives_tuples[model] = isinstance(found[0], tuple)
    return _gives_tuples[model]


def run_alone(model: nn.Module, ids: list[int], attention_layers=None, first: int = 0) -> EagerRun:
    """Runs the prompt `ids`; keeps the attention of `attention_layers` (None: of all). `first`: the
    position that its first token stands at."""
    blocks = blocks_of(model)
    hidden: dict[int, torch.Tensor] = {}
    attention: dict[int, torch.Tensor] = {}

    def keep_hidden(layer):
        def hook(_module, _inputs, output):
            hidden[layer] = tensor_of(output).reshape(-1, tensor_of(output).shape[-1])

        return hook

    def keep_attention(layer):
        def hook(module, _inputs, output):
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if not isinstance(weights, torch.Tensor) or weights.dim() != 4:
                raise ExportError(f"a {type(module).__name__} shows no weights of attention")
            attention[layer] = weights[0]

        return hook

    wanted = range(len(blocks)) if attention_layers is None else attention_layers
    hooks = [block.register_forward_hook(keep_hidden(i)) for i, block in enumerate(blocks)]
    hooks += [attention_of(blocks[i]).register_forward_hook(keep_attention(i)) for i in wanted]
    # Without a configuration the cache keeps all tokens, of windowed layers too.
    cache = DynamicCache()
    places = {"position_ids": torch.arange(first, first + len(ids))[None]} if first else {}
    try:
        with torch.no_grad():
            output = model(
                torch.tensor([ids]),
                use_cache=True,
                past_key_values=cache,
                logits_to_keep=1,
                **places,
            )
    finally:
        for hook in hooks:
            hook.remove()
    return EagerRun(
        hidden=[hidden[i] for i in range(len(blocks))],
        attention=attention,
        logits=output.logits[0, -1],
        keys=[_by_token(layer.keys) for layer in cache.layers],
        values=[_by_token(layer.values) for layer in cache.layers],
    )


def _by_token(cached: torch.Tensor) -> torch.Tensor:
    """[1, heads, T, d_head] to [T, heads * d_head]."""
    return cached[0].transpose(0, 1).flatten(1)


def run_moved(model: nn.Module, ids: list[int], first: int, attention_layers=None) -> EagerRun:
    """What a model of relative positions must give of a prompt that starts at position `first`:
    what it gives at 0, but for the keys, which are those that PyTorch has there."""
    keys = run_alone(model, ids, [], first).keys
    return replace(run_alone(model, ids, attention_layers), keys=keys)


def run_knocked_out(model: nn.Module, ids: list[int], hidden: int, rest: int) -> EagerRun:
    """The prompt `ids`, whose tokens from `rest` on do not see the first `hidden` ones, with the
    attention of all layers. Everything else, positions and windows too, is as always."""
    with _knocked_out(model, hidden, rest):
        return run_alone(model, ids)


@contextlib.contextmanager
def _knocked_out(model: nn.Module, hidden: int, rest: int) -> Iterator[None]:
    """Within, every layer's own mask hides those keys from those queries too."""

    def hide(module, given, named):
        mask = named.get("attention_mask")
        if not isinstance(mask, torch.Tensor) or mask.dim() != 4:
            raise ExportError(f"a {type(module).__name__} is given no mask of queries and keys")
        mask = mask.clone()
        nothing = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        mask[:, :, rest:, :hidden] = nothing
        return given, {**named, "attention_mask": mask}

    hooks = [
        attention_of(block).register_forward_pre_hook(hide, with_kwargs=True)
        for block in blocks_of(model)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def run_patched(model: nn.Module, layer: int, stream: torch.Tensor) -> torch.Tensor:
    """Scores [vocab] after the last token of a run whose block `layer` gives `stream` [T, d_model]
    in place of its own output."""

    def put(_module, _inputs, output):
        own = tensor_of(output)
        given = stream.to(own.dtype).reshape(own.shape)
        return (given, *output[1:]) if isinstance(output, tuple) else given

    hook = blocks_of(model)[layer].register_forward_hook(put)
    ids = torch.zeros(1, len(stream), dtype=torch.long)
    try:
        with torch.no_grad():
            return model(ids, use_cache=False, logits_to_keep=1).logits[0, -1]
    finally:
        hook.remove()
