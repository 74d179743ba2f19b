"""What a study's plan fixes before the first vote."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

REFERENCES = ("middle", "demand")
CROP_RULES = ("detail", "centre", "random")
LARGEST_CROP = 1024


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True)
class ExclusionRule:
    """Who is left out of the ratings, decided in the plan and never after.

    A rater is left out who got at least `least_wrong` traps wrong and more than `wrong_share` of
    those seen, or whose median time for an answer is under `least_median_ms` milliseconds.
    """

    least_wrong: int = 2
    wrong_share: float = 0.25
    least_median_ms: float = 600.0

    def __post_init__(self) -> None:
        """Raises `ValueError` for a rule that leaves out everybody or makes no sense."""
        _check(self.least_wrong >= 1, "who got no trap wrong is not left out: at least 1")
        _check(0 <= self.wrong_share <= 1, "the share of wrong traps lies between 0 and 1")
        _check(self.least_median_ms >= 0, "the least median time is not negative")


@dataclass(frozen=True)
class Settings:
    """A study's rules and words. Counts are per rater; `raters` is how many may finish.

    `plates` and `screens` are how many colour plates and pairs with a known answer stand before the
    trials, of which `plates_wrong` and `screens_wrong` may be answered wrongly. Each `trap_every`
    trials hold one trap, a break is offered each `break_every`. `random_share` of the pairs are
    random, the others chosen by information.
    """

    title: str = "Which picture is closer to the original?"
    contact: str = ""
    minutes: int = 10
    crop: int = 384
    crop_rule: str = "detail"
    reference: str = "middle"
    plates: int = 6
    plates_wrong: int = 1
    screens: int = 6
    screens_wrong: int = 1
    trials: int = 60
    trap_every: int = 12
    break_every: int = 20
    raters: int = 50
    random_share: float = 0.2
    crowd_parameter: str = ""
    completion_code: str = ""
    completion_link: str = ""
    seed: int = 0
    exclusion: ExclusionRule = ExclusionRule()

    def __post_init__(self) -> None:
        """Raises `ValueError` for a rule that no study could follow."""
        _check(self.reference in REFERENCES, f"the reference is one of {', '.join(REFERENCES)}")
        _check(self.crop_rule in CROP_RULES, f"the crop rule is one of {', '.join(CROP_RULES)}")
        _check(64 <= self.crop <= LARGEST_CROP, f"crops are 64 to {LARGEST_CROP} pixels a side")
        _check(0 <= self.random_share <= 1, "the share of random pairs lies between 0 and 1")
        _check(min(self.trials, self.raters) > 0, "a study needs raters and trials")
        _check(min(self.plates, self.screens) >= 0, "counts of plates and screens are not negative")
        _check(min(self.trap_every, self.break_every) > 1, "traps and breaks are 2 trials apart")
        _check(
            not self.completion_link or self.completion_link.startswith("https://"),
            "the link back to a crowd platform begins with https://",
        )

    def for_comparisons(self, count: int) -> Settings:
        """The same with as many raters as `count` comparisons need, traps not counted."""
        traps = self.trials / self.trap_every
        return replace(self, raters=max(1, math.ceil(count / (self.trials - traps))))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Raises `ValueError` for settings that this version does not know."""
        values: dict[str, Any] = json.loads(text)
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"the study has settings unknown here: {', '.join(sorted(unknown))}")
        values["exclusion"] = ExclusionRule(**values.get("exclusion", {}))
        return cls(**values)
