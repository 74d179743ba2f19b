"""A stage of a lineage at work: it starts, goes on from its checkpoint, cools down, and stops.

The trunk of a stage runs at a constant learning rate for as long as it is given. A release comes
from a *cooldown*: a branch in a folder of its own that starts from the trunk's checkpoint, and
whose rate falls to nothing over a share of the pixels so far. The trunk goes on from where it was.

All of a run (weights, their moving average, optimisers, lambdas, random generators) is one
checkpoint. With as many processes as before, a run goes on bit for bit as if it had not stopped.
"""

from __future__ import annotations

import csv
import math
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from picolab.data.crops import TileFile, principal_components
from picolab.losses.lpips import LPIPS
from picolab.losses.objective import Objective
from picolab.losses.xyb import xyb_error
from picolab.networks.model import Codec, quantise, squared_error
from picolab.networks.shape import Shape
from picolab.training.checkpoint import (
    load_checkpoint,
    load_optimiser_tensors,
    optimiser_tensors,
    save_checkpoint,
    with_prefix,
    without_prefix,
)
from picolab.training.control import LambdaController
from picolab.training.keep import load_kept
from picolab.training.lineage import Batch, Lineage, Stage
from picolab.training.machine import training_type
from picolab.training.muon import Muon
from picolab.training.step import (
    Kernels,
    Outcome,
    draw_sample,
    entropy_alone,
    rate_and_distortion,
)
from picolab.training.validate import FIXED_BITS, LEVELS, at_fixed_bits, score, validate

EMA_EVERY = 4  # steps: the moving average is nearly as good, and costs a quarter
SHOW_EVERY = 20  # steps between two readings of the figures, which wait for a GPU
# Linear shortcuts are nearly right from the start, and pictures hang on them: steps of full size
# made them rattle so much that it cost 0.28 dB (docs/experiments/0012-rattling-shortcuts.md).
SHORTCUT_SHARE = 0.1
ADVERSARY_BETAS = (0.5, 0.99)  # what it has to tell changes with every step
ADAM_ALONE = ("gain", "scale", "bias", "z_index", "haar")  # names that Muon leaves to AdamW


@dataclass
class Options:
    """How to run a stage on this machine. All limits are of this call, 0 for none."""

    folder: Path  # of the lineage: stages have folders of their own in it
    device: torch.device
    dtype: torch.dtype | None = None  # None: what the machine does well
    compile: bool = True
    minutes: float = 0
    pixels: float = 0
    cooldown: float = 0  # share of the pixels so far; 0: the trunk goes on
    branch: str = "cooldown"  # the name of the folder beside the stage's
    dry_run: bool = False
    lpips: bool = True
    make_codec: Callable[[Shape], Codec] = Codec  # a variant of it, in an ablation


@dataclass
class Progress:
    """Where a run is; `pixels` count from the stage's beginning, over all processes."""

    step: int = 0
    pixels: float = 0
    cpu_seconds: float = 0  # of all processes
    cool_from: float = 0  # pixels at which the rate begins to fall, ...
    cool_over: float = 0  # ... and over which it falls; 0: it does not

    def rate(self, stage: Stage) -> float:
        rate = stage.rate * min(1.0, (self.step + 1) / max(stage.warmup, 1))
        if self.cool_over:
            rate *= max(0.0, 1 - (self.pixels - self.cool_from) / self.cool_over)
        return rate

    @property
    def end(self) -> float:
        """Where a cooldown ends, infinity for a trunk."""
        return self.cool_from + self.cool_over if self.cool_over else math.inf


class Run:
    """One stage, or a cooldown of it, in this process (one of `world`)."""

    def __init__(self, lineage: Lineage, stage: Stage, options: Options) -> None:
        self.lineage, self.stage, self.options = lineage, stage, options
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.device = options.device
        self.dtype = options.dtype or training_type(options.device)
        self.tiles = TileFile(lineage.tiles, False, lineage.draws).to(self.device)
        self.held_out = TileFile(lineage.tiles, True, lineage.draws)
        torch.manual_seed(lineage.seed)  # every process starts from the same weights
        self.codec = options.make_codec(lineage.shape)
        self.progress = Progress()
        self._begin()
        self.codec.to(self.device)
        self.controller = LambdaController(lineage.bits, self.codec, self.device)
        self.learning = learning_parameters(self.codec, stage)
        self.optimisers = make_optimisers(self.codec, stage)
        self.ema = [p.detach().clone() for p in self.codec.parameters()]
        self.objective: Objective | None = None
        self.adversaries = nn.ModuleDict()
        if stage.losses.perceptual:
            bf16 = self.dtype == torch.bfloat16
            self.objective = Objective(stage.losses, bf16).to(self.device)
            self.adversaries = self.objective.adversaries
        self.telling = list(self.adversaries.parameters())
        if self.telling:
            groups = _groups({1.0: self.telling})
            self.optimisers.append(torch.optim.AdamW(groups, stage.rate, ADVERSARY_BETAS))
        torch.manual_seed(lineage.seed + 1000 + self.rank)
        self.generator = torch.Generator().manual_seed(lineage.seed * 1000 + self.rank)
        self.kernels = Kernels()
        self.network: nn.Module = self.codec
        if options.compile:
            self._compile()
        self.asked_to_stop: list[int] = []
        self._resume()

    # -- beginning, and state ---------------------------------------------------------------

    @property
    def own_folder(self) -> Path:
        name = self.stage.name
        if self.options.cooldown:
            name = f"{name}-{self.options.branch}"
        return self.options.folder / name

    def _begin(self) -> None:
        """Principal components for the first stage, else what the stage before it learned."""
        of_stage = self.options.folder / self.stage.name, self.own_folder
        if self._kept() or any((f / "checkpoint").is_dir() for f in of_stage):
            return  # all is in what it goes on from
        before = self.lineage.before(self.stage)
        if before is None and self.stage.kept:
            raise FileNotFoundError(
                f"{self.stage.kept}: stage {self.stage.name!r} begins with it, and it is not "
                "there; make it with `picolab keep`"
            )
        if before is None:
            self.codec.start_from_components(
                *principal_components(self.tiles, self.lineage.shape.y_channels)
            )
        else:
            tensors, _ = load_checkpoint(self.options.folder / before.name / "checkpoint")
            self.codec.load_state_dict(without_prefix("model", tensors))

    def _resume(self) -> None:
        """Go on from this run's checkpoint; a cooldown begins from its trunk's."""
        own = self.own_folder / "checkpoint"
        branching = bool(self.options.cooldown) and not own.is_dir()
        try:
            source = self.options.folder / self.stage.name / "checkpoint" if branching else own
            tensors, values = load_checkpoint(source)
        except FileNotFoundError:
            if branching:
                raise
            if kept := self._kept():
                self._take_up(*load_kept(kept))
            return
        self.load(tensors, values)
        if branching:
            self.progress.cool_from = self.progress.pixels
            self.progress.cool_over = self.options.cooldown * self.progress.pixels

    def _kept(self) -> Path | None:
        """The file to go on from, where there is one and no checkpoint of the stage."""
        kept, own = self.stage.kept, self.options.folder / self.stage.name / "checkpoint"
        return kept if kept and kept.is_file() and not own.is_dir() else None

    def _take_up(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go on from kept weights, with new optimisers and random draws. Where their losses were
        others, bits are soon far off: the controller looks back a short way again."""
        self._check_stage(values)
        self.codec.load_state_dict(without_prefix("model", tensors))
        for parameter, average in zip(self.codec.parameters(), self.ema, strict=True):
            average.copy_(parameter.detach())
        self.controller.load(without_prefix("control", tensors))
        self.controller.steps = 0
        # Weights of a cooldown go on at the constant rate, too.
        self.progress = replace(Progress(**values["progress"]), cool_from=0.0, cool_over=0.0)
        self._draw_anew()

    def _check_stage(self, values: dict[str, Any]) -> None:
        known = values["lineage"], values["stage"]
        if known != (self.lineage.name, self.stage.name):
            raise ValueError(
                f"{self.own_folder}: its checkpoint is of stage {known[1]!r} of {known[0]!r}; "
                "choose another folder"
            )

    def _draw_anew(self) -> None:
        """Other draws than before, and than those of any other number of processes."""
        seed = hash((self.progress.step, self.world, self.rank)) & 0xFFFFFFFF
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)

    def load(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take over a checkpoint's state; raises `ValueError` for one of another stage."""
        self._check_stage(values)
        self.codec.load_state_dict(without_prefix("model", tensors))
        if heads := without_prefix("adversary", tensors):  # none, if it comes in only now
            self.adversaries.load_state_dict(heads)
        averages = without_prefix("ema", tensors)
        for (name, _), average in zip(self.codec.named_parameters(), self.ema, strict=True):
            average.copy_(averages[name])
        for number, optimiser in enumerate(self.optimisers):
            load_optimiser_tensors(optimiser, without_prefix(f"optimiser{number}", tensors))
        self.controller.load(without_prefix("control", tensors))
        self.progress = Progress(**values["progress"])
        random = without_prefix(f"random.{self.rank}", tensors)
        if values["world"] == self.world:
            torch.set_rng_state(random["0"])
            self.generator.set_state(random["1"])
            if "2" in random and self.device.type != "cpu":
                torch.get_device_module(self.device).set_rng_state(random["2"], self.device)
        else:
            self._draw_anew()

    def save(self) -> None:
        """Rank 0 writes the common state; every rank's random state goes with it."""
        states = [torch.get_rng_state(), self.generator.get_state()]
        if self.device.type != "cpu":
            states.append(torch.get_device_module(self.device).get_rng_state(self.device))
        gathered: list[Any] = [states]
        if self.world > 1:
            gathered = [None] * self.world
            dist.all_gather_object(gathered, states)
        if self.rank == 0:
            names = [name for name, _ in self.codec.named_parameters()]
            random = {f"{r}.{i}": s for r, part in enumerate(gathered) for i, s in enumerate(part)}
            tensors = (
                with_prefix("model", self.codec.state_dict())
                | with_prefix("ema", dict(zip(names, self.ema, strict=True)))
                | with_prefix("control", self.controller.tensors())
                | with_prefix("adversary", self.adversaries.state_dict())
                | with_prefix("random", random)
            )
            for number, optimiser in enumerate(self.optimisers):
                tensors |= with_prefix(f"optimiser{number}", optimiser_tensors(optimiser))
            values = {
                "lineage": self.lineage.name,
                "stage": self.stage.name,
                "shape": self.lineage.shape.to_dict(),
                "world": self.world,
                "progress": vars(self.progress),
            }
            save_checkpoint(self.own_folder / "checkpoint", tensors, values)
        if self.world > 1:
            dist.barrier()

    def _compile(self) -> None:
        if self.device.type == "cpu" or self.stage.entropy_alone:
            # Convolutions are as fast without; what touches each number many times is not.
            self.codec.context_model.quantise = torch.compile(quantise, dynamic=False)
        else:
            self.network = torch.compile(self.codec, dynamic=False)  # type: ignore[assignment]
        self.kernels.squared_error = torch.compile(squared_error, dynamic=False)
        self.kernels.xyb_error = torch.compile(xyb_error, dynamic=False)
        if self.objective is not None:
            self.objective.compile_vgg()

    # -- work -------------------------------------------------------------------------------

    def go(self) -> None:
        """Train until a limit, the stage's end, or a signal; then save."""
        kinds = (signal.SIGTERM, signal.SIGINT)
        old = [signal.signal(k, lambda number, _: self.asked_to_stop.append(number)) for k in kinds]
        try:
            self._loop()
        finally:
            for kind, handler in zip(kinds, old, strict=True):
                signal.signal(kind, handler)

    def _loop(self) -> None:
        options, progress = self.options, self.progress
        started = saved = time.monotonic()
        spent, first = time.process_time(), progress.pixels
        end = min(progress.end, self.stage.pixels or math.inf)
        limit = min(end, first + options.pixels) if options.pixels else end
        bar = tqdm(
            total=None if math.isinf(limit) else round(limit / 1e6),
            initial=round(first / 1e6),
            unit="Mpx",
            disable=self.rank > 0,
            mininterval=10,
        )
        done, seen = progress.pixels >= limit, list[dict[str, Tensor]]()
        while not done:
            seen.append(self.step())
            now = time.process_time()
            progress.cpu_seconds += (now - spent) * self.world
            spent = now
            bar.update(round(progress.pixels / 1e6) - bar.n)
            minutes = (time.monotonic() - started) / 60
            over = bool(options.minutes) and minutes > options.minutes
            done = progress.pixels >= limit or (options.dry_run and progress.step >= 3)
            done = done or self._any(over or bool(self.asked_to_stop))
            if progress.step % SHOW_EVERY == 0:
                self._show(bar, seen)
                seen.clear()
            if options.dry_run:
                continue
            every = self.lineage.curve_every
            if progress.pixels // every > (progress.pixels - self.step_pixels) // every:
                self.measure()
            if done or self._any(time.monotonic() - saved > 60 * self.lineage.save_minutes):
                self.save()
                saved = time.monotonic()
        bar.close()

    def _any(self, flag: bool) -> bool:
        """Whether any process says so: clocks differ, and all must save and stop together."""
        if self.world == 1:
            return flag
        told = torch.tensor(float(flag))  # from CPU to CPU: no GPU is waited for
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return bool(told)

    @property
    def step_pixels(self) -> int:
        batch = self.stage.batch_at(self.progress.pixels)
        return max(batch.crops // self.world, 1) * self.world * batch.side**2

    def step(self) -> dict[str, Tensor]:
        """One step; its figures by name: loss, bits per pixel, PSNR, norm of the gradient, and
        what the loss is made of."""
        pixels = self.step_pixels
        outcome, seen = self.backward(self.stage.batch_at(self.progress.pixels))
        norm = self._learn(self._reduce(seen))
        self.progress.step += 1
        self.progress.pixels += pixels
        return _figures(outcome, norm)

    def backward(self, batch: Batch) -> tuple[Outcome, Tensor]:
        """The gradients of a fresh batch, in place of those before; how it went, and what the
        lambdas learn from it."""
        crops = self.tiles.draw(max(batch.crops // self.world, 1), batch.side, self.generator)
        sample = draw_sample(
            crops,
            self.dtype,
            self.stage.losses,
            self.lineage.shape.noise_channels,
            self.generator,
        )
        if self.stage.entropy_alone:
            outcome = entropy_alone(self.codec, self.stage, self.controller, sample)
        else:
            outcome = rate_and_distortion(
                self.network, self.stage, self.controller, self.objective, sample, self.kernels
            )
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        outcome.loss.backward()
        for parameter in self.telling:  # no sample may have been theirs, in this process alone
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return outcome, self.controller.observation(sample.level, outcome.bpp, sample.natural)

    def _reduce(self, seen: Tensor) -> Tensor:
        """Mean gradients of all processes, and the sum of what they saw, in one exchange."""
        if self.world == 1:
            return seen
        parts = [*self._gradients(), seen.mul_(self.world)]
        flat = _flat(parts)
        dist.all_reduce(flat)
        _put_back(flat.div_(self.world), parts)
        return seen

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in [*self.learning, *self.telling] if p.grad is not None]

    def _learn(self, seen: Tensor) -> Tensor:
        """The optimisers' step, the moving average's and the lambdas'; gives the norm."""
        norm = nn.utils.clip_grad_norm_(self.learning, self.stage.clip)
        if self.telling:
            own = nn.utils.clip_grad_norm_(self.telling, self.stage.clip)
            norm = torch.where(torch.isfinite(own), norm, own)
        # One bad batch must not spoil weights and lambdas; a GPU is not waited for.
        good = torch.isfinite(norm)
        if self.device.type != "cpu":
            parts = [*self._gradients(), seen]
            _put_back(torch.where(good, _flat(parts), 0.0), parts)
        elif not good:
            return norm
        rate = self.progress.rate(self.stage)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["share"]
            optimiser.step()
        if self.progress.step % EMA_EVERY == 0:
            step = self.progress.step
            keep = min(self.stage.ema**EMA_EVERY, (1 + step) / (10 * EMA_EVERY + step))
            with torch.no_grad():
                torch._foreach_lerp_(self.ema, list(self.codec.parameters()), 1 - keep)
        if self.progress.step >= self.stage.warmup and self._bits_answer():
            self.controller.update(seen)
        return norm

    def _bits_answer(self) -> bool:
        """Whether what learns is what bits depend on: a decoder that learns alone keeps lambdas."""
        encoder = self.codec.encoder.parameters()
        return not self.stage.entropy_alone and any(p.requires_grad for p in encoder)

    # -- figures ----------------------------------------------------------------------------

    def _show(self, bar: tqdm, seen: list[dict[str, Tensor]]) -> None:
        """The means of these steps' figures; a few samples may have none of some losses."""
        names = list(dict.fromkeys(name for figures in seen for name in figures))
        each = [[figures[name] for figures in seen if name in figures] for name in names]
        miss = self.controller.errors().abs().max()
        *means, most = torch.stack([*(torch.stack(x).mean() for x in each), miss]).tolist()
        told = " ".join(f"{name} {mean:.4g}" for name, mean in zip(names, means, strict=True))
        bar.set_postfix_str(f"{told} miss {most:.0%}")

    def measure(self) -> dict[str, float]:
        """The curve's next line, of the averaged weights; rank 0 writes it to `curve.csv`."""
        if self.rank > 0:
            return {}
        own = [p.detach().clone() for p in self.codec.parameters()]
        state = torch.get_rng_state()
        self.put(self.ema)
        lpips = LPIPS("alex").to(self.device) if self.options.lpips else None
        if lpips is not None:
            lpips.trunk.bf16 = self.dtype == torch.bfloat16
        points = validate(self.codec, self.held_out, self.dtype, self.device, lpips=lpips)
        self.put(own)
        torch.set_rng_state(state)
        row = {
            "pixels": self.progress.pixels,
            "step": self.progress.step,
            "hours": self.progress.cpu_seconds / 3600,
            "rate": self.progress.rate(self.stage),
            "score": score(points),
        }
        for bits, quality in zip(FIXED_BITS, at_fixed_bits(points), strict=True):
            row[f"psnr_at_{bits}"] = quality
        for level, point in zip(LEVELS, points, strict=True):
            row |= {f"bpp@{level}": point.bpp, f"psnr@{level}": point.psnr}
            row[f"lpips@{level}"] = point.lpips
        if not self.options.dry_run:
            _append(self.own_folder / "curve.csv", row)
        tqdm.write(
            f"{self.progress.pixels:.3g} pixels: score {row['score']:.3f} dB; "
            + " ".join(f"{p.bpp:.3f}/{p.psnr:.2f}" for p in points)
        )
        return row

    @torch.no_grad()
    def put(self, values: Iterable[Tensor]) -> None:
        """Put these values in the place of the codec's parameters."""
        for parameter, value in zip(self.codec.parameters(), values, strict=True):
            parameter.copy_(value)


def _flat(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


def _put_back(flat: Tensor, parts: list[Tensor]) -> None:
    """What `_flat` gave, or what became of it, into the tensors that it came from."""
    split = flat.split([part.numel() for part in parts])
    each = [values.view_as(part) for values, part in zip(split, parts, strict=True)]
    torch._foreach_copy_(parts, each)


def _figures(outcome: Outcome, norm: Tensor) -> dict[str, Tensor]:
    quality = -10 * torch.log10(outcome.mse.clamp_min(1e-10))
    figures = {"loss": outcome.loss, "bpp": outcome.bpp.mean(), "psnr": quality.mean()}
    return {k: v.detach() for k, v in (figures | {"norm": norm} | outcome.parts).items()}


def _append(path: Path, row: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with open(path, "a", newline="") as f:
        writer = csv.DictWriter(f, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({key: f"{value:.6g}" for key, value in row.items()})


def learning_parameters(codec: Codec, stage: Stage) -> list[nn.Parameter]:
    """The parameters that a stage teaches; `ValueError` for a name that none begins with."""
    names = [name for name, _ in codec.named_parameters()]
    for beginning in stage.learn:
        if not any(name.startswith(beginning) for name in names):
            raise ValueError(f"recipe: learn = {beginning!r}: no parameter's name begins so")
    for name, parameter in codec.named_parameters():
        parameter.requires_grad_(not stage.learn or name.startswith(stage.learn))
    return [p for p in codec.parameters() if p.requires_grad]


def make_optimisers(codec: Codec, stage: Stage) -> list[torch.optim.Optimizer]:
    """AdamW for all, or Muon for the kernels of convolutions and AdamW for the rest. Groups of
    parameters have a `share` of the stage's rate."""
    kernels: dict[float, list[nn.Parameter]] = defaultdict(list)
    others: dict[float, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in codec.named_parameters():
        if parameter.requires_grad:
            alone = parameter.ndim < 2 or any(word in name for word in ADAM_ALONE)
            by_muon = stage.optimiser == "muon" and not alone
            share = SHORTCUT_SHARE if "shortcut" in name else 1.0
            (kernels if by_muon else others)[share].append(parameter)
    optimisers: list[torch.optim.Optimizer] = []
    if kernels:
        optimisers.append(Muon(_groups(kernels), stage.rate))
    adamw = torch.optim.AdamW(
        _groups(others), stage.rate, stage.betas, weight_decay=0.0, fused=True
    )
    return [*optimisers, adamw]


def _groups(parameters: dict[float, list[nn.Parameter]]) -> list[dict[str, Any]]:
    return [{"params": group, "share": share} for share, group in parameters.items()]


def run_stage(lineage: Lineage, stage: Stage, options: Options) -> Run:
    """Train a stage in as many processes as `torchrun` started; returns the run as it ended."""
    several = "WORLD_SIZE" in os.environ
    if several:
        options.device = join_processes(options.device)
    try:
        run = Run(lineage, stage, options)
        run.go()
        return run
    finally:
        if several:
            dist.destroy_process_group()


def join_processes(device: torch.device) -> torch.device:
    """Join the processes that `torchrun` started; gives the device of this one."""
    if device.type == "cpu":
        dist.init_process_group("gloo")
        return device
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl")  # what is decided on CPUs waits for no GPU
    return device
