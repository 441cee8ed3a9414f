"""Two measures that the notebook does not have, on what its extraction gives: the surprisal of each
token of a prompt, and the logit lens.

Plain PyTorch, in float64 from float32 scores: the oracle for stages `surprisal` and `lens`.
"""

import math

import torch


def surprisal(token_ids: list[int], logits: torch.Tensor) -> dict[str, list[float]]:
    """In bits, for every token but the first: -log2 P(token | those before it), and the entropy of
    the distribution that it is compared with. `logits` is [1, T, vocab]."""
    logprobs = torch.log_softmax(logits[0, :-1].double(), dim=-1)
    following = torch.tensor(token_ids[1:], dtype=torch.long)
    own = logprobs.gather(1, following[:, None])[:, 0]
    return {
        "surprisal_bits": (-own / math.log(2)).tolist(),
        "entropy_bits": entropy_bits(logprobs).tolist(),
    }


def entropy_bits(logprobs: torch.Tensor) -> torch.Tensor:
    """-sum p log2 p over the last axis."""
    return -(logprobs.exp() * logprobs).sum(-1) / math.log(2)


def lens_logprobs(model, activations: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Layer -> [vocab] log-probabilities of the next token, read off the block's output at the
    last token: ln_f and the unembedding put to what has passed no ln_f yet, in any layer."""

    def logprobs(values):
        last = values.reshape(-1, values.shape[-1])[-1]
        return torch.log_softmax(model.lm_head(model.transformer.ln_f(last)).double(), dim=-1)

    with torch.no_grad():
        return {layer: logprobs(values) for layer, values in activations.items()}


def logit_lens(lens: dict[int, torch.Tensor], logits: torch.Tensor) -> dict[int, dict]:
    """One row a layer: what it says, and how far that is from the whole model's `logits` [vocab].

    `kl_to_final` is KL(final, lens) in nats, `rank_final` the rank of the model's own first token,
    `gap` how near in nats another token is to either of the two: how firm they are.
    """
    final = torch.log_softmax(logits.double(), dim=-1)
    own, rows = int(final.argmax()), {}
    for layer, logprobs in lens.items():
        top = int(logprobs.argmax())
        rows[layer] = {
            "top1_id": top,
            "top1_prob": logprobs[top].exp().item(),
            "entropy_bits": entropy_bits(logprobs).item(),
            "kl_to_final": (final.exp() * (final - logprobs)).sum().item(),
            "rank_final": 1 + int((logprobs > logprobs[own]).sum()),
            "gap": min(_nearest(logprobs, token) for token in (top, own)),
        }
    return rows


def _nearest(logprobs: torch.Tensor, token: int) -> float:
    distances = (logprobs - logprobs[token]).abs()
    distances[token] = math.inf
    return distances.min().item()


def jsd_bits(p: torch.Tensor, q: torch.Tensor) -> float:
    """Jensen-Shannon divergence of two vectors of log-probabilities, in bits."""
    mean = torch.logaddexp(p, q) - math.log(2)
    nats = (p.exp() * (p - mean)).sum() + (q.exp() * (q - mean)).sum()
    return 0.5 * nats.item() / math.log(2)
