"""One training step: what the loss is, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from picolab.data.crops import Crops
from picolab.losses.fidelity import clean_error
from picolab.losses.objective import Judgement, LossWeights, Objective, draw_realism
from picolab.losses.xyb import xyb_error
from picolab.networks.blocks import from_patches
from picolab.networks.model import Codec, Coded, draw_levels, squared_error
from picolab.training.control import LambdaController
from picolab.training.lineage import Stage

# The loss of a level grows about like this power of its bits; taking that off lets every level
# count by its relative rate, as a BD-rate does, rather than the highest ones by far the most.
LEVEL_BALANCE = 0.75
XYB_SCALE = 3.5  # what makes errors in XYB of decoded photos as large as squared ones


@dataclass(frozen=True)
class Sample:
    """What a step draws: crops as patches less 0.5 `[B, 192, H/8, W/8]`, whether they are photos,
    and the level and realism of each, all `[B]` but the first."""

    centred: Tensor
    natural: Tensor
    level: Tensor
    realism: Tensor | None
    place: Tensor  # [3] in [0, 1), on the CPU: where perceptual losses look, and how closely
    noise: Tensor | None  # [B, N, H/8, W/8], where realism is
    judged: Tensor | None  # numbers of the samples that perceptual losses judge, where realism is

    @property
    def pixels(self) -> int:
        """Of each crop."""
        return 64 * self.centred.shape[2] * self.centred.shape[3]


@dataclass(frozen=True)
class Outcome:
    """The loss to minimise, an adversary's own included; bits per pixel and MSE of each sample
    `[B]`, without gradient; and the means of further losses by name."""

    loss: Tensor
    bpp: Tensor
    mse: Tensor
    parts: dict[str, Tensor]


@dataclass
class Kernels:
    """Functions that are compiled where that pays."""

    squared_error: Callable[[Tensor, Tensor], Tensor] = squared_error
    xyb_error: Callable[[Tensor, Tensor], Tensor] = xyb_error


def draw_sample(
    crops: Crops,
    dtype: torch.dtype,
    losses: LossWeights,
    noise_channels: int,
    generator: torch.Generator,
) -> Sample:
    """The random choices of a step, all from `generator` (on the CPU), for these crops."""
    device, batch = crops.patches.device, len(crops.patches)
    level = sent(draw_levels(batch, generator), device)
    realism = noise = judged = None
    if losses.perceptual:
        drawn = draw_realism(batch, losses, generator)
        realism, judged = sent(drawn, device), sent((drawn * crops.natural).nonzero()[:, 0], device)
        shape = (batch, noise_channels, *crops.patches.shape[2:])
        noise = sent(torch.randn(shape, generator=generator).to(dtype), device)
    place = torch.rand(3, generator=generator)
    natural = sent(crops.natural, device)
    return Sample(crops.centred(dtype), natural, level, realism, place, noise, judged)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """What the CPU drew, on the device; a GPU is not waited for."""
    return x if device.type == "cpu" else x.pin_memory().to(device, non_blocking=True)


def rate_and_distortion(
    network: nn.Module,
    stage: Stage,
    controller: LambdaController,
    objective: Objective | None,
    sample: Sample,
    kernels: Kernels,
) -> Outcome:
    """Stages 1 and 2: everything learns to code pictures. `network` is the codec, or compiled."""
    x, level = sample.centred, sample.level
    coded: Coded = network(x, level, sample.realism, sample.noise, stage.skip_below, stage.hard)
    bpp = (coded.bits_y + coded.bits_z) / sample.pixels
    mse = distortion = kernels.squared_error(coded.centred, x)
    judgement = Judgement(torch.zeros_like(bpp), bpp.new_zeros(()), {})
    # What is no photo, text and drawings above all, is to stay as it is at any realism.
    felt = None if sample.realism is None else sample.realism * sample.natural
    share = stage.losses.xyb_share
    if share or objective is not None:
        picture, decoded = (from_patches(p.float() + 0.5) for p in (x, coded.centred))
        if share:
            distortion = (1 - share) * mse + share * XYB_SCALE * kernels.xyb_error(picture, decoded)
        if objective is not None and felt is not None and sample.judged is not None:
            text = (~sample.natural).float()[:, None, None, None].expand_as(picture[:, :1])
            felt_so = felt * _beside_the_level(controller, level, bpp)
            judgement = objective(picture, decoded, text, felt_so, sample.judged, sample.place)
    distortion = _share(stage, felt) * distortion
    if stage.losses.clean and felt is not None:
        # Half of it at realism 0, too: grain that one end draws leaks to the other.
        weight = stage.losses.clean * (1 + felt) / 2
        distortion = distortion + weight * clean_error(picture, decoded)
    loss = bpp + controller.lambdas(level) * distortion
    loss = (_balance(controller, level) * loss + judgement.cost).mean() + judgement.telling
    return Outcome(loss, bpp.detach(), mse.detach(), judgement.parts)


def entropy_alone(
    codec: Codec, stage: Stage, controller: LambdaController, sample: Sample
) -> Outcome:
    """The head start: the latent of the linear shortcut is at rest, and what codes it learns.

    The shortcut's rows are orthonormal, so that errors of the latent are errors of the pixels.
    """
    level = sample.level
    with torch.no_grad():
        y = codec.encoder.linear(sample.centred, level)
        gain = codec.encoder.gain(level)[:, :, None, None]
    z = codec.encoder.hyper(y.to(sample.centred.dtype), level)
    cell, bits_z = codec.code(y, z, level, sample.centred.dtype, stage.skip_below, stage.hard)
    bpp = (cell.bits + bits_z) / sample.pixels
    mse = ((cell.y_hat - y) / gain).square().sum((1, 2, 3)) / (3 * sample.pixels)
    loss = _balance(controller, level) * (bpp + controller.lambdas(level) * mse)
    return Outcome(loss.mean(), bpp.detach(), mse.detach(), {})


def _balance(controller: LambdaController, level: Tensor) -> Tensor:
    return controller.targets.at(level) ** -LEVEL_BALANCE


def _beside_the_level(controller: LambdaController, level: Tensor, bpp: Tensor) -> Tensor:
    """What perceptual losses weigh in each sample `[B]`: as its rate and errors do. Alike for all,
    they would rule smooth pictures, which have few bits, and hardly be felt in detailed ones."""
    share = (bpp.detach() / controller.targets.at(level)) ** LEVEL_BALANCE
    return share * controller.moved(level)


def _share(stage: Stage, realism: Tensor | None) -> Tensor | float:
    return 1.0 if realism is None else stage.losses.mse_share(realism)
