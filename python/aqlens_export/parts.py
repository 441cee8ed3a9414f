"""Reads single modules: norms and activations by what they do, projections by their shapes.

A norm's or an activation's class says little (some multiply by w, some by 1 + w; "gelu" has three
meanings), so each is given random numbers and compared with every formula that the graph has.
"""

import torch
from torch.nn import functional

from .errors import ExportError
from .spec import Linear, Norm

ACTIVATIONS = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "relu_squared": lambda x: functional.relu(x).square(),
}
"""The activations that the graph has nodes for."""

EPS_NAMES = ("eps", "variance_epsilon", "epsilon", "norm_eps")

NORM_AGREES = 2e-6
"""Relative to the largest value; eps ten times off shows 1e-1 on small numbers."""


def read_activation(act, where: str) -> str:
    """The name in ACTIVATIONS of the function that `act` computes."""
    x = torch.linspace(-6, 6, 2001)
    with torch.no_grad():
        found = act(x.clone())
    for name, formula in ACTIVATIONS.items():
        # The two GELUs differ by 5e-4; a formula written out differently by 1e-6.
        if found.shape == x.shape and (found - formula(x)).abs().max() < 5e-6:
            return name
    raise ExportError(
        f"{where} has the activation {type(act).__name__}, which computes none of "
        f"{', '.join(ACTIVATIONS)}"
    )


def read_norm(norm, size: int, where: str) -> Norm:
    """The formula of the module `norm` over vectors of `size`; heads [.., heads, 1, size] too."""
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    eps = next((e for e in (getattr(norm, n, None) for n in EPS_NAMES) if e is not None), 1e-5)
    # A weight per head [heads, d] is met by values [tokens, heads, d] there, [heads, 1, d] here.
    middle = (weight.shape[0],) if weight is not None and weight.dim() == 2 else ()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((64, *middle, size), generator=generator)
    # Small vectors show eps, vectors off 0 show whether the mean is taken off.
    x = x * torch.logspace(-5, 1, 64).reshape(-1, *(1 for _ in middle), 1) + 0.1 * x.abs()
    with torch.no_grad():
        try:
            found = norm(x.clone())
        except RuntimeError:  # wants vectors of another shape
            found = torch.full_like(x, torch.nan)
        for kind in ("layer", "rms"):
            for added in (0.0, 1.0):
                scale = None if weight is None else weight.float() + added
                tried = Norm(kind, size, scale, bias, float(eps))
                if _largest(found - apply_norm(tried, x)) < NORM_AGREES * _largest(found):
                    return tried if not middle else _by_head(tried)
    raise ExportError(
        f"{where} is a {type(norm).__name__}, which is neither a layer norm nor an RMS norm with "
        "weight w or 1 + w"
    )


def _largest(x: torch.Tensor) -> float:
    return float(x.abs().max())


def _by_head(norm: Norm) -> Norm:
    weight = norm.weight.unsqueeze(1)
    bias = None if norm.bias is None else norm.bias.unsqueeze(1)
    return Norm(norm.kind, norm.width, weight, bias, norm.eps)


def apply_norm(norm: Norm, x: torch.Tensor) -> torch.Tensor:
    """What `norm` makes of `x` [.., d]."""
    if norm.kind == "layer":
        x = x - x.mean(-1, keepdim=True)
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.eps)
    x = x if norm.weight is None else x * norm.weight
    return x if norm.bias is None else x + norm.bias


def read_linear(module, where: str) -> Linear:
    """A projection with weight [out, in]; Conv1D keeps its own as [in, out]."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        raise ExportError(f"{where} is a {type(module).__name__}, not a plain matrix product")
    if type(module).__name__ == "Conv1D":
        weight = weight.T
    return Linear(weight.detach(), None if module.bias is None else module.bias.detach())


def rows_of(linear: Linear, rows) -> Linear:
    """The outputs `rows` (a slice, or indices) of a projection that computes several things."""
    bias = None if linear.bias is None else linear.bias[rows]
    return Linear(linear.weight[rows], bias)
