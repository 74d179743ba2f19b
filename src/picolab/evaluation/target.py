"""The smallest file that is as good as asked for, by a metric of the evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from picocodec.format.container import LEVEL_STEPS

PASSES = 8  # of encoding, decoding and measuring
ALIASES = {"lpips": "lpips_alex"}


class TargetOutOfReach(ValueError):
    """Not even the best quality is as good as asked for."""


@dataclass(frozen=True)
class Trial:
    """What a level gave; `value` is the metric's, of the decoded file."""

    level: int
    data: bytes
    value: float


def search(
    attempt: Callable[[int], Trial], target: float, higher_is_better: bool
) -> tuple[Trial, int]:
    """The smallest file found whose value is the target or better, and the passes it took.

    `attempt` makes and measures the file of a level in thousandths. It is called at most `PASSES`
    times: by interpolation between the nearest levels on both sides of the target, where one that
    stays counts half as much each time (the Illinois variant of regula falsi), so that both move.
    Raises `TargetOutOfReach` where quality 100 is not enough.
    """
    sign = 1 if higher_is_better else -1
    below = above = None  # the trials next to the target, on both sides
    best: Trial | None = None
    level = LEVEL_STEPS // 2
    weights = [1.0, 1.0]  # of the trials below and above, in the interpolation
    passes = 0
    while passes < PASSES:
        trial = attempt(level)
        passes += 1
        is_enough = sign * (trial.value - target) >= 0
        if below and above:
            weights[is_enough], weights[not is_enough] = 1.0, weights[not is_enough] / 2
        if is_enough:
            above = trial
            if best is None or len(trial.data) < len(best.data):
                best = trial
        else:
            below = trial
        if above is None:
            if level == LEVEL_STEPS:
                raise TargetOutOfReach(
                    f"{target:g} is out of reach: at quality 100 it is {trial.value:.4g}"
                )
            level = LEVEL_STEPS
        elif below is None:
            if level == 0:
                break
            level = 0
        elif above.level - below.level <= 1:
            break
        else:
            level = _between(below, above, target, weights)
    assert best is not None
    return best, passes


def _between(below: Trial, above: Trial, target: float, weights: Sequence[float]) -> int:
    """A level strictly between the two, where the target should be."""
    low, high = (w * abs(t.value - target) for w, t in zip(weights, (below, above), strict=True))
    # Equal pictures have an infinite PSNR.
    share = 0.5 if math.isinf(low + high) or low + high == 0 else low / (low + high)
    level = math.ceil(below.level + share * (above.level - below.level))
    return min(max(level, below.level + 1), above.level - 1)


def encode_to_metric(
    path: Path, name: str, target: float, model: str | None = None, threads: int = 0
) -> tuple[Trial, int]:
    """The smallest .pico file found of a picture whose decoded pixels measure `target` or better.

    `name` is one of `picolab.evaluation.metrics.METRICS`, or `lpips` for `lpips_alex`. Measured as
    the evaluation does it: in RGB, transparent parts on white, at the default realism. Raises
    `ValueError` for other names, and for pictures that the metric says nothing about;
    `TargetOutOfReach`; `metrics.Missing`; a `PicoError` for pictures that cannot be encoded.
    """
    from picocodec import decode
    from picocodec.encoding.encoder import encode_picture
    from picocodec.images.picture import to_array
    from picocodec.images.reading import read
    from picocodec.model.store import DEFAULT_MODEL
    from picolab.evaluation.images import rgb_on_white
    from picolab.evaluation.metrics import METRICS

    name = ALIASES.get(name, name)
    if name not in METRICS:
        raise ValueError(f"no metric is called {name}; there are {', '.join(METRICS)}")
    metric = METRICS[name]()
    picture = read(path)
    reference = rgb_on_white(to_array(picture))

    def attempt(level: int) -> Trial:
        data = encode_picture(picture, level, model or DEFAULT_MODEL, threads)
        value = metric(reference, rgb_on_white(decode(data, threads=threads)))
        if value is None:
            raise ValueError(f"{path}: {name} says nothing about this picture")
        return Trial(level, data, value)

    try:
        return search(attempt, target, metric.higher_is_better)
    except TargetOutOfReach as error:
        raise TargetOutOfReach(f"{path}: {name}={error}") from None
