"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

A weight of shape `[K, ...]` is treated as a matrix `[K, rest]`. For each of its two sides of at
most `max_side` rows, a moving average of `G G^T` is kept, and every `every` steps one step of QR
iteration brings its eigenvectors up to date; Adam's second moment lives in that basis. Wider sides
keep the standard basis, and vectors get plain Adam.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class SOAP(torch.optim.Optimizer):
    """State: `step`, `average` (first moment), `square` (second, in the eigenbasis), and for each
    preconditioned side `cover0/1` (the average of `G G^T`) and `basis0/1`; all are tensors."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 10,
        max_side: int = 256,
    ) -> None:
        super().__init__(
            parameters,
            {"lr": lr, "betas": betas, "eps": eps, "every": every, "max_side": max_side},
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        matrix = gradient.float().reshape(parameter.shape[0], -1)
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["average"] = torch.zeros_like(matrix)
            state["square"] = torch.zeros_like(matrix)
            for side, size in enumerate(matrix.shape):
                if parameter.ndim > 1 and 1 < size <= group["max_side"]:
                    cover = _outer(matrix, side)
                    state[f"cover{side}"] = cover
                    basis = torch.linalg.eigh(_regular(cover))[1].flip(1)
                    # Without numbers so small that processors multiply them slowly.
                    state[f"basis{side}"] = basis.where(basis.abs() > 1e-12, 0.0).contiguous()
        state["step"] += 1
        count = state["step"].item()

        state["average"].lerp_(matrix, 1 - beta1)
        rotated = _rotate(matrix, state)
        state["square"].lerp_(rotated.square(), 1 - beta2)
        direction = _rotate(state["average"], state) / (
            (state["square"] / (1 - beta2**count)).sqrt() + group["eps"]
        )
        direction = _rotate_back(direction, state) / (1 - beta1**count)
        parameter.sub_(group["lr"] * direction.reshape(parameter.shape))

        for side in (0, 1):
            if f"cover{side}" in state:
                state[f"cover{side}"].lerp_(_outer(matrix, side), 1 - beta2)
                if count % group["every"] == 0:
                    _refresh(state, side)


def _outer(matrix: Tensor, side: int) -> Tensor:
    return matrix @ matrix.t() if side == 0 else matrix.t() @ matrix


def _regular(cover: Tensor) -> Tensor:
    """The same, safe for eigendecomposition where gradients are all but zero."""
    size = len(cover)
    scale = cover.diagonal().mean().clamp_min(1e-30)
    return cover / scale + 1e-6 * torch.eye(size, device=cover.device)


def _rotate(matrix: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "basis0" in state:
        matrix = state["basis0"].t() @ matrix
    return matrix @ state["basis1"] if "basis1" in state else matrix


def _rotate_back(matrix: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "basis0" in state:
        matrix = state["basis0"] @ matrix
    return matrix @ state["basis1"].t() if "basis1" in state else matrix


def _refresh(state: dict[str, Tensor], side: int) -> None:
    """One step of QR iteration, eigenvectors in falling order of their eigenvalues."""
    cover, basis = _regular(state[f"cover{side}"]), state[f"basis{side}"]
    product = cover @ basis
    order = (basis * product).sum(0).argsort(descending=True)
    # Contiguous, as it comes back from a checkpoint: products round by the layout of their factors.
    state[f"basis{side}"] = torch.linalg.qr(product[:, order])[0].contiguous()
    state["square"] = state["square"].index_select(side, order)
