"""Tiny models of every family that the exporter knows, and of some that it must refuse.

Each is the family's own class in transformers with random weights, from a configuration whose sizes
are odd enough to tell one dimension from another. Norms and biases are moved off 1 and 0, so that a
term left out shows.
"""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

VOCAB_SIZE = 97

BASE = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "vocab_size": VOCAB_SIZE,
    "initializer_range": 0.2,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
}

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 24,
}

MINISTRAL3_ROPE = {
    **YARN_ROPE,
    "max_position_embeddings": 96,
    "mscale_all_dim": 1.0,
    "mscale": 1.0,
    "llama_4_scaling_beta": 0.1,
}

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1000.0,
    "short_factor": [1.0, 1.5, 2.0, 2.5],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 32,
    "factor": 3.0,
}

GEMMA = {"head_dim": 16, "hidden_activation": "gelu_pytorch_tanh"}
GEMMA2 = {
    **GEMMA,
    "sliding_window": 7,
    "query_pre_attn_scalar": 20,
    "attn_logit_softcapping": 5.0,
    "final_logit_softcapping": 3.0,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
GEMMA3 = {
    **GEMMA,
    "sliding_window": 7,
    "query_pre_attn_scalar": 20,
    "rope_theta": 1e6,
    "layer_types": [
        "sliding_attention",
        "sliding_attention",
        "full_attention",
        "sliding_attention",
    ],
}
FALCON = {
    "ffn_hidden_size": 80,
    "bias": False,
    "alibi": False,
    "num_kv_heads": 2,
    "layer_norm_epsilon": 1e-5,
}

FAMILIES = {
    "llama": ("llama", {}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama head_dim": ("llama", {"head_dim": 10}),
    "llama biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama llama3": ("llama", {"rope_parameters": LLAMA3_ROPE}),
    "llama yarn": ("llama", {"rope_parameters": YARN_ROPE}),
    "llama linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}},
    ),
    "mistral": ("mistral", {"sliding_window": 7}),
    "mistral full": ("mistral", {"sliding_window": None, "head_dim": 12}),
    "ministral": (
        "ministral",
        {
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "head_dim": 12,
        },
    ),
    "ministral3": ("ministral3", {"rope_parameters": MINISTRAL3_ROPE}),
    "qwen2": ("qwen2", {}),
    "qwen2 windows": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 2},
    ),
    "qwen3": ("qwen3", {"head_dim": 12}),
    "gemma": ("gemma", GEMMA),
    "gemma2": ("gemma2", GEMMA2),
    "gemma3": ("gemma3_text", GEMMA3),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", {"sliding_window": 7}),
    "phi3": ("phi3", {"sliding_window": 7}),
    "phi3 longrope": (
        "phi3",
        {"rope_parameters": LONGROPE, "original_max_position_embeddings": 32},
    ),
    "phi": ("phi", {"num_key_value_heads": 6}),
    "phi qk_layernorm": ("phi", {"num_key_value_heads": 6, "qk_layernorm": True}),
    "gpt_neox": ("gpt_neox", {"use_parallel_residual": True}),
    "gpt_neox serial": ("gpt_neox", {"use_parallel_residual": False}),
    "opt": ("opt", {"ffn_dim": 80, "word_embed_proj_dim": 48}),
    "opt 350m": (
        "opt",
        {"ffn_dim": 80, "word_embed_proj_dim": 20, "do_layer_norm_before": False},
    ),
    "gptj": ("gptj", {"rotary_dim": 4, "n_inner": 80, "tie_word_embeddings": False}),
    "gpt_neo": (
        "gpt_neo",
        {
            "attention_types": [[["global", "local"], 2]],
            "num_layers": 4,
            "window_size": 7,
            "num_heads": 6,
            "initializer_range": 0.1,
        },
    ),
    "granite": (
        "granite",
        {
            "embedding_multiplier": 6.0,
            "residual_multiplier": 0.3,
            "attention_multiplier": 0.2,
            "logits_scaling": 4.0,
        },
    ),
    "cohere": ("cohere", {"logit_scale": 0.3}),
    "cohere qk_norm": ("cohere", {"logit_scale": 0.3, "use_qk_norm": True}),
    "cohere2": ("cohere2", {"sliding_window": 7, "logit_scale": 0.3}),
    "falcon 7b": ("falcon", {**FALCON, "multi_query": True, "parallel_attn": True}),
    "falcon 40b": ("falcon", {**FALCON, "new_decoder_architecture": True}),
    "falcon serial": (
        "falcon",
        {**FALCON, "num_kv_heads": 6, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "stablelm": ("stablelm", {"use_qkv_bias": True, "partial_rotary_factor": 0.5}),
    "stablelm parallel": ("stablelm", {"use_parallel_residual": True}),
    "starcoder2": ("starcoder2", {"sliding_window": 7, "use_bias": True}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 1, 1, 0]}),
    "helium": ("helium", {"head_dim": 8}),
    "arcee": ("arcee", {}),
    "nemotron": ("nemotron", {"head_dim": 8, "initializer_range": 0.1}),
    "vaultgemma": (
        "vaultgemma",
        {**GEMMA2, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    ),
    "glm": ("glm", {"head_dim": 8, "partial_rotary_factor": 0.5}),
    "exaone4": (
        "exaone4",
        {
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
    ),
    "ernie4_5": ("ernie4_5", {"use_bias": True}),
    "seed_oss": ("seed_oss", {"head_dim": 12}),
    "jais2": ("jais2", {}),
}
"""Name -> model_type of transformers, and what differs from BASE."""


def make_config(model_type: str, changes: dict):
    """The tiny configuration, with eager attention."""
    config = AutoConfig.for_model(model_type, **{**BASE, **changes})
    config._attn_implementation = "eager"
    return config


def make_model(model_type: str, changes: dict, seed: int = 3):
    """The tiny model in evaluation mode, every parameter moved off its value at birth."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(make_config(model_type, changes))
    model = model.float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            parameter.add_(noise * (0.05 if parameter.dim() > 1 else 0.2))
    return model


MOE = {"num_local_experts": 4, "num_experts_per_tok": 2}

UNKNOWN = {
    "mixture of experts": ("mixtral", MOE, "mixture of experts"),
    "gpt-oss": ("gpt_oss", {**MOE, "head_dim": 8}, "mixture of experts"),
    "mamba": ("mamba", {}, "state space"),
    "bidirectional gemma3": (
        "gemma3_text",
        {**GEMMA3, "use_bidirectional_attention": True},
        "both directions",
    ),
    "not causal": ("llama", {"is_causal": False}, "both directions"),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 4, "hidden_size": 32}, "ALiBi"),
    "falcon with alibi": ("falcon", {**FALCON, "alibi": True}, "ALiBi"),
    "apertus": ("apertus", {}, "family 'apertus'"),
    "hunyuan": ("hunyuan_v1_dense", {"head_dim": 8}, "family 'hunyuan_v1_dense'"),
    "glm4": ("glm4", {"head_dim": 8}, "family 'glm4'"),
    "dynamic NTK": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
        "dynamic NTK",
    ),
    "encoder-decoder": ("t5", {"d_model": 32, "num_layers": 2}, "encoder-decoder"),
    "bert": ("bert", {}, "family 'bert'"),
    "stablelm with norms of heads": ("stablelm", {"qk_layernorm": True}, "family 'stablelm'"),
    "gpt_bigcode": ("gpt_bigcode", {}, "family 'gpt_bigcode'"),
    "qwen3 moe": ("qwen3_moe", {"num_experts": 4, "head_dim": 8}, "mixture of experts"),
    "qwen3 next": ("qwen3_next", {"head_dim": 8, "num_experts": 0}, "linear attention"),
    "olmo with clipping": ("olmo", {"clip_qkv": 8.0}, "clip_qkv"),
}
"""Name -> model_type, what differs from BASE, and what the refusal says."""
