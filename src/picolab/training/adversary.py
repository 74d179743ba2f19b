"""The discriminator's side of adversarial training: its weights, its optimiser, its steps."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from picolab.losses.gan import (
    Discriminator,
    FeatureDiscriminator,
    discriminator_loss,
    generator_loss,
)
from picolab.training.checkpoint import (
    load_optimiser_tensors,
    optimiser_tensors,
    with_prefix,
    without_prefix,
)

LEARNING_RATE = 4e-4
TRUNK = "trunk."  # of the features, which do not learn and are not saved


class Adversary:
    """`features`: whether it judges features of VGG16 or pixels."""

    def __init__(
        self, y_channels: int, device: torch.device, features: bool = False, bf16: bool = False
    ) -> None:
        self.discriminator: nn.Module = (
            FeatureDiscriminator(y_channels, bf16=bf16) if features else Discriminator(y_channels)
        )
        self.discriminator.to(device)
        self.learning = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.learning, LEARNING_RATE, betas=(0.5, 0.99), weight_decay=0.0
        )

    def learn(
        self, real: Tensor, decoded: Tensor, latent: Tensor, weight: Tensor
    ) -> dict[str, Tensor]:
        """One step on pictures and latents, each sample by its `weight` `[B]`. The mean logits of
        both kinds tell a collapse: far apart, the discriminator has won; equal, it sees nothing."""
        decoded, latent = decoded.detach(), latent.detach()
        logits = self.discriminator(torch.cat([real, decoded]), torch.cat([latent, latent]))
        of_real, of_decoded = logits.chunk(2)
        loss = discriminator_loss(of_real, of_decoded, weight)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if dist.is_initialized():
            for parameter in self.learning:
                assert parameter.grad is not None
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()
        self.optimiser.step()
        return {
            "discriminator": loss.detach(),
            "logit_real": of_real.detach().mean(),
            "logit_decoded": of_decoded.detach().mean(),
        }

    def penalty(self, decoded: Tensor, latent: Tensor, mask: Tensor) -> Tensor:
        """What being recognised costs each decoded picture `[B]`; the latent is not to blame."""
        for parameter in self.learning:
            parameter.requires_grad_(False)
        loss = generator_loss(self.discriminator(decoded, latent.detach()), mask)
        for parameter in self.learning:
            parameter.requires_grad_(True)
        return loss

    def tensors(self) -> dict[str, Tensor]:
        state = self.discriminator.state_dict()
        learned = {key: value for key, value in state.items() if not key.startswith(TRUNK)}
        return with_prefix("discriminator", learned) | with_prefix(
            "adversary", optimiser_tensors(self.optimiser)
        )

    def load(self, tensors: dict[str, Tensor]) -> None:
        learned = without_prefix("discriminator", tensors)
        state = self.discriminator.state_dict()
        trunk = {key: value for key, value in state.items() if key.startswith(TRUNK)}
        self.discriminator.load_state_dict(learned | trunk)
        load_optimiser_tensors(self.optimiser, without_prefix("adversary", tensors))
