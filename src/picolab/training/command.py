"""`picolab train`: a stage of a lineage, for so long, or a cooldown of it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="run or resume a stage of a model's lineage",
        description="Goes on from the stage's last checkpoint. SIGTERM or Ctrl-C end it at one. "
        "Several processes: torchrun --nproc-per-node=2 -m picolab train RECIPE ...",
    )
    train.add_argument("recipe", type=Path, help="the lineage (recipes/photo.toml)")
    train.add_argument("--stage", help="its name (the first)")
    train.add_argument("-o", "--output", type=Path, help="folder of the lineage (runs/NAME)")
    train.add_argument("--tiles", type=Path, help="folder of tiles, in place of the recipe's")
    train.add_argument("--minutes", type=float, default=0, help="stop at a checkpoint then")
    train.add_argument("--pixels", type=float, default=0, help="stop after so many more (1e9)")
    train.add_argument(
        "--cooldown",
        type=float,
        default=0,
        metavar="SHARE",
        help="branch off: the rate falls to nothing over this share of the pixels so far (0.15)",
    )
    train.add_argument("--branch", default="cooldown", help="the branch's name (%(default)s)")
    train.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    train.add_argument("--threads", type=int, default=1, help="of each process (%(default)s)")
    train.add_argument(
        "--float32", action="store_true", help="not in bfloat16 where the machine is good at it"
    )
    train.add_argument("--no-compile", action="store_true", help="without torch.compile")
    train.add_argument("--no-lpips", action="store_true", help="leave LPIPS out of the curve")
    train.add_argument("--dry-run", action="store_true", help="three steps; nothing is kept")
    train.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from picolab.training.machine import keep_pages, without_denormals

    keep_pages()
    import torch

    from picolab.training.lineage import read_lineage
    from picolab.training.run import Options, run_stage

    torch.set_num_threads(args.threads)
    lineage = read_lineage(args.recipe, args.tiles)
    stage = lineage.stage(args.stage) if args.stage else lineage.stages[0]
    options = Options(
        folder=args.output or Path("runs") / lineage.name,
        device=torch.device(args.device),
        dtype=torch.float32 if args.float32 else None,
        compile=not args.no_compile,
        minutes=args.minutes,
        pixels=args.pixels,
        cooldown=args.cooldown,
        branch=args.branch,
        dry_run=args.dry_run,
        lpips=not args.no_lpips,
    )
    with without_denormals():
        done = run_stage(lineage, stage, options)
    if done.rank == 0:
        kind = str(done.dtype).removeprefix("torch.")
        print(f"{stage.name}: {done.progress.pixels:.4g} pixels, {kind}, in {done.own_folder}")
    return 0
