from __future__ import annotations

import pytest
import torch

from picolab.training.soap import SOAP


def steps_to_solve(optimiser_class: type, seed: int, **options: float) -> int:
    """Steps until a badly conditioned, rotated least-squares problem is nearly solved."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(12, 20, generator=generator)
    left = torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(20, 20, generator=generator))[0]
    stiffness = torch.logspace(0, -2, 12)[:, None] * torch.logspace(0, -2, 20)
    weight = torch.nn.Parameter(torch.zeros(12, 20))
    optimiser = optimiser_class([weight], **options)
    for step in range(2000):
        loss = (stiffness * (left @ (weight - target) @ right)).square().sum()
        if loss < 1e-3:
            return step
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return 2000


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_soap_needs_fewer_steps_than_adam(seed: int) -> None:
    soap = steps_to_solve(SOAP, seed, lr=0.03)
    adam = steps_to_solve(torch.optim.Adam, seed, lr=0.03)
    assert soap < 0.7 * adam


def test_vectors_get_plain_adam() -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    soap = SOAP([ours], lr=0.1, betas=(0.9, 0.99))
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99))
    for i in range(5):
        for weight, optimiser in ((ours, soap), (theirs, adam)):
            weight.grad = torch.arange(5.0) - i
            optimiser.step()
    torch.testing.assert_close(ours, theirs)


def test_sides_that_are_too_wide_keep_their_basis() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 6, 3, 3))
    optimiser = SOAP([weight], max_side=16)
    weight.grad = torch.randn_like(weight)
    optimiser.step()
    assert optimiser.state[weight]["basis0"].shape == (4, 4)
    assert "basis1" not in optimiser.state[weight]


def test_gradients_of_zero_move_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 4))
    optimiser = SOAP([weight])
    for _ in range(25):
        weight.grad = torch.zeros(3, 4)
        optimiser.step()
    assert torch.equal(weight, torch.ones(3, 4))
