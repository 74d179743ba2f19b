"""Training, at every level and every realism at once.

The loss of one sample is `bpp + lambda(level) * MSE`, balanced over levels, and in stage 2 the
perceptual losses by its realism; level and realism are drawn anew each time. The state of a run
(weights, their moving average, the adversary, optimisers, step, random generators) is one
checkpoint, and a run that was stopped goes on from it exactly as if it had not been.
"""

from __future__ import annotations

import math
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from picolab.data.images import TileSet, load_tiles, principal_components
from picolab.data.variety import vary
from picolab.losses.objective import Objective, draw_realism
from picolab.networks.codec import PATCH, Codec, Coded, draw_levels
from picolab.training.adversary import Adversary
from picolab.training.checkpoint import (
    load_checkpoint,
    load_optimiser_tensors,
    optimiser_tensors,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from picolab.training.recipe import Phase, Recipe
from picolab.training.soap import SOAP

# The loss of a level grows about like this power of its lambda; taking that off lets every level
# count by its relative rate, as a BD-rate does, rather than the highest ones by far the most.
LEVEL_BALANCE = 0.4
PERCEPTUAL = {"lpips", "lpips_alex", "dists"}
VALIDATION_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)

# The steps after which a run that must fit a time knows its pace, and the last of these that tell:
# the first ones compile and warm up. And the part of the time that steps may take.
PACE_KNOWN, PACE_FROM = 20, 10
SHARE_OF_STEPS = 0.95


@dataclass
class Options:
    """How to run a recipe on this machine."""

    folder: Path
    device: torch.device
    bf16: bool = False
    compile: bool = False
    dry_run: bool = False
    max_minutes: float = math.inf
    # Lengthens or shortens the recipe to take so long, the start included.
    fit_minutes: float | None = None


def train(
    recipe: Recipe, options: Options, pictures: tuple[TileSet, TileSet] | None = None
) -> dict[str, float]:
    """Run or resume `recipe`; returns the last validation figures.

    `pictures`, to train on and to validate on, spare reading those of the recipe again.
    Checkpoints go to `folder/checkpoint`, TensorBoard's events to `folder/events`. With
    `dry_run` a few steps of each phase exercise every part, and nothing is kept.
    """
    run = Run(recipe, options, pictures or read_pictures(recipe.data, recipe.masks))
    if not options.dry_run:
        run.resume_or_start()
    # A run that is told to stop ends at a checkpoint.
    kinds = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.signal(k, lambda number, _: run.asked_to_stop.append(number)) for k in kinds]
    try:
        return run.go()
    finally:
        for kind, handler in zip(kinds, handlers, strict=True):
            signal.signal(kind, handler)


def read_pictures(data: Sequence[str], masks: str | None = None) -> tuple[TileSet, TileSet]:
    """What to train on, and what is held out for validation."""
    return load_tiles(data, False, masks), load_tiles(data, True, masks)


class Run:
    """A recipe at work: all that a checkpoint holds, and the steps that change it."""

    def __init__(self, recipe: Recipe, options: Options, pictures: tuple[TileSet, TileSet]) -> None:
        self.recipe, self.options = recipe, options
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        torch.manual_seed(recipe.seed + self.rank)
        self.generator = torch.Generator().manual_seed(recipe.seed * 1000 + self.rank)
        self.tiles, self.validation = (tiles.to(options.device) for tiles in pictures)
        torch.manual_seed(recipe.seed)  # every process starts from the same weights
        self.codec = Codec(recipe.config)
        if recipe.init is None:
            self.codec.initialise_from_components(
                *principal_components(self.tiles, recipe.config.y_channels)
            )
        else:
            saved, values = load_checkpoint(Path(recipe.init))
            load_weights(self.codec, without_prefix("ema", saved))
            if values["slopes"] != self.codec.slopes:
                self.codec.move_levels(*values["slopes"])
        torch.manual_seed(recipe.seed + self.rank)
        self.codec.to(options.device)
        self.codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.train:
            freeze_all_but(self.codec, recipe.train)
        learning = [p for p in self.codec.parameters() if p.requires_grad]
        self.ema = {k: v.detach().clone() for k, v in self.codec.state_dict().items()}
        self.optimiser: torch.optim.Optimizer
        if recipe.optimiser == "soap":
            self.optimiser = SOAP(learning)
        else:
            self.optimiser = torch.optim.AdamW(learning, weight_decay=0.0, fused=True)
        self.objective = Objective(recipe.losses, options.bf16).to(options.device)
        self.adversary = None
        if recipe.losses.gan:
            self.adversary = Adversary(
                recipe.config.y_channels,
                options.device,
                recipe.losses.gan_features,
                options.bf16,
            )
        self.step = 0
        self.factor = 1.0  # of the recipe's length, to fit a time
        self.started = time.monotonic()
        # Of this process; earlier parts of a resumed run are taken off the beginning.
        self.began = time.process_time()
        self.asked_to_stop: list[int] = []
        self.step_module: nn.Module = self.codec
        if self.world > 1:
            self.step_module = DistributedDataParallel(self.codec)
        if options.compile:
            self.step_module = torch.compile(self.step_module)  # type: ignore[assignment]

    # -- state ------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.options.folder / "checkpoint"

    def save(self) -> None:
        """Rank 0 writes the common state; every rank's random state goes with it."""
        states = [torch.get_rng_state(), self.generator.get_state()]
        if self.options.device.type == "cuda":
            states.append(torch.cuda.get_rng_state())
        gathered: list[Any] = [states]
        if self.world > 1:
            gathered = [None] * self.world
            dist.all_gather_object(gathered, states)
        if self.rank == 0:
            random = {f"{r}.{i}": s for r, part in enumerate(gathered) for i, s in enumerate(part)}
            tensors = (
                with_prefix("model", self.codec.state_dict())
                | with_prefix("ema", self.ema)
                | with_prefix("optimiser", optimiser_tensors(self.optimiser))
                | with_prefix("random", random)
                | (self.adversary.tensors() if self.adversary else {})
            )
            values = {
                "recipe": self.recipe.name,
                "step": self.step,
                "factor": self.factor,
                "world": self.world,
                "slopes": self.codec.slopes,
                "cpu_seconds": time.process_time() - self.began,
            }
            save_checkpoint(self.checkpoint, tensors, values)
        if self.world > 1:
            dist.barrier()

    def resume_or_start(self) -> None:
        try:
            tensors, values = load_checkpoint(self.checkpoint)
        except FileNotFoundError:
            return
        if values["recipe"] != self.recipe.name:
            raise ValueError(
                f"{self.checkpoint}: belongs to recipe {values['recipe']!r}, not "
                f"{self.recipe.name!r}; choose another output folder"
            )
        self.codec.load_state_dict(without_prefix("model", tensors))
        device = self.options.device
        averages = without_prefix("ema", tensors)
        self.ema = {k: averages[k].to(device) for k in self.ema}  # in the order of the model
        load_optimiser_tensors(self.optimiser, without_prefix("optimiser", tensors))
        if self.adversary:
            self.adversary.load(tensors)
        self.step = values["step"]
        self.factor = values.get("factor", 1.0)
        self.recipe = self.recipe.lengthened(self.factor)
        self.began -= values.get("cpu_seconds", 0.0)
        random = without_prefix(f"random.{self.rank}", tensors)
        if values["world"] == self.world:
            torch.set_rng_state(random["0"])
            self.generator.set_state(random["1"])
            if "2" in random and device.type == "cuda":
                torch.cuda.set_rng_state(random["2"])
        elif self.rank == 0:
            print(f"resumed with {self.world} processes, saved with {values['world']}: new draws")

    # -- work -------------------------------------------------------------------------------

    def go(self) -> dict[str, float]:
        options = self.options
        writer = None
        if self.rank == 0 and not options.dry_run:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(options.folder / "events"))
        start = saved = before = time.monotonic()
        paces: list[float] = []
        bar = tqdm(total=self.total, initial=self.step, disable=self.rank > 0, mininterval=5)
        figures = self.validate(writer) if self.step >= self.total else {}
        while self.step < self.total:
            at = self.step if not options.dry_run else self._dry_step()
            measured = self.train_step(at, *phase_at(self.recipe, at))
            self.step += 1
            paces.append(time.monotonic() - before)
            before += paces[-1]
            if options.fit_minutes and self.step == PACE_KNOWN == len(paces):
                self._fit(options.fit_minutes, statistics.median(paces[PACE_FROM:]))
                bar.reset(self.total)
                bar.update(self.step - 1)
            bar.update()
            minutes = (time.monotonic() - start) / 60
            last = self.step >= self.total or self._any(
                minutes > options.max_minutes or bool(self.asked_to_stop)
            )
            if self.step % 20 == 0 or last:
                bar.set_postfix({k: f"{v.item():.4g}" for k, v in measured.items()})
                if writer:
                    for key, value in measured.items():
                        writer.add_scalar(f"train/{key}", value.item(), self.step)
            if self.step % self.recipe.validate_every == 0 or last:
                figures = self.validate(writer)
            if not options.dry_run and (
                last or self._any(time.monotonic() - saved > self.recipe.save_minutes * 60)
            ):
                self.save()
                saved = time.monotonic()
            if last:
                break
        if writer:
            writer.close()
        bar.close()
        return figures

    @property
    def total(self) -> int:
        return 3 * len(self.recipe.phases) if self.options.dry_run else self.recipe.steps

    def _fit(self, minutes: float, pace: float) -> None:
        """Give the recipe the length, the same in all processes, that fills so many minutes since
        the start, a step of its first phase taking `pace` seconds."""
        first = self.recipe.phases[0]
        pixels = first.batch * first.crop**2  # of a step
        left = max(SHARE_OF_STEPS * 60 * minutes - (time.monotonic() - self.started), 0.0)
        told = torch.tensor((self.step + left / pace) * pixels / self.recipe.pixels)
        if self.world > 1:
            told = told.to(self.options.device)
            dist.broadcast(told, 0)
        self.factor = told.item()
        self.recipe = self.recipe.lengthened(self.factor)

    def _dry_step(self) -> int:
        """The first two steps of each phase and its last: the adversary comes in late."""
        phase, within = divmod(self.step, 3)
        before, steps = (
            sum(p.steps for p in self.recipe.phases[:phase]),
            self.recipe.phases[phase].steps,
        )
        return before + (within if within < 2 else steps - 1)

    def _any(self, flag: bool) -> bool:
        """Whether any process says so: clocks differ, and all must save and stop together."""
        if self.world == 1:
            return flag
        told = torch.tensor(float(flag), device=self.options.device)
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return bool(told)

    def _autocast(self):
        if not self.options.bf16:
            return nullcontext()
        return torch.autocast(self.options.device.type, torch.bfloat16)

    def train_step(self, at: int, phase: Phase, learning_rate: float) -> dict[str, Tensor]:
        """Step `at` of the recipe. Its figures stay on the device: reading them would wait."""
        device, losses = self.options.device, self.recipe.losses
        batch = max(phase.batch // self.world, 1)
        x, mask = self.tiles.masked_crops(batch, phase.crop, self.generator)
        x, mask = vary(x, mask, self.recipe.zoom, self.recipe.grain, self.generator)
        level = draw_levels(batch, self.generator).to(device)
        realism = draw_realism(batch, losses, self.generator).to(device)
        place = torch.rand(2, generator=self.generator)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        with self._autocast():
            coded = self.step_module(
                x, level, realism, skip_below=self.recipe.skip_below, hard=phase.hard
            )
        pixels = phase.crop**2
        bpp_y, bpp_z = coded.bits_y / pixels, coded.bits_z / pixels
        mse = (coded.picture - x).square().mean((1, 2, 3))
        slope = self.codec.slope(level)
        rate_distortion = bpp_y + bpp_z + losses.mse_share(realism) * slope * mse
        middle = self.codec.slope(torch.full_like(level[:1], 0.5))
        share = realism * losses.at_slope(slope, middle)
        more, parts = self.objective(x, coded.picture, mask, share, place)
        loss = (slope**-LEVEL_BALANCE * rate_distortion + more).mean()
        if self.adversary and (weight := losses.gan_at(at)) > 0:
            every = realism.nonzero().flatten()
            chosen = every[: losses.perceptual_batch or None]
            real, decoded, latent, text = (
                part[chosen] for part in seen_by_adversary(x, coded, mask, losses.gan_crop, place)
            )
            with self._autocast():
                parts |= self.adversary.learn(real, decoded, latent, realism[chosen])
                penalty = self.adversary.penalty(decoded, latent, text)
            scale = weight * len(every) / max(len(chosen), 1) / batch
            loss = loss + scale * (realism[chosen] * penalty).sum()
            parts["gan"] = penalty.detach().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.codec.parameters(), self.recipe.clip)
        # One bad batch must not spoil the weights; the norm is common to all processes.
        if torch.isfinite(norm):
            self.optimiser.step()
            decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
            state = self.codec.state_dict()
            torch._foreach_lerp_(list(self.ema.values()), list(state.values()), 1 - decay)
        return {
            "loss": loss.detach(),
            "bpp_y": bpp_y.detach().mean(),
            "bpp_z": bpp_z.detach().mean(),
            "psnr": psnr(mse.detach()).mean(),
            "norm": norm,
            **parts,
        }

    @torch.no_grad()
    def validate(self, writer: Any) -> dict[str, float]:
        """Estimated bpp of rounded symbols and PSNR of the averaged weights on held-out tiles, by
        level."""
        if self.rank > 0:
            return {}
        trained = {k: v.clone() for k, v in self.codec.state_dict().items()}
        self.codec.load_state_dict(self.ema)
        saved_rng = torch.get_rng_state()
        figures: dict[str, float] = {}
        loss = 0.0
        for value in VALIDATION_LEVELS:
            bpp, quality, cost = [], [], []
            perceived: dict[str, list[float]] = defaultdict(list)
            for x in validation_tiles(self.validation, 4 if self.options.dry_run else 24):
                level = torch.full((1,), value, device=x.device)
                with self._autocast():
                    coded = self.codec(x, level, skip_below=self.recipe.skip_below, hard=True)
                mse = (coded.picture.clamp(0, 1) - x).square().mean((1, 2, 3))
                bits = (coded.bits_y + coded.bits_z) / x[0, 0].numel()
                bpp.append(bits.item())
                quality.append(psnr(mse).item())
                cost.append((bits + self.codec.slope(level) * mse).item())
                if self.recipe.losses.perceptual:
                    full = torch.ones_like(level)
                    with self._autocast():
                        coded = self.codec(x, level, full, skip_below=self.recipe.skip_below)
                    empty, middle = torch.zeros_like(x[:, :1]), torch.tensor([0.5, 0.5])
                    _, parts = self.objective(x, coded.picture, empty, full, middle)
                    for name in PERCEPTUAL & parts.keys():
                        perceived[name].append(parts[name].item())
            figures[f"bpp@{value}"] = sum(bpp) / len(bpp)
            figures[f"psnr@{value}"] = sum(quality) / len(quality)
            for name, values in sorted(perceived.items()):  # at realism 1, unlike the others
                figures[f"{name}@{value}"] = sum(values) / len(values)
            loss += sum(cost) / len(cost) / len(VALIDATION_LEVELS)
            if writer:
                writer.add_image(f"validation/{value}", coded.picture[0].clamp(0, 1), self.step)
        figures["validation"] = loss
        self.codec.load_state_dict(trained)
        torch.set_rng_state(saved_rng)
        if writer:
            for key, number in figures.items():
                writer.add_scalar(f"validation/{key}", number, self.step)
        line = " ".join(f"{k}={v:.3f}" for k, v in figures.items())
        tqdm.write(f"step {self.step}: {line}")
        return figures


def load_weights(codec: Codec, weights: dict[str, Tensor]) -> None:
    """Start from another run's weights. What that run did not have yet starts as it was built,
    and is named; anything else that does not fit raises `RuntimeError`."""
    fresh = codec.load_state_dict(weights, strict=False)
    if fresh.unexpected_keys:
        raise RuntimeError(f"init: the configuration has no {', '.join(fresh.unexpected_keys)}")
    if fresh.missing_keys:
        print(f"new in this configuration: {', '.join(fresh.missing_keys)}")


def freeze_all_but(codec: Codec, beginnings: tuple[str, ...]) -> None:
    """Let only the parameters learn whose names begin so; `ValueError` for one that none has."""
    names = [name for name, _ in codec.named_parameters()]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            raise ValueError(f"recipe: train = {beginning!r}: no parameter's name begins so")
    for name, parameter in codec.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name.startswith(beginnings))


def phase_at(recipe: Recipe, step: int) -> tuple[Phase, float]:
    """The phase of a step, and the learning rate there."""
    warmup = min(1.0, (step + 1) / max(recipe.warmup, 1))
    for phase in recipe.phases:
        if step < phase.steps:
            fall = 0.5 + 0.5 * math.cos(math.pi * step / phase.steps)
            span = phase.learning_rate - phase.final_learning_rate
            return phase, warmup * (phase.final_learning_rate + span * fall)
        step -= phase.steps
    raise ValueError("step beyond the end of the recipe")


def seen_by_adversary(
    x: Tensor, coded: Coded, mask: Tensor, side: int, place: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures, decoded ones, latents and masks of text in a square of `side` pixels, 0 for all, on
    the grid of the latent."""
    parts = x, coded.picture, coded.latent, mask
    if not side:
        return parts
    rows, columns = (size // PATCH for size in x.shape[2:])
    tall, wide = (min(side // PATCH, size) for size in (rows, columns))
    top, left = int(place[0] * (rows - tall + 1)), int(place[1] * (columns - wide + 1))

    def cut(part: Tensor, unit: int) -> Tensor:
        rows, columns = (
            slice(top * unit, (top + tall) * unit),
            slice(left * unit, (left + wide) * unit),
        )
        return part[:, :, rows, columns]

    return tuple(cut(part, part.shape[2] // rows) for part in parts)  # type: ignore[return-value]


def psnr(mse: Tensor) -> Tensor:
    return -10 * torch.log10(mse.clamp_min(1e-10))


def validation_tiles(tiles: TileSet, count: int) -> list[Tensor]:
    """Up to `count` held-out tiles `[1, 3, H, W]`, cut to multiples of 64."""
    chosen: list[Tensor] = []
    for i in range(0, len(tiles), max(1, len(tiles) // count)):
        height, width = (tiles.sizes[i] // 64 * 64).tolist()
        if min(height, width) >= 64 and len(chosen) < count:
            x = tiles.tiles[i : i + 1, :, :height, :width].float() / 255
            chosen.append(x.contiguous(memory_format=torch.channels_last))
    return chosen
