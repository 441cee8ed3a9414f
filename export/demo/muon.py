"""Muon: momentum whose update is made orthogonal, for the matrices inside the blocks.

At this width AdamW alone left several question types unlearned (color .55, identity .38
after 5,350 steps), which is why the block matrices get this and only the rest gets AdamW.
"""

from __future__ import annotations

import torch

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al., 2024), tuned for few steps."""
_ITERATIONS = 5


def orthogonalize(stack: torch.Tensor) -> torch.Tensor:
    """Push every singular value of each matrix in `stack` [n, rows, cols] towards one."""
    a, b, c = _NEWTON_SCHULZ
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Muon over one stack of equally shaped matrices, with decoupled weight decay.

    The parameters' storage is moved into one tensor [n, rows, cols], so that a step is a few
    batched products. `split` cuts each parameter's columns into that many square matrices
    (query, key and value are three maps, not one).
    """

    def __init__(
        self, params: list[torch.nn.Parameter], decay: float, momentum: float = 0.95, split: int = 1
    ) -> None:
        self.params = params
        self.split = split
        self.momentum = momentum
        self.decay = decay
        self.weights = self._stack([param.data for param in params])
        self.speed = torch.zeros_like(self.weights)
        rows, cols = self.weights.shape[1:]
        self.scale = max(1.0, cols / rows) ** 0.5

    def _stack(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        """All matrices as one tensor [n * split, rows, cols / split]."""
        return torch.cat([torch.stack(t.chunk(self.split, dim=1)) for t in tensors])

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every matrix from its parameter's gradient at this learning rate."""
        grads = self._stack([param.grad for param in self.params if param.grad is not None])
        self.speed.lerp_(grads, 1 - self.momentum)
        update = orthogonalize(grads.lerp(self.speed, self.momentum))
        self.weights.mul_(1 - rate * self.decay).add_(update, alpha=-rate * self.scale)
        for index, param in enumerate(self.params):
            own = self.weights[index * self.split : (index + 1) * self.split]
            param.copy_(torch.cat(tuple(own), dim=1))
