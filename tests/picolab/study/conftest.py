"""A small gallery and a small study of it, planned once and copied for each test."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from picolab.evaluation.results import Run

if find_spec("sqlalchemy") is None:  # without pip install './lab[study]' there is no study
    collect_ignore_glob = ["test_*.py"]


def draw_alike(patch: pytest.MonkeyPatch) -> None:
    """What a study draws in secret (who meets which pair, keys) is the same in every run: tests of
    simulated raters depend on no luck."""
    dice = random.Random(0)
    patch.setattr("secrets.randbits", dice.getrandbits)
    patch.setattr("secrets.token_bytes", dice.randbytes)
    for name in ("token_hex", "token_urlsafe"):
        patch.setattr(f"secrets.{name}", lambda count: dice.randbytes(count).hex())


@pytest.fixture(autouse=True)
def drawn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_alike(monkeypatch)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three pictures of waves and noise, as JPEG and WebP at four rates each."""
    from picolab.evaluation import peers
    from picolab.evaluation.images import find
    from picolab.evaluation.results import Run
    from picolab.evaluation.runner import evaluate

    folder = tmp_path_factory.mktemp("gallery")
    (folder / "pictures").mkdir()
    y, x = np.mgrid[0:140, 0:160]
    for number in range(3):
        waves = [
            127 + 90 * np.sin(x / (5 + number) + y / 19),
            127 + 80 * np.cos(y / 7 - x / 23),
            127 + 70 * np.sin((x + y) / (9 + 2 * number)),
        ]
        noise = np.random.default_rng(number).normal(0, 12, (140, 160, 3))
        pixels = np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"waves{number}.png")
    codecs, _ = peers.load(["jpeg-420", "webp"])
    for codec in codecs:
        codec.rates = (5, 20, 45, 80)
    evaluate(find([str(folder / "pictures")]), codecs, ["psnr"], folder / "run")
    return Run(folder / "run")


@pytest.fixture(scope="session")
def planned(gallery: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the small study, not to be written to."""
    from studies import SMALL

    from picolab.study import planning, schema

    path = tmp_path_factory.mktemp("study") / "study.sqlite"
    engine = schema.connect(path, new=True)
    with pytest.MonkeyPatch.context() as patch:
        draw_alike(patch)
        planning.plan(gallery, engine, SMALL)
    engine.dispose()
    return path


@pytest.fixture
def database(planned: Path, tmp_path: Path) -> Path:
    """A copy of the small study."""
    return Path(shutil.copy(planned, tmp_path / "study.sqlite"))


Change = Callable[..., Path]


@pytest.fixture
def with_rules(database: Path) -> Change:
    """The copy with other rules."""
    from sqlalchemy import update
    from studies import SMALL

    from picolab.study import schema

    def change(**rules: object) -> Path:
        engine = schema.connect(database)
        text = replace(SMALL, **rules).to_json()  # type: ignore[arg-type]
        with engine.begin() as connection:
            connection.execute(update(schema.study).values(settings=text))
        engine.dispose()
        return database

    return change
