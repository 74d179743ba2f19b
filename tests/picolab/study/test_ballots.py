"""Files of votes, and who is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from picolab.study import ballots
from picolab.study.settings import ExclusionRule, Settings

HEAD = "rater,picture,left_codec,left_rate,right_codec,right_rate,answer\n"


def test_a_public_set_needs_seven_columns(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(HEAD + "a,sky,jpeg,10,avif,20,right\nb,sky,avif,20,jpeg,10,tie\n")
    found = ballots.read(path)
    votes = found.votes
    assert [str(c) for c in votes.stimuli.conditions] == ["avif at 20", "jpeg at 10"]
    assert votes.raters == ("a", "b")
    assert votes.left.tolist() == [1, 0]
    assert votes.answer.tolist() == [2, 1]
    assert found.excluded(ExclusionRule()) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,sky,jpeg,10,avif,20,middle", "line 2: the answer is left, tie, right, not 'middle'"),
        ("a,sky,jpeg,ten,avif,20,left", "line 2: could not convert"),
        ("a,sky,jpeg,10,jpeg,10,left", "line 2: both pictures are the same"),
        (",sky,jpeg,10,avif,20,left", "line 2: a vote without a rater"),
        ("a,sky,jpeg", "line 2"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(HEAD + line + "\n")
    with pytest.raises(ValueError, match=message):
        ballots.read(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("rater,picture,left_codec\n")
    with pytest.raises(ValueError, match="no column left_rate"):
        ballots.read(path)


def trap(rater: str, answer: str, ms: int = 2000) -> dict[str, str]:
    return {
        "rater": rater,
        "kind": "trap",
        "picture": "sky",
        "answer": answer,
        "expected": "left",
        "response_ms": str(ms),
    }


def test_raters_are_left_out_by_the_rule_alone() -> None:
    rows = [trap("good", "left") for _ in range(4)] + [trap("good", "tie")]
    rows += [trap("cheat", answer) for answer in ("right", "tie", "left", "left")]
    rows += [trap("quick", "left", 300) for _ in range(4)]
    found = ballots.from_rows(rows)
    assert found.excluded(ExclusionRule()) == {
        "cheat": "2 of 4 traps wrong",
        "quick": "median answer after 300 ms",
    }
    assert found.excluded(ExclusionRule(least_wrong=3, least_median_ms=0)) == {}


def test_the_data_dictionary_is_in_the_document() -> None:
    text = (Path(__file__).parents[3] / "docs" / "study.md").read_text(encoding="utf-8")
    assert ballots.dictionary() in text


def test_settings_survive_and_are_checked() -> None:
    settings = Settings(trials=20, exclusion=ExclusionRule(least_wrong=3))
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings().for_comparisons(1100).raters == 20
    with pytest.raises(ValueError, match="unknown here: colour"):
        Settings.from_json('{"colour": 1}')
    with pytest.raises(ValueError, match="middle, demand"):
        Settings(reference="left")
    with pytest.raises(ValueError, match="64 to 1024"):
        Settings(crop=16)
