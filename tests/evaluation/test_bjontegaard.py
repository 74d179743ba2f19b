from __future__ import annotations

import numpy as np
import pytest

from picolab.evaluation.bjontegaard import Curve, Refused, at_equal_bytes, bd_rate, over_images

BPP = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
QUALITY = np.array([26.0, 29.0, 32.0, 34.5, 37.5])
ANCHOR = Curve(BPP, QUALITY)


def test_thirty_percent_fewer_bytes_everywhere():
    delta = bd_rate(ANCHOR, Curve(0.7 * BPP, QUALITY))
    assert delta.percent == pytest.approx(-30)
    assert delta.quality == (26.0, 37.5)
    assert delta.bpp == pytest.approx((0.1, 1.6))
    assert delta.share == 1


def test_swapping_the_codecs_inverts_the_ratio():
    test = Curve(BPP * [0.7, 0.6, 0.8, 0.9, 0.5], QUALITY + 0.3)
    there, back = bd_rate(ANCHOR, test).percent, bd_rate(test, ANCHOR).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_only_what_both_curves_reach_counts():
    """Where the test curve is outside of the anchor's qualities it may be as bad as it likes."""
    test = Curve([0.1, 0.2, 0.4, 0.8, 50.0], [29.0, 32.0, 34.5, 37.5, 38.0])
    delta = bd_rate(ANCHOR, test)
    assert delta.percent == pytest.approx(-50, abs=3)
    assert delta.quality == (29.0, 37.5)


def test_the_range_is_that_of_the_anchor():
    """Half the bytes below 0.4 bpp of the anchor, twice above."""
    fine = np.geomspace(0.1, 1.6, 41)
    quality = np.linspace(26, 38, 41)
    anchor = Curve(fine, quality)
    test = Curve(np.where(fine < 0.4, fine / 2, fine * 2), quality)
    low = bd_rate(anchor, test, (0.12, 0.35))
    high = bd_rate(anchor, test, (0.45, 1.5))
    assert low.percent == pytest.approx(-50) and high.percent == pytest.approx(100)
    assert low.bpp == pytest.approx((0.12, 0.35)) and low.share == pytest.approx(1)


def test_a_range_beyond_the_anchor_is_cut_not_extrapolated():
    delta = bd_rate(ANCHOR, Curve(0.5 * BPP, QUALITY), (0.01, 0.8))
    assert delta.bpp == pytest.approx((0.1, 0.8))


@pytest.mark.parametrize(
    ("test", "bpp_range", "reason"),
    [
        (Curve(BPP, QUALITY + 20), None, "no quality in common"),
        (Curve(BPP, QUALITY + 7), None, "less than 50%"),
        (Curve(BPP, QUALITY + 7), (0.1, 0.8), "less than 50%"),
        (Curve(BPP[:3], QUALITY[:3]), None, "test curve has 3 usable points"),
        (ANCHOR, (2.0, 3.0), "no rates within"),
        (Curve([0.5], [float("inf")]), None, "0 usable points"),
    ],
)
def test_refuses(test, bpp_range, reason):
    with pytest.raises(Refused, match=reason):
        bd_rate(ANCHOR, test, bpp_range)


def test_points_worse_in_both_ways_are_dropped():
    worse = Curve([*BPP, 0.9, 0.1], [*QUALITY, 31.0, 20.0])
    assert bd_rate(ANCHOR, worse).percent == pytest.approx(0, abs=1e-9)


def test_mean_and_bootstrap_over_pictures():
    factors = {"a": 0.6, "b": 0.7, "c": 0.8}
    anchor = {name: ANCHOR for name in [*factors, "d", "only here"]}
    test = {name: Curve(f * BPP, QUALITY) for name, f in factors.items()}
    test["d"] = Curve(BPP, QUALITY + 30)
    summary = over_images(anchor, test)
    assert summary.percent == pytest.approx(-30)
    assert summary.images == 3 and list(summary.refused) == ["d"]
    low, high = summary.interval
    assert -40.01 < low < -30 < high < -19.99
    assert over_images(anchor, test) == summary


def test_no_picture_at_all_is_refused():
    with pytest.raises(Refused, match="no picture in common"):
        over_images({"a": ANCHOR}, {"b": ANCHOR})


def test_the_same_bytes_buy_what_the_curves_say():
    """Straight lines over the logarithm of the rate, two apart, in any order of points."""
    line = np.log2(BPP)
    found = at_equal_bytes(
        {"a": Curve(BPP, line), "b": Curve(BPP, line), "only here": ANCHOR},
        {"a": Curve(BPP[::-1], line[::-1] + 2), "b": Curve(BPP, line + 4)},
        (0.15, 0.6),
    )
    middle = (np.log2(0.15) + np.log2(0.6)) / 2
    assert (found.anchor, found.test) == (pytest.approx(middle), pytest.approx(middle + 3))
    assert (found.images, found.missing) == (2, 0)


def test_a_picture_with_too_few_common_rates_is_left_out():
    anchor = {"a": ANCHOR, "b": ANCHOR}
    late = Curve(BPP * 3, QUALITY)
    found = at_equal_bytes(anchor, {"a": Curve(BPP, QUALITY + 1), "b": late}, (0.15, 0.35))
    assert (found.images, found.missing) == (1, 1) and found.test - found.anchor == pytest.approx(1)
    with pytest.raises(Refused, match="no picture"):
        at_equal_bytes({"a": ANCHOR}, {"a": late}, (0.15, 0.35))
