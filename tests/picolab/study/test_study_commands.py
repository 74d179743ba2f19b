"""`picolab study` from a gallery to perceptual BD-rates, by simulated raters."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from picolab.cli import parser
from picolab.study import experiments
from picolab.study.tables import needed


def run(arguments: list[str]) -> int:
    """`picolab study`, whose errors reach the test."""
    args = parser().parse_args(["study", *arguments])
    return int(args.run(args))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_from_plan_to_report(gallery, tmp_path: Path, capsys) -> None:
    database, out = str(tmp_path / "study.sqlite"), tmp_path / "report"
    plan = [
        "plan",
        str(gallery.folder),
        database,
        "--crop",
        "96",
        "--plates",
        "2",
        "--trials",
        "36",
    ]
    rules = ["--trials", "36", "--screens", "2", "--comparisons", "270"]
    assert run([*plan, *rules]) == 0
    assert "3 pictures, 8 codecs at their rates, 84 pairs" in capsys.readouterr().out
    simulate = ["simulate", "raters", database, "--count", "6", "--truth", "psnr"]
    assert run([*simulate, "--cheats", "0.2"]) == 0
    assert "of 6 raters finished" in capsys.readouterr().out
    rate = ["rate", database, "-o", str(out), "--method", "laplace", "--metrics", "psnr"]
    assert run(rate) == 0
    text = (out / "report.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "## Perceptual BD-rate" in text and "| psnr |" in text
    ratings = table(out / "ratings.csv")
    jpeg = [float(r["elo"]) for r in ratings if r["codec"] == "jpeg-420"]
    # By rate; a few raters do not tell the best two apart, and which they are asked is by chance.
    assert len(jpeg) == 4 and jpeg[0] + 300 < jpeg[1] < max(jpeg[2:])
    assert all(float(r["low95"]) < float(r["elo"]) < float(r["high95"]) for r in ratings)
    assert {r["codec"] for r in table(out / "bd_rate.csv")} == {"jpeg-420", "webp"}
    agreements = {r["metric"]: float(r["agreement"]) for r in table(out / "agreement.csv")}
    assert agreements["psnr"] > 0.6
    assert (out / "elo.svg").is_file() and (out / "elo.png").is_file()
    # The raw votes are a public set like any other: the same ratings come of them.
    again = tmp_path / "again"
    assert run(["rate", str(out / "votes.csv"), "-o", str(again), "--method", "laplace"]) == 0
    for mine, theirs in zip(ratings, table(again / "ratings.csv"), strict=True):
        assert float(mine["elo"]) == pytest.approx(float(theirs["elo"]), abs=0.5)


def test_who_is_left_out_is_for_the_plan_to_say(gallery, tmp_path: Path, capsys) -> None:
    database, out = str(tmp_path / "study.sqlite"), tmp_path / "report"
    plan = ["plan", str(gallery.folder), database, "--crop", "96", "--plates", "0", "--raters", "9"]
    plan += ["--trials", "36", "--trap-every", "4", "--least-wrong", "1", "--wrong-share", "0"]
    assert run(plan) == 0
    simulate = ["simulate", "raters", database, "--count", "9", "--truth", "psnr"]
    assert run([*simulate, "--cheats", "0"]) == 0
    rate = ["-o", str(out), "--method", "laplace"]
    assert run(["rate", database, *rate]) == 0
    votes, text = out / "votes.csv", capsys.readouterr().out
    wrong: dict[str, int] = {}
    for row in table(votes):
        failed = row["kind"] == "trap" and row["answer"] != row["expected"]
        wrong[row["rater"]] = wrong.get(row["rater"], 0) + failed
    strict = {name for name, count in wrong.items() if count}
    assert strict and f"{len(strict)} more left out" in text
    # The same votes as a file, by a rule of one's own: nobody is left out.
    assert run(["rate", str(votes), *rate, "--least-wrong", "10"]) == 0
    assert "nobody left out" in capsys.readouterr().out
    with pytest.raises(ValueError, match="not decided afterwards"):
        run(["rate", database, *rate, "--least-wrong", "10"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        run(["rate", str(votes), *rate, "--wrong-share", "25"])


def test_what_cannot_be_done_is_said(gallery, tmp_path: Path) -> None:
    database = tmp_path / "study.sqlite"
    plan = ["plan", str(gallery.folder), str(database)]
    with pytest.raises(ValueError, match="the gallery has no codec avif"):
        run([*plan, "--codecs", "avif"])
    assert not database.exists()
    with pytest.raises(ValueError, match="no rate of webp 6"):
        run([*plan, "--rates", "webp=6"])
    with pytest.raises(ValueError, match="64 to 1024"):
        run([*plan, "--crop", "8"])
    with pytest.raises(FileNotFoundError, match="no run.json"):
        run(["plan", str(tmp_path), str(database)])
    with pytest.raises(FileNotFoundError, match="no such study"):
        run(["rate", str(database), "-o", str(tmp_path), "--method", "laplace"])
    assert run([*plan, "--crop", "64", "--plates", "0", "--codecs", "webp"]) == 0
    with pytest.raises(ValueError, match="no votes to rate"):
        run(["rate", str(database), "-o", str(tmp_path / "out"), "--method", "laplace"])


def test_tables_of_simulated_raters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "SIZES", (200, 300))
    monkeypatch.setattr(experiments, "integrate", experiments.fit)  # a test need not be sure
    folder = tmp_path / "simulated"
    assert run(["simulate", "coverage", "--studies", "2", "-o", f"{folder}/coverage.csv"]) == 0
    assert run(["simulate", "width", "--studies", "1", "-o", f"{folder}/width.csv"]) == 0
    document = tmp_path / "simulated.md"
    assert run(["simulate", "tables", str(folder), "-o", str(document)]) == 0
    text = document.read_text()
    assert "| honest | 2 |" in text and "| 300 | ±" in text
    assert (folder / "width.svg").is_file()


def test_how_many_comparisons_are_needed() -> None:
    assert needed([100, 400], [80, 40], 40) == pytest.approx(400)
    assert needed([100, 400], [80, 40], 56.57) == pytest.approx(200, rel=0.01)
    assert needed([100, 400], [80, 40], 30) != needed([100, 400], [80, 40], 30)  # nan


def test_the_command_line_needs_none_of_what_its_commands_need() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys("
        "['sqlalchemy', 'fastapi', 'uvicorn', 'numpyro', 'jax', 'torch', 'scipy', 'matplotlib']));"
        "from picolab.cli import main; main(['study', 'plan', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--crop-rule" in done.stdout, done.stderr
