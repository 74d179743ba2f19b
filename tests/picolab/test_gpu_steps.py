"""Training steps on a pretended GPU (pretended.py): they compute what they do on a CPU, nothing in
them waits for the GPU, and the optimisers start few kernels.

What no CPU can show: speed, compiled kernels, and what CUDA's own kernels round otherwise.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended import NAME, Mistake, Pretended, Waits, pretended_device
from safetensors.torch import save_file
from tiles import make_tiles
from tiny import TINY
from torch import Tensor

from picolab.data.crops import principal_components
from picolab.training.checkpoint import load_checkpoint, save_checkpoint
from picolab.training.lineage import Batch, Lineage, read_lineage
from picolab.training.run import Options, Run
from picolab.training.step import Outcome

RECIPE = Path(__file__).parents[2] / "recipes/photo.toml"
STAGES = ("entropy", "trunk", "looks")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles, and perceptual networks of random weights."""
    folder = make_tiles(tmp_path_factory.mktemp("tiles"))
    generator = torch.Generator().manual_seed(0)
    for name, channels, kernels in (
        ("alex", (3, 64, 192, 384, 256, 256), (11, 5, 3, 3, 3)),
        ("vgg", (3, 64, 64, 128, 128, *[256] * 3, *[512] * 6), (3,) * 13),
    ):
        weights = {f"lin.{n}": torch.ones(c) for n, c in enumerate((64, 192, 384, 256, 256))}
        pairs = zip(itertools.pairwise(channels), kernels, strict=True)
        for n, ((into, out), side) in enumerate(pairs):
            spread = (2 / (into * side**2)) ** 0.5
            weight = torch.randn(out, into, side, side, generator=generator) * spread
            weights |= {f"net.convs.{n}.weight": weight, f"net.convs.{n}.bias": torch.zeros(out)}
        halves = {key: values.half() for key, values in weights.items()}
        save_file(halves, folder / f"lpips_{name}_fp16.safetensors")
    save_file({k: torch.ones(1475) for k in ("alpha", "beta")}, folder / "dists_ab.safetensors")
    return folder


@pytest.fixture
def make(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """A run of a stage of `photo`, with the tiny shape and few crops."""
    monkeypatch.setenv("PICOLAB_WEIGHTS", str(folder))
    few = functools.partial(principal_components, draws=1)
    monkeypatch.setattr("picolab.training.run.principal_components", few)

    def run(stage: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Run:
        lineage: Lineage = read_lineage(RECIPE, folder)
        chosen = replace(
            lineage.stage(stage), batches=(Batch(4, 64),), kept=None, warmup=1, pixels=0
        )
        losses = replace(chosen.losses, alex_wasserstein=1.0, adversary=1.0)
        chosen = replace(chosen, losses=losses if chosen.losses.perceptual else chosen.losses)
        lineage = replace(lineage, shape=TINY, stages=(chosen,))
        options = Options(tmp_path / device.type, device, dtype, compile=False, lpips=False)
        return Run(lineage, chosen, options)

    return run


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_waits_for_nothing_and_computes_the_same(stage: str, make) -> None:
    plain = make(stage, CPU)
    figures = [plain.step() for _ in range(5)]
    with Pretended() as gpu:
        run = make(stage, pretended_device())
        gpu.running = True
        seen = [run.step() for _ in range(5)]
        gpu.running = False
        assert all(p.device.type == NAME for p in run.codec.parameters())
        for ours, theirs in zip(seen, figures, strict=True):
            torch.testing.assert_close({name: x.cpu() for name, x in ours.items()}, theirs)
        expected = plain.codec.state_dict()
        for name, values in run.codec.state_dict().items():
            torch.testing.assert_close(values.cpu(), expected[name])


def test_an_adversary_is_kept_with_its_run_and_may_come_in_later(make, tmp_path: Path) -> None:
    run = make("looks", CPU)
    run.step()
    run.save()
    run.step()
    again = make("looks", CPU)
    again.step()
    for name, values in run.adversaries.state_dict().items():
        assert torch.equal(values, again.adversaries.state_dict()[name]), name
    tensors, values = load_checkpoint(run.own_folder / "checkpoint")
    heads = len(run.optimisers) - 1
    its_own = ("adversary.", f"optimiser{heads}.")
    before = {name: x for name, x in tensors.items() if not name.startswith(its_own)}
    assert len(before) < len(tensors)
    save_checkpoint(run.own_folder / "checkpoint", before, values)
    later = make("looks", CPU)
    last = later.adversaries["alex"].heads[0][-1].weight
    assert later.progress.step == 1 and not last.any()
    later.step()
    assert last.any()


def test_processes_exchange_as_much_where_one_has_nothing_to_judge(make) -> None:
    run = make("looks", CPU)
    run.stage = replace(run.stage, losses=replace(run.stage.losses, closest=1.0, fullest=0.0))
    run.backward(run.stage.batches[0])
    none = [p.grad for p in run.telling]
    assert all(g is not None and not g.any() for g in none)
    run.stage = replace(run.stage, losses=replace(run.stage.losses, closest=0.0, fullest=1.0))
    sent = sum(g.numel() for g in run._gradients())
    run.backward(run.stage.batches[0])
    assert sum(g.numel() for g in run._gradients()) == sent
    assert any(p.grad is not None and p.grad.any() for p in run.telling)


def test_shortcuts_learn_at_a_tenth_of_the_rate(make, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    for share in (1.0, 0.1):
        monkeypatch.setattr("picolab.training.run.SHORTCUT_SHARE", share)
        run = make("trunk", CPU)
        before = {n: p.detach().clone() for n, p in run.codec.named_parameters()}
        run.step()
        steps = {n: (p.detach() - before[n]).norm() for n, p in run.codec.named_parameters()}
        moved.append(steps)
    for name in ("encoder.shortcut.map.weight", "decoder.shortcut.map.bias"):
        torch.testing.assert_close(moved[1][name], 0.1 * moved[0][name], rtol=1e-3, atol=0)
    name = "decoder.chain8.blocks.0.wide.weight"
    torch.testing.assert_close(moved[1][name], moved[0][name])


def test_a_run_on_a_gpu_is_measured_and_goes_on(make) -> None:
    with Pretended():
        run = make("trunk", pretended_device(), torch.bfloat16)
        run.step()
        run.save()
        row = run.measure()
        assert 5 < row["score"] < 50
        run.step()
        again = make("trunk", pretended_device(), torch.bfloat16)
        again.step()
        expected = run.codec.state_dict()
        for name, values in again.codec.state_dict().items():
            assert torch.equal(values.cpu(), expected[name].cpu()), name


def test_a_bad_batch_spoils_nothing(make) -> None:
    with Pretended() as gpu:
        run = make("trunk", pretended_device())
        run.step()
        good = run.backward

        def spoilt(batch: Batch) -> tuple[Outcome, Tensor]:
            outcome, seen = good(batch)
            for gradient in run._gradients():
                gradient.fill_(torch.nan)
            return outcome, seen * torch.nan

        run.backward = spoilt
        gpu.running = True
        run.step()
        gpu.running = False
        for values in (*run.codec.parameters(), *run.controller.tensors().values()):
            assert torch.isfinite(values).all()


def test_optimisers_start_few_kernels(make) -> None:
    with Pretended() as gpu:
        run = make("trunk", pretended_device())
        run.step()
        muon, adamw = run.optimisers
        gpu.kernels.clear()
        muon.step()
        shapes = [{p.shape for p in group["params"]} for group in muon.param_groups]
        most = sum(22 * len(of_group) + 2 for of_group in shapes)
        assert len(shapes) == 2 and 100 < gpu.kernels.total() <= most, gpu.kernels
        gpu.kernels.clear()
        adamw.step()
        assert gpu.kernels.total() <= 2 * len(adamw.param_groups) == 4, gpu.kernels


def test_the_pretended_gpu_tells_what_waits() -> None:
    with Pretended() as gpu:
        there, here = torch.arange(4.0).to(pretended_device()), torch.arange(4.0)
        gpu.running = True
        waiting = (
            there.sum().item,
            there.nonzero,
            there.cpu,
            lambda: bool(there.sum() > 3),
            lambda: there[there > 2],
            lambda: here.to(there.device),
            lambda: here.to(there.device, non_blocking=True),
            lambda: here.pin_memory().to(there.device),
        )
        for work in waiting:
            with pytest.raises(Waits):
                work()
        sent = here.pin_memory().to(there.device, non_blocking=True)
        for work in (
            lambda: there + here,
            lambda: there[torch.tensor([1])],
            lambda: torch.rand(2, generator=torch.Generator(), device=there.device),
        ):
            with pytest.raises(Mistake):
                work()
        gpu.running = False
        assert (there + sent).cpu().tolist() == [0, 2, 4, 6]
