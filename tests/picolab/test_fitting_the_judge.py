"""What `picolab judge` makes of trials: a module that the encoder can use."""

from __future__ import annotations

import math

import pytest

from picocodec.encoding import fitted
from picocodec.encoding.features import Look
from picolab.experiments import judge
from picolab.experiments.fitting import as_module
from picolab.experiments.judge import Exponential, Judgement
from picolab.experiments.limits import Limits, fit_limits
from picolab.experiments.trials import LEVELS, STEP, Crop, Trial

BITS = Exponential(0.2, 10.0)


def trial(coder: str, level: int, bits: float, distance: float = 0.1) -> Trial:
    return Trial(coder, level, 0, bits, distance, distance, distance, distance / 100)


def photo(number: int) -> Crop:
    """Bits that grow as `BITS` has it, distances that fall as fast."""
    trials = []
    for level in LEVELS:
        for name, at in (("learned", level), ("learned, more", level + STEP)):
            trials.append(trial(name, level, BITS.at(at), 0.1 / BITS.at(at)))
    return Crop("natural", number, Look(False, 3.0), trials)


def test_bits_of_photos_are_those_of_the_networks() -> None:
    drawing = Crop("graphics", 9, Look(True, 0.0), [trial("learned", at, 99.0) for at in LEVELS])
    found = judge.fit_bits([photo(0), drawing, photo(1)])
    assert (found.start, found.growth) == pytest.approx((BITS.start, BITS.growth))


def test_what_distances_are_worth_grows_as_they_fall() -> None:
    """Bits times distance is constant, so that a bit is worth more the less distance is left."""
    rates = judge.exchange_rates([photo(0), photo(1)])
    assert rates["lpips"].growth == pytest.approx(BITS.growth**2, rel=1e-6)
    assert rates["mse"].start == pytest.approx(100 * rates["lpips"].start)


def test_the_module_has_every_number_that_the_encoder_reads() -> None:
    made: dict[str, object] = {}
    numbers = Judgement(Exponential(6.2881, 440.2), Exponential(0.34, 13.0))
    limits = Limits(quick_lossless=0.678, changes=0.4567, quick_av1=1.234)
    exec(as_module(numbers, [13.0, 81.0, -17.0], BITS, limits), made)
    names = {name for name in vars(fitted) if name.isupper()}
    assert names == {name for name in made if name.isupper()}
    assert made["ERRORS"] == (6.288, 440.2) and made["BITS"] == (0.2, 10.0)
    assert math.isclose(made["AV1_QUALITY"][2], -17.0)  # type: ignore[index]
    # Rounded so that nothing which won is ruled out.
    assert (made["LEAST_OF_QUICK"], made["FOR_A_CHANGE"]) == (0.67, 0.45)
    assert made["QUICK_MAY_COST"] == 1.24


def free(coder: str, level: int, bits: float, quality: int = 0) -> Trial:
    """What costs its bits alone."""
    return Trial(coder, level, quality, bits, 0.0, 0.0, 0.0, 0.0)


def drawn(learned: float, exact: float, quick: float, av1: float = 99.0, screen=False) -> Crop:
    """A drawing of which half the pixels are not as their neighbours."""
    tries = (("learned", learned), ("av1", av1), ("exact", exact), ("exact, quick", quick))
    look = Look(True, 1.0, is_screen=screen, changes=50)
    return Crop("graphics", 0, look, [free(name, 400, bits) for name, bits in tries])


def lettered(learned: float, careful: float, quick: float, text: bool = True) -> Crop:
    tries = (("learned", learned, 0), ("av1", careful, 40), ("av1, quick", quick, 40))
    trials = [free(name, 400, bits, quality) for name, bits, quality in tries]
    return Crop("text", 0, Look(drawn=not text, gradient=1.0, lettered=True), trials)


def test_limits_rule_out_nothing_that_won() -> None:
    crops = [
        drawn(learned=2.0, exact=2.4, quick=3.0),  # exact pixels cost 0.8 of their bits
        drawn(learned=1.5, exact=1.0, quick=1.6),
        drawn(learned=0.5, exact=0.4, quick=0.5, av1=0.3),  # AV1 won
        drawn(learned=0.1, exact=0.05, quick=0.06, screen=True),
        lettered(learned=2.0, careful=1.8, quick=2.2),
        lettered(learned=2.0, careful=1.0, quick=1.5),
        lettered(learned=2.0, careful=2.1, quick=3.0),  # careful AV1 lost
    ]
    judge_of_bits = Judgement(Exponential(1.0, 1.0), Exponential(1.0, 1.0))
    found = fit_limits(crops, judge_of_bits, pixels=100)
    assert found == Limits(quick_lossless=1.0 / 1.6, changes=3.0, quick_av1=1.1)


def test_letters_that_are_drawn_say_nothing_of_photographed_ones() -> None:
    crops = [drawn(2.0, 1.0, 1.5), lettered(2.0, 1.8, 2.2), lettered(2.0, 1.0, 9.0, text=False)]
    judge_of_bits = Judgement(Exponential(1.0, 1.0), Exponential(1.0, 1.0))
    assert fit_limits(crops, judge_of_bits, pixels=100).quick_av1 == 1.1


def test_crops_that_say_nothing_of_a_limit_are_too_few() -> None:
    judge_of_bits = Judgement(Exponential(1.0, 1.0), Exponential(1.0, 1.0))
    with pytest.raises(ValueError, match="letters won in no crop"):
        fit_limits([drawn(2.0, 1.0, 1.5)], judge_of_bits, pixels=100)
