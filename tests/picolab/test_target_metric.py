"""Files as good as asked for by a metric, and no larger than need be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import photo

import picocodec
from picolab import cli
from picolab.evaluation.metrics.pixel import MSSSIM, PSNR
from picolab.evaluation.target import PASSES, TargetOutOfReach, Trial, search

# Qualities that rise or distances that fall with the level, as bent as any metric's curve.
LAWS = st.tuples(st.floats(0.5, 2), st.sampled_from([1, -1]), st.floats(0.01, 100))


class Attempts:
    def __init__(self, bend: float, sign: int, scale: float) -> None:
        self.bend, self.sign, self.scale = bend, sign, scale
        self.made: list[Trial] = []

    def value(self, level: int) -> float:
        return self.sign * self.scale * (level / 1000) ** self.bend

    def __call__(self, level: int) -> Trial:
        self.made.append(Trial(level, bytes(1000 + level), self.value(level)))
        return self.made[-1]


@given(LAWS, st.integers(0, 1000))
def test_targets_are_met_by_little_more_than_the_least_level(law, least):
    attempts = Attempts(*law)
    found, passes = search(attempts, attempts.value(least), law[1] > 0)
    assert passes == len(attempts.made) <= PASSES
    assert least <= found.level <= least + 63


def test_an_ordinary_curve_is_followed_closely():
    for least in range(0, 1001, 50):
        attempts = Attempts(0.7, 1, 30)
        assert search(attempts, attempts.value(least), True)[0].level <= least + 3


def test_the_search_ends_at_the_lowest_quality_if_that_is_enough():
    attempts = Attempts(1, 1, 1)
    found, passes = search(attempts, -1, True)
    assert (found.level, passes) == (0, 2)


def test_what_quality_100_does_not_meet_is_out_of_reach():
    with pytest.raises(TargetOutOfReach, match="at quality 100 it is 1"):
        search(Attempts(1, 1, 1), 1.01, True)


def test_equal_pictures_do_not_mislead_the_search():
    """PSNR leaps to infinity where a picture becomes lossless."""

    def attempt(level):
        return Trial(level, bytes(level), 30 if level < 600 else np.inf)

    found, _ = search(attempt, 40, True)
    assert 600 <= found.level <= 616


def test_the_smallest_of_what_will_do_is_kept_where_bytes_are_no_monotonic_matter():
    def attempt(level):
        return Trial(level, bytes(100 if level == 1000 else 500), level / 1000)

    assert search(attempt, 0.7, True)[0].level == 1000


@pytest.mark.parametrize(
    "mode, name, value, metric",
    [("RGB", "psnr", 30, PSNR), ("L", "psnr", 30, PSNR), ("RGBA", "ms_ssim", 0.95, MSSSIM)],
)
def test_a_file_for_a_metric(tmp_path, capsys, mode, name, value, metric):
    source, target = tmp_path / "photo.png", tmp_path / "photo.pico"
    pixels = photo(192, 176)
    image = Image.fromarray(pixels).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(pixels[:, :, 1]))
    image.save(source)
    command = ["encode", str(source), str(target), "--target-metric", f"{name}={value}"]
    assert cli.main(command) == 0
    data = target.read_bytes()
    shown = []
    for layers in (image, Image.fromarray(picocodec.decode(data))):
        white = Image.new("RGBA", image.size, "white")
        shown.append(np.array(Image.alpha_composite(white, layers.convert("RGBA")))[:, :, :3])
    assert value <= metric()(*shown) < value + {"psnr": 0.3, "ms_ssim": 0.01}[name]
    quality = picocodec.read_info(data).quality
    assert f"{len(data)} bytes  quality {quality:g}  {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "target, message",
    [
        ("psnr=90", "psnr=90 is out of reach: at quality 100 it is"),
        ("beauty=1", "no metric is called beauty; there are psnr"),
    ],
)
def test_what_cannot_be_had_is_told_and_nothing_written(tmp_path, capsys, target, message):
    source, output = tmp_path / "photo.png", tmp_path / "photo.pico"
    Image.fromarray(photo(64, 64)).save(source)
    assert cli.main(["encode", str(source), str(output), "--target-metric", target]) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()
