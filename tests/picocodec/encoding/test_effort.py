"""How much is tried, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import features
from tiny import drawing, photo, screen, sign
from written import kinds

import picocodec
from picocodec import cli
from picocodec.coders import av1
from picocodec.encoding import fitted
from picocodec.encoding.candidates import QUICKEST
from picocodec.encoding.effort import DEFAULT_EFFORT, MOST_EFFORT, effort_of
from picocodec.encoding.judge import Judge

needs_av1 = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


def cost(data: bytes, pixels: np.ndarray, level: int) -> float:
    return Judge(level).cost(len(data), pixels, picocodec.decode(data))


def test_none_is_the_networks_and_what_costs_less_without_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(av1, "encode_av1", None)
    page = np.concatenate([drawing(150, 504), photo(150, 100)], axis=1)
    assert kinds(picocodec.encode(page, 60, effort=0)) == ["lossless", "learned"]
    assert kinds(picocodec.encode(sign(150, 300), 60, effort=0)) == ["learned"]


@needs_av1
def test_more_effort_never_costs_more() -> None:
    page = np.concatenate([screen(150, 504), sign(150, 504), photo(150, 100)], axis=1)
    costs = [cost(picocodec.encode(page, 50, effort=e), page, 500) for e in (0, 1, 5, 8)]
    # The last tile may be decoded differently beside other neighbours.
    assert all(more <= 1.01 * less for less, more in zip(costs, costs[1:], strict=False))
    assert costs[2] < 0.9 * costs[0]


@needs_av1
def test_the_most_tries_what_the_usual_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noisy = (photo(90, 120) + rng.normal(0, 12, (90, 120, 1))).clip(0, 255).astype(np.uint8)
    tries: list[int] = []
    encode = av1.encode_av1

    def counted(pixels, quality, threads, speed, told):
        tries.append(speed)
        return encode(pixels, quality, threads, speed, told)

    monkeypatch.setattr(av1, "encode_av1", counted)
    picocodec.encode(noisy, 20)
    assert tries == []
    picocodec.encode(noisy, 20, effort=MOST_EFFORT)
    assert tries == [4]


@needs_av1
def test_careful_av1_follows_a_quick_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what may be drawn or have letters, careful AV1 codes only what quick AV1 is near to the
    best for."""
    tries: list[tuple[int, bool]] = []
    encode = av1.encode_av1

    def counted(pixels, quality, threads, speed, told):
        tries.append((speed, bool(told)))
        return encode(pixels, quality, threads, speed, told)

    monkeypatch.setattr(av1, "encode_av1", counted)
    for pixels in (sign(150, 300), screen(150, 300)):
        tries.clear()
        picocodec.encode(pixels, 70)
        assert tries == [(QUICKEST, True), (6, True)]
    monkeypatch.setattr(fitted, "QUICK_MAY_COST", 0.0)
    for pixels in (sign(150, 300), screen(150, 300)):
        tries.clear()
        picocodec.encode(pixels, 70)
        assert tries == [(QUICKEST, True)]


@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), (10, ValueError), (2.5, TypeError), (True, TypeError)]
)
def test_efforts_that_are_none(wrong: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="effort"):
        picocodec.encode(photo(8, 8), effort=wrong)  # type: ignore[arg-type]


def test_on_the_command_line(tmp_path, monkeypatch, capsys) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    page = screen(150, 300)
    Image.fromarray(page).save("page.png")
    for effort in (0, DEFAULT_EFFORT):
        assert cli.picoenc(["page.png", f"{effort}.pico", "-e", str(effort)]) == 0
        data = picocodec.encode(page, effort=effort)
        assert (tmp_path / f"{effort}.pico").read_bytes() == data
    with pytest.raises(SystemExit):
        cli.picoenc(["page.png", "x.pico", "--effort", "11"])
    assert "effort" in capsys.readouterr().err


def test_each_effort_tries_as_much_as_the_one_below() -> None:
    everywhere = [effort_of(number).photos for number in range(MOST_EFFORT + 1)]
    assert everywhere == sorted(everywhere) and everywhere[-1]
    speeds = [effort_of(n).av1 or 10 for n in range(10)]
    assert speeds == sorted(speeds, reverse=True)
