"""Muon: momentum made orthogonal (Jordan et al. 2024), for the weights of convolutions.

A weight `[K, ...]` is a matrix `[K, rest]`. Matrices of one shape go through Newton and Schulz's
iteration together, so that a step has few kernels. Updates are as large as Adam's are (Liu et al.
2025, arXiv 2502.16982), so that one learning rate does for both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from picolab.training.machine import training_type

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration that Muon uses
ITERATIONS = 5
LIKE_ADAM = 0.2  # the root mean square of Adam's updates


class Muon(torch.optim.Optimizer):
    """State of each parameter: `momentum`, of its shape."""

    def __init__(self, parameters: ParamsT, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            ahead = self._ahead(parameters, group["momentum"])
            for pair in zip(parameters, ahead, strict=True):
                alike[pair[0].shape].append(pair)
            for pairs in alike.values():
                _move([p for p, _ in pairs], [update for _, update in pairs], group["lr"])

    def _ahead(self, parameters: list[Tensor], beta: float) -> Sequence[Tensor]:
        """The momenta, as Nesterov looks ahead with them."""
        if not parameters:
            return []
        gradients = [p.grad for p in parameters if p.grad is not None]
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - beta)
        return torch._foreach_lerp(gradients, momenta, beta)


def _move(parameters: list[Tensor], ahead: list[Tensor], lr: float) -> None:
    """Move parameters of one shape."""
    stacked = torch.stack([update.flatten(1) for update in ahead])
    updates = orthogonal(stacked).to(stacked.dtype, memory_format=torch.contiguous_format)
    scale = LIKE_ADAM * max(stacked.shape[1:]) ** 0.5
    each = [u.view_as(p) for u, p in zip(updates.unbind(), parameters, strict=True)]
    torch._foreach_add_(parameters, each, alpha=-lr * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix to each of `[N, R, C]`, in the type in which this
    machine multiplies fast: in bfloat16 others take ten times as long."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.transpose(1, 2)
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)).to(training_type(matrices.device))
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x if wide else x.transpose(1, 2)
