"""The adversary: what it learns, and what the codec feels of it, without any weights."""

from __future__ import annotations

import torch
from torch import Tensor

from picolab.losses.adversary import Adversary


def maps(blur: bool, seed: int, batch: int = 4) -> Tensor:
    """Noise, or what is left of its contrast when it was blurred."""
    x = torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(x, 3, 1, 1) if blur else x


def taught(steps: int) -> Adversary:
    torch.manual_seed(0)
    adversary = Adversary((3,), (1,))
    optimiser = torch.optim.AdamW(adversary.parameters(), 5e-3)
    for step in range(steps):
        verdict = adversary([maps(False, step)], [maps(True, step)])
        optimiser.zero_grad()
        verdict.telling.mean().backward()
        optimiser.step()
    return adversary


def test_it_learns_to_tell_what_lost_its_texture_and_says_so_of_new_pictures() -> None:
    adversary = taught(40)
    verdict = adversary([maps(False, 1000)], [maps(True, 1000)])
    assert verdict.right.min() > 0.9
    swapped = adversary([maps(True, 1000)], [maps(False, 1000)])
    assert swapped.right.max() < 0.1
    assert (verdict.fooling > swapped.fooling).all()


def test_the_codec_is_led_to_more_texture() -> None:
    adversary = taught(40)
    decoded = maps(True, 1000).requires_grad_()
    adversary([maps(False, 1000)], [decoded]).fooling.sum().backward()
    assert decoded.grad is not None
    contrast = (decoded * -decoded.grad).sum((1, 2, 3))  # along the texture that is there
    assert (contrast > 0).all()


def test_each_side_learns_from_its_own_loss_alone() -> None:
    adversary = taught(2)
    adversary.zero_grad(set_to_none=True)
    decoded = maps(True, 0).requires_grad_()
    verdict = adversary([maps(False, 0)], [decoded])
    (felt,) = torch.autograd.grad(verdict.fooling.sum(), decoded, retain_graph=True)
    assert felt.abs().max() > 0
    verdict.fooling.sum().backward(retain_graph=True)
    assert all(p.grad is None for p in adversary.parameters())
    decoded.grad = None
    verdict.telling.sum().backward()
    assert decoded.grad is None
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in adversary.parameters())


def test_before_it_has_learned_the_codec_feels_nothing() -> None:
    decoded = maps(True, 0).requires_grad_()
    verdict = Adversary((3, 3), (1, 2))([maps(False, 0)] * 2, [decoded] * 2)
    verdict.fooling.sum().backward()
    assert decoded.grad is not None and not decoded.grad.any() and not verdict.right.any()
