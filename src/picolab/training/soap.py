"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

A weight of shape `[K, ...]` is treated as a matrix `[K, rest]`. For each of its two sides of at
most `max_side` rows, a moving average of `G G^T` is kept, and every `every` steps one step of QR
iteration brings its eigenvectors up to date; Adam's second moment lives in that basis. Wider sides
keep the standard basis, and vectors get plain Adam.

Weights of one shape are updated together: a codec has hundreds, each far too small to keep a GPU,
or two cores, busy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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
        self._stacks: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[Any, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if not self.state[parameter]:
                        self.state[parameter].update(_fresh_state(parameter, group["max_side"]))
                    count = self.state[parameter]["step"].item()
                    key = parameter.shape[0], parameter.numel(), parameter.ndim > 1, count
                    alike[key].append(parameter)
            for parameters in alike.values():
                self._update(parameters, group)

    def _update(self, parameters: Sequence[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        state = self._stacked(parameters)
        matrices = torch.stack([_matrix(p.grad) for p in parameters])  # type: ignore[arg-type]
        for parameter in parameters:
            self.state[parameter]["step"] += 1
        count = self.state[parameters[0]]["step"].item()

        state["average"].lerp_(matrices, 1 - beta1)
        rotated = _rotate(matrices, state)
        state["square"].lerp_(rotated.square(), 1 - beta2)
        direction = _rotate(state["average"], state) / (
            (state["square"] / (1 - beta2**count)).sqrt() + group["eps"]
        )
        direction = _rotate_back(direction, state) / (1 - beta1**count)
        moves = [d.reshape(p.shape) for d, p in zip(direction, parameters, strict=True)]
        torch._foreach_sub_(list(parameters), moves, alpha=group["lr"])

        for side in (0, 1):
            if f"cover{side}" in state:
                state[f"cover{side}"].lerp_(_outer(matrices, side), 1 - beta2)
                if count % group["every"] == 0:
                    _refresh(state, side)

    def _stacked(self, parameters: Sequence[Tensor]) -> dict[str, Tensor]:
        """The state of parameters of one shape, stacked along a first dimension; what `self.state`
        has of each is a view of that, made anew where it is not yet, or no longer."""
        stacks = self._stacks.get(id(parameters[0]), {})
        states = [self.state[p] for p in parameters]
        names = [name for name in states[0] if name != "step"]
        for name in names:
            parts = [state[name] for state in states]
            stack = stacks.get(name)
            if stack is None or [p.data_ptr() for p in parts] != [p.data_ptr() for p in stack]:
                stacks[name] = torch.stack(parts)
                for state, part in zip(states, stacks[name], strict=True):
                    state[name] = part
        self._stacks[id(parameters[0])] = stacks
        return stacks


def _matrix(gradient: Tensor) -> Tensor:
    return gradient.float().reshape(gradient.shape[0], -1)


def _fresh_state(parameter: Tensor, max_side: int) -> dict[str, Tensor]:
    """From the first gradient: eigenvectors right away, moments of zero."""
    assert parameter.grad is not None
    matrix = _matrix(parameter.grad)
    state = {
        "step": torch.zeros((), dtype=torch.float32),
        "average": torch.zeros_like(matrix),
        "square": torch.zeros_like(matrix),
    }
    for side, size in enumerate(matrix.shape):
        if parameter.ndim > 1 and 1 < size <= max_side:
            cover = _outer(matrix, side)
            basis = torch.linalg.eigh(_regular(cover))[1].flip(1)
            # Without numbers so small that processors multiply them slowly.
            basis = basis.where(basis.abs() > 1e-12, 0.0).contiguous()
            state |= {f"cover{side}": cover, f"basis{side}": basis}
    return state


def _outer(matrix: Tensor, side: int) -> Tensor:
    return matrix @ matrix.mT if side == 0 else matrix.mT @ matrix


def _regular(cover: Tensor) -> Tensor:
    """The same, safe for eigendecomposition where gradients are all but zero."""
    scale = cover.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-30)
    return cover / scale[..., None, None] + 1e-6 * torch.eye(cover.shape[-1], device=cover.device)


def _rotate(matrices: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "basis0" in state:
        matrices = state["basis0"].mT @ matrices
    return matrices @ state["basis1"] if "basis1" in state else matrices


def _rotate_back(matrices: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "basis0" in state:
        matrices = state["basis0"] @ matrices
    return matrices @ state["basis1"].mT if "basis1" in state else matrices


def _refresh(state: dict[str, Tensor], side: int) -> None:
    """One step of QR iteration, eigenvectors in falling order of their eigenvalues."""
    basis = state[f"basis{side}"]
    product = _regular(state[f"cover{side}"]) @ basis
    order = (basis * product).sum(1).argsort(descending=True)
    columns = product.take_along_dim(order[:, None, :], 2)
    basis.copy_(torch.linalg.qr(columns)[0])
    along = order[:, :, None] if side == 0 else order[:, None, :]
    state["square"].copy_(state["square"].take_along_dim(along, 1 + side))
