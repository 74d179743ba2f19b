"""Files that fill a number of bytes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.cli import arguments
from picocodec.encoding import rate
from picocodec.errors import TargetTooSmall

PIXELS = 10**6


class Encoder:
    """Files whose sizes grow with the level by a smooth law; counts its calls."""

    def __init__(self, lowest: float, growth: float, bend: float, fixed: int) -> None:
        self.lowest, self.growth, self.bend, self.fixed = lowest, growth, bend, fixed
        self.calls = 0

    def size(self, level: int) -> int:
        bpp = self.lowest * math.exp(self.growth * (level / 1000) ** self.bend)
        return self.fixed + int(bpp * PIXELS / 8)

    def __call__(self, level: int) -> bytes:
        self.calls += 1
        return bytes(self.size(level))


# Many times more bytes than the typical photo, or fewer, and curves as bent as any.
LAWS = st.builds(
    Encoder,
    lowest=st.floats(0.02, 1),
    growth=st.floats(1.8, 4),
    bend=st.floats(0.8, 1.2),
    fixed=st.integers(0, 2000),
)


@given(LAWS, st.floats(0, 1))
def test_sizes_are_filled_and_never_exceeded(encoder, where):
    smallest, largest = encoder.size(0), encoder.size(1000)
    target = int(smallest + where * (largest - smallest))
    data = rate.fill(encoder, target, PIXELS)
    assert encoder.calls <= 6
    assert 0.98 * target <= len(data) <= target or len(data) == smallest


@given(LAWS)
def test_below_the_least_and_above_the_most(encoder):
    with pytest.raises(TargetTooSmall, match=f"needs {encoder.size(0)} even"):
        rate.fill(encoder, encoder.size(0) - 1, PIXELS)
    assert encoder.calls <= 6
    encoder.calls = 0
    assert len(rate.fill(encoder, 2 * encoder.size(1000), PIXELS)) == encoder.size(1000)
    assert encoder.calls <= 6


def test_steps_of_quality_may_be_coarser_than_the_tolerance():
    sizes = [100 if level < 500 else 200 for level in range(1001)]
    assert len(rate.fill(lambda level: bytes(sizes[level]), 150, PIXELS)) == 100


def test_real_files_fill_their_target():
    rgb = photo(200, 300)
    least = len(picocodec.encode(rgb, 0))
    most = len(picocodec.encode(rgb, target_size=1 << 20))
    for share in (0.1, 0.5, 0.9):
        target = int(least + share * (most - least))
        data = picocodec.encode(rgb, target_size=target)
        assert 0.98 * target <= len(data) <= target
    with pytest.raises(TargetTooSmall, match="raise the target"):
        picocodec.encode(rgb, target_size=least - 1)


@pytest.mark.parametrize("target", [0, -5, 1.5, "200k"])
def test_targets_that_are_no_sizes(target):
    with pytest.raises(ValueError, match="target_size"):
        picocodec.encode(photo(8, 8), target_size=target)


@pytest.mark.parametrize(
    ("text", "size"),
    [("50000", 50000), ("200k", 200_000), ("1.5M", 1_500_000), ("64Ki", 65536), ("2kB", 2000)],
)
def test_sizes_as_people_write_them(text, size):
    assert arguments.size(text) == size


def test_targets_on_the_command_line(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(200, 300)).save("photo.png")
    assert cli.picoenc(["photo.png", "photo.pico", "--target-size", "6k"]) == 0
    assert 5880 <= (tmp_path / "photo.pico").stat().st_size <= 6000
    assert "quality" in capsys.readouterr().err
    assert cli.picoenc(["photo.png", "photo.pico", "--target-bpp", "0.8"]) == 0
    assert 5880 <= (tmp_path / "photo.pico").stat().st_size <= 6000
    assert cli.picoenc(["photo.png", "photo.pico", "--target-size", "100"]) == 1
    assert "picoenc: photo.png: the target is 100 bytes" in capsys.readouterr().err
    for wrong in ("0", "-1", "k", "5G", "1e3", "1ib"):
        with pytest.raises(SystemExit):
            cli.picoenc(["photo.png", "photo.pico", "--target-size", wrong])
    with pytest.raises(SystemExit):
        cli.picoenc(["photo.png", "photo.pico", "--target-size", "6k", "-q", "50"])
