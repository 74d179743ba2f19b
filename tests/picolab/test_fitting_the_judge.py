"""What `picolab judge` makes of trials: a module that the encoder can use."""

from __future__ import annotations

import math

import pytest

from picocodec.encoding import fitted
from picocodec.encoding.features import Look
from picolab.experiments import judge
from picolab.experiments.judge import LEVELS, Crop, Exponential, Judgement, Trial

BITS = Exponential(0.2, 10.0)


def trial(coder: str, level: int, bits: float, distance: float = 0.1) -> Trial:
    return Trial(coder, level, 0, bits, distance, distance, distance, distance / 100)


def photo(number: int) -> Crop:
    """Bits that grow as `BITS` has it, distances that fall as fast."""
    trials = []
    for level in LEVELS:
        for name, at in (("learned", level), ("learned, more", level + judge.STEP)):
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
    exec(judge.as_module(numbers, [13.0, 81.0, -17.0], BITS), made)
    names = {name for name in vars(fitted) if name.isupper()}
    assert names == {name for name in made if name.isupper()}
    assert made["ERRORS"] == (6.288, 440.2) and made["BITS"] == (0.2, 10.0)
    assert math.isclose(made["AV1_QUALITY"][2], -17.0)  # type: ignore[index]
