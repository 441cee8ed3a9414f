"""The demo model's head in numpy, float64, from the checkpoint: nothing of the exported graphs."""

import json
from functools import cache

import numpy as np

from conftest import ROOT

CHECKPOINT = ROOT / "data/demo/checkpoint"


@cache
def weights() -> tuple:
    """Scale and bias of the final layer norm, the unembedding `[vocab, d_model]`, epsilon."""
    data = (CHECKPOINT / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    described, values = json.loads(data[8 : 8 + length]), data[8 + length :]

    def tensor(name):
        entry = described[f"transformer.{name}"]
        assert entry["dtype"] == "F32"
        first, end = entry["data_offsets"]
        array = np.frombuffer(values[first:end], dtype="<f4").reshape(entry["shape"])
        return array.astype(np.float64)

    epsilon = json.loads((CHECKPOINT / "config.json").read_text())["layer_norm_epsilon"]
    return tensor("ln_f.weight"), tensor("ln_f.bias"), tensor("wte.weight"), epsilon


def log_probabilities(hidden: np.ndarray) -> np.ndarray:
    """Of the next token, `[rows, vocab]`, from outputs of a block `[rows, d_model]`, nats."""
    scale, bias, unembedding, epsilon = weights()
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    scores = (centred / np.sqrt(variance + epsilon) * scale + bias) @ unembedding.T
    return log_softmax(scores)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
