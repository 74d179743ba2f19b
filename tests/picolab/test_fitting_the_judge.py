"""What `picolab judge` makes of trials: a module that the encoder can use."""

from __future__ import annotations

import math

import pytest

from picocodec.encoding import fitted
from picocodec.encoding.features import Look
from picolab.experiments import judge
from picolab.experiments.fitting import as_module
from picolab.experiments.judge import Exponential, Judgement, fit_quick_av1
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
    exec(as_module(numbers, [13.0, 81.0, -17.0], BITS, 1.234), made)
    names = {name for name in vars(fitted) if name.isupper()}
    assert names == {name for name in made if name.isupper()}
    assert made["ERRORS"] == (6.288, 440.2) and made["BITS"] == (0.2, 10.0)
    assert math.isclose(made["AV1_QUALITY"][2], -17.0)  # type: ignore[index]
    assert made["QUICK_MAY_COST"] == 1.24  # rounded so that nothing which won is ruled out


def free(coder: str, bits: float, quality: int = 0) -> Trial:
    """What costs its bits alone."""
    return Trial(coder, 400, quality, bits, 0.0, 0.0, 0.0, 0.0)


def lettered(learned: float, careful: float, quick: float, photographed: bool = True) -> Crop:
    trials = [free("learned", learned), free("av1", careful, 40), free("av1, quick", quick, 40)]
    look = Look(flat=not photographed, gradient=1.0, lettered=True)
    return Crop("text", 0, look, trials)


BITS_ALONE = Judgement(Exponential(1.0, 1.0), Exponential(1.0, 1.0))


def test_the_limit_of_quick_av1_rules_out_nothing_that_won_much() -> None:
    crops = [
        lettered(learned=2.0, careful=1.8, quick=2.2),
        lettered(learned=2.0, careful=1.0, quick=1.5),
        lettered(learned=2.0, careful=2.1, quick=3.0),  # careful AV1 lost
        lettered(learned=2.0, careful=1.9999, quick=2.8),  # it won a trifle
        lettered(learned=2.0, careful=1.0, quick=1.2, photographed=False),
    ]
    assert fit_quick_av1(crops, BITS_ALONE) == 1.1


def test_crops_that_say_nothing_of_the_limit_are_too_few() -> None:
    with pytest.raises(ValueError, match="won in hardly any crop"):
        fit_quick_av1([lettered(2.0, 2.1, 3.0), photo(0)], BITS_ALONE)
