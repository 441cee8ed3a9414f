"""The vector measures in numpy: every formula as its definition says, prompt by prompt."""

from dataclasses import dataclass

import numpy as np

from conftest import Run

SPAN = ("token", "span")


def cosine(u, v):
    return float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def rel_l2(u, v):
    return float(np.linalg.norm(u - v) / ((np.linalg.norm(u) + np.linalg.norm(v)) / 2))


def log_norm_ratio(u, v):
    return float(abs(np.log(np.linalg.norm(u) / np.linalg.norm(v))))


def rogue_share(u, v):
    shares = np.sort(np.abs(u * v))[::-1]
    return float(shares[:3].sum() / shares.sum())


FORMS = {"rel_l2": rel_l2, "log_norm_ratio": log_norm_ratio, "rogue_share": rogue_share}


@dataclass
class Vectors:
    """The activations of one layer, and what they are centred and standardised by."""

    run: Run
    layer: int

    def __post_init__(self):
        self.of = self.run.activations(self.layer)
        frame = self.run.table("reference").filter(layer=self.layer).sort("dimension")
        self.mean, self.sd = frame["mean"].to_numpy(), frame["sd"].to_numpy()

    def sites(self, prompt, site):
        """The vectors of a prompt at a site, one a row."""
        states = self.of[prompt.key]
        if site == "last":
            return states[-1:]
        span = states[max(prompt.span.start, 1) : prompt.span.stop]
        return span if site == "token" else span.mean(axis=0, keepdims=True)

    def measure(self, name, a, b):
        """The measure of two prompts."""
        if name == "flat":
            n = min(len(a.token_ids), len(b.token_ids))
            return cosine(self.of[a.key][:n].ravel(), self.of[b.key][:n].ravel())
        site, _, form = name.partition("_")
        u, v = self.sites(a, site), self.sites(b, site)
        if form in ("centred", "standardised"):
            u, v = u - self.mean, v - self.mean
        if form == "standardised":
            kept = self.sd > 0
            u, v = u[:, kept] / self.sd[kept], v[:, kept] / self.sd[kept]
        compare = FORMS.get(form, cosine)
        return float(np.mean([compare(x, y) for x, y in zip(u, v, strict=True)]))
