"""What transformers makes of prompts: tokens, hidden states, attention, logits, a continuation.

Run by the Python that has PyTorch; the tests run in one that reads Parquet. Nothing of aqlens and
nothing of its exporter is used: weights and tokenizer are those of the GGUF file, loaded by
transformers itself, in float32 with eager attention, one prompt at a time, unpadded.

    python reference.py GGUF REQUEST.json ANSWER.npz

A request has `layers`, `prompts` (each a `text`, or a list of `messages` whose last one may be the
answer's beginning), `mistakes` (some of MISTAKES, each made on the first prompt to see whether the
tests would find it) and `continue` (texts, each with how many tokens it is to go on for).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(gguf: Path, request: Path, answer: Path) -> None:
    # Threads that wait by spinning take each other's time on a busy machine.
    torch.set_num_threads(1)
    asked = json.loads(request.read_text(encoding="utf-8"))
    folder = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**folder)
    model = AutoModelForCausalLM.from_pretrained(
        **folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    arrays = {}
    for i, prompt in enumerate(asked["prompts"]):
        ids = tokens_of(tokenizer, prompt)
        arrays[f"ids.{i}"] = np.array(ids, np.int64)
        for name, array in run(model, ids, asked["layers"]).items():
            arrays[f"{name}.{i}"] = array
    for mistake in asked["mistakes"]:
        undo = MISTAKES[mistake](model)
        found = run(model, arrays["ids.0"].tolist(), asked["layers"])
        arrays |= {f"{mistake}.{name}": array for name, array in found.items()}
        undo()
    for i, (text, n) in enumerate(asked["continue"]):
        ids = tokenizer(text)["input_ids"]
        arrays[f"start.{i}"] = np.array(ids, np.int64)
        for _ in range(n):
            with torch.no_grad():
                ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
        new = ids[len(arrays[f"start.{i}"]) :]
        arrays[f"new.{i}"] = np.array(new, np.int64)
        texts = [tokenizer.decode(new[:k]) for k in range(n)]
        arrays[f"texts.{i}"] = np.array(texts, np.str_)
    np.savez(answer, **arrays)


def tokens_of(tokenizer, prompt: dict) -> list[int]:
    """A text with whatever the tokenizer puts around it; messages by the model's own template."""
    if "text" in prompt:
        return tokenizer(prompt["text"])["input_ids"]
    continues = prompt["messages"][-1]["role"] == "assistant"
    text = tokenizer.apply_chat_template(
        prompt["messages"],
        tokenize=False,
        add_generation_prompt=not continues,
        continue_final_message=continues,
    )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def run(model, ids: list[int], layers: list[int]) -> dict[str, np.ndarray]:
    """`hidden` [layers, tokens, d_model], outputs of blocks, before the final norm; `attention`
    [layers, heads, tokens] of the last token; `logits` [vocab] of the next token."""
    blocks = model.model.layers
    hidden = {}

    def keep(layer):
        def hook(_module, _inputs, output):
            hidden[layer] = (output[0] if isinstance(output, tuple) else output).reshape(
                len(ids), -1
            )

        return hook

    hooks = [blocks[layer].register_forward_hook(keep(layer)) for layer in layers]
    try:
        with torch.no_grad():
            output = model(torch.tensor([ids]), output_attentions=True, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    attention = [output.attentions[layer][0, :, -1] for layer in layers]
    return {
        "hidden": torch.stack([hidden[layer] for layer in layers]).numpy(),
        "attention": torch.stack(attention).numpy(),
        "logits": output.logits[0, -1].float().numpy(),
        "all_logits": output.logits[0].float().numpy() if len(ids) <= MOST_SCORED else np.zeros(0),
    }


def every(name: str, change):
    """A mistake: attribute `name` of every module that has it, changed; gives what undoes it."""

    def make(model):
        kept = [
            (module, getattr(module, name)) for module in model.modules() if hasattr(module, name)
        ]
        assert kept, f"no module has {name}"
        for module, value in kept:
            setattr(module, name, change(value))
        return lambda: [setattr(module, name, value) for module, value in kept]

    return make


MISTAKES = {
    "epsilon": every("variance_epsilon", lambda value: value / 10),
    "scale": every("scaling", lambda value: value * 1.0001),
    "rotation": every("inv_freq", lambda value: value * 1.0001),
}
"""Small enough to leave every answer as it is."""

MOST_SCORED = 64
"""Tokens of a prompt whose scores are kept at every position."""

if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
