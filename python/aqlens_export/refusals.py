"""What is refused by its configuration alone, each in one sentence, before weights are loaded."""

from .errors import ExportError

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")

LINEAR_TYPES = {"linear_attention", "mamba", "mamba2", "conv", "recurrent", "hybrid"}

STATE_SPACE = ("state_size", "ssm_cfg", "mamba_d_state", "time_mix_extra_dim", "lru_width")


def refuse_config(config, name: str) -> None:
    """Raises ExportError for a model that attention over dense layers does not describe."""
    family = f"{name} is of the family {config.model_type!r}"
    ask = lambda key: getattr(config, key, None)
    if ask("is_encoder_decoder"):
        raise ExportError(f"{family}, an encoder-decoder: only decoder-only models are exported")
    if ask("vision_config") is not None or ask("audio_config") is not None:
        raise ExportError(
            f"{family}, which also reads images or sound: export its text-only version"
        )
    if any((ask(key) or 0) > 1 for key in EXPERTS):
        raise ExportError(f"{family}, a mixture of experts: only dense models are exported")
    types = set(ask("layer_types") or ()) | set(ask("layers_block_type") or ())
    if types & LINEAR_TYPES or any(ask(key) is not None for key in STATE_SPACE):
        raise ExportError(
            f"{family}, which has linear attention or a state space instead of attention over all "
            "tokens: aqlens cannot read weights from it"
        )
    if types - {"full_attention", "sliding_attention", "attention"}:
        odd = ", ".join(sorted(types - {"full_attention", "sliding_attention"}))
        raise ExportError(f"{family} with layers of the type {odd}: the graph has no such layer")
    if ask("use_bidirectional_attention") or ask("is_causal") is False:
        raise ExportError(
            f"{family} with attention in both directions: tokens would depend on later ones, "
            "and aqlens shares beginnings of prompts"
        )
    if ask("alibi") or config.model_type in ("bloom", "mpt"):
        raise ExportError(f"{family} with ALiBi positions: the graph has learnt and rotary ones")
    if ask("clip_qkv") is not None:
        raise ExportError(f"{family} with clip_qkv {config.clip_qkv}: the graph clips nothing")
    if "dynamic" in rope_types(config):
        raise ExportError(
            f"{family} with dynamic NTK rotary positions: they depend on the longest prompt of a "
            "batch; set rope_type to default to export it up to its original length"
        )


def rope_types(config) -> set[str]:
    """The kinds of rotary scaling that the configuration names, for any of its layer types."""
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [v for v in parameters.values() if isinstance(v, dict)] or [parameters]
    return {entry.get("rope_type", "default") for entry in nested}


def position_limit(config) -> int:
    """How many positions the model has. Up to its original length only where another rule holds
    beyond: the tables of longrope depend on a batch's longest prompt there, and Ministral 3
    multiplies queries by what grows with the position."""
    names = ("max_position_embeddings", "n_positions", "max_sequence_length")
    limit = next((getattr(config, n) for n in names if getattr(config, n, None)), 2048)
    parameters = getattr(config, "rope_parameters", None) or {}
    if "longrope" in rope_types(config) or parameters.get("llama_4_scaling_beta"):
        original = getattr(config, "original_max_position_embeddings", None)
        original = parameters.get("original_max_position_embeddings", original)
        limit = min(limit, original or limit)
    return int(limit)
