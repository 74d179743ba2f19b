"""Muon: momentum made orthogonal (Jordan et al. 2024), for the weights of convolutions.

A weight `[K, ...]` is a matrix `[K, rest]`. Matrices of one shape go through Newton and Schulz's
iteration together, so that a step has few kernels. Updates are as large as Adam's are (Liu et al.
2025, arXiv 2502.16982), so that one learning rate does for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration that Muon uses
ITERATIONS = 5
LIKE_ADAM = 0.2  # the root mean square of Adam's updates


class Muon(torch.optim.Optimizer):
    """State of each parameter: `momentum`, of its shape."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for parameters in alike.values():
                self._update(parameters, group["lr"], group["momentum"])

    def _update(self, parameters: list[Tensor], lr: float, beta: float) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            momenta.append(state["momentum"])
        torch._foreach_lerp_(momenta, gradients, 1 - beta)
        ahead = torch._foreach_lerp(gradients, momenta, beta)  # Nesterov's look ahead
        stacked = torch.stack([update.flatten(1) for update in ahead])
        scale = LIKE_ADAM * max(stacked.shape[1:]) ** 0.5
        for parameter, update in zip(parameters, orthogonal(stacked), strict=True):
            parameter.sub_(update.view_as(parameter).to(parameter.dtype), alpha=lr * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix to each of `[N, R, C]`, in bfloat16."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.transpose(1, 2)
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)).bfloat16()
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.transpose(1, 2)
