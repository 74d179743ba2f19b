"""Bits are fixed, lambda follows: what holds each quality at its bits per pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from picolab.networks.layers import interpolate_knots
from picolab.networks.model import Codec

FASTEST, SLOWEST = 100, 1000  # steps that an estimate looks back, at first and in the end
SHARE_OF_RUN = 0.1  # of a run's steps that it looks back in between
# The logarithm of bits grows about half as fast as that of lambda, and an integral controller
# that sees them an estimate's delay late must move slower than that.
SPEED = 0.5
LEAST, MOST = 0.1, 1e6  # that a lambda may be


@dataclass(frozen=True)
class BitTargets:
    """Bits per pixel of photos at levels 0 and 1, spread evenly between in the logarithm."""

    low: float = 0.05
    high: float = 1.5

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < 24:
            raise ValueError(
                f"recipe: bits from {self.low} to {self.high} must rise, between 0 and 24"
            )

    def at(self, level: Tensor) -> Tensor:
        """Bits per pixel at levels `[B]`."""
        return self.low * (self.high / self.low) ** level


class LambdaController:
    """The lambda of each knot, moved until the mean bits of photos there are what was asked for.

    The lambdas are the codec's. State: `sums` `[2, K]`, moving averages of the bits that samples
    spent and of their number, shared out over the knots beside their levels; `steps`; `found`
    `[K]`, the logarithms of the lambdas that the stage found.
    """

    def __init__(
        self,
        targets: BitTargets,
        codec: Codec,
        device: torch.device,
        windows: tuple[float, float] = (FASTEST, SLOWEST),
    ) -> None:
        self.targets, self.codec, self.windows = targets, codec, windows
        knots = codec.shape.knots
        self.wanted = targets.at(torch.linspace(0, 1, knots)).to(device)
        self.sums = torch.zeros(2, knots, device=device)
        self.found = codec.log_lambda.detach().clone().to(device)
        self.steps = 0

    def lambdas(self, level: Tensor) -> Tensor:
        """The lambda of `bits per pixel + lambda * MSE` at levels `[B]`, pixels in [0, 1]."""
        return interpolate_knots(self.codec.log_lambda[:, None], level)[:, 0].exp()

    def moved(self, level: Tensor) -> Tensor:
        """How many times what the stage found the lambda is at levels `[B]`. What other losses
        weigh has to move as much: else they buy bits, and the squared error pays for them."""
        return interpolate_knots((self.codec.log_lambda - self.found)[:, None], level)[:, 0].exp()

    def observation(self, level: Tensor, bpp: Tensor, natural: Tensor) -> Tensor:
        """What a step's samples add to `sums`: `[2, K]`, summed over processes by the caller."""
        knots = len(self.wanted)
        at = torch.arange(knots, device=level.device)
        near = torch.relu(1 - (level[:, None] * (knots - 1) - at).abs()) * natural[:, None]
        return torch.stack([(near * bpp[:, None]).sum(0), near.sum(0)])

    def update(self, observation: Tensor) -> None:
        """Take in what a step spent, and move each lambda against what is too much or too little.

        A knot is compared at the levels that samples had there, of which the interpolated target
        is the mean in the logarithm.
        """
        self.steps += 1
        fastest, slowest = self.windows
        window = min(max(fastest, SHARE_OF_RUN * self.steps), slowest)
        self.sums.lerp_(observation, 1 / min(self.steps, window))
        spent, seen = self.sums
        error = torch.log(self.wanted * seen + 1e-9) - torch.log(spent + 1e-9)
        moved = self.codec.log_lambda + (SPEED / window) * error.clamp(-1, 1) * (seen > 0)
        self.codec.move_lambdas(moved.clamp(math.log(LEAST), math.log(MOST)))

    def errors(self) -> Tensor:
        """By how much the bits of each knot `[K]` miss their target, as a share of it."""
        spent, seen = self.sums
        return spent / (seen * self.wanted).clamp_min(1e-9) - 1

    def tensors(self) -> dict[str, Tensor]:
        return {"sums": self.sums, "found": self.found, "steps": torch.tensor(self.steps)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over a state, once the codec has its lambdas; older ones do not know `found`."""
        self.sums.copy_(tensors["sums"])
        self.found.copy_(tensors.get("found", self.codec.log_lambda))
        self.steps = int(tensors["steps"])
