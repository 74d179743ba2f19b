"""From a gallery of `picolab evaluate` to a study: crops, pictures, plates, traps, rules."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import Connection, Engine, Table, insert

from picolab.evaluation import peers
from picolab.evaluation.images import read
from picolab.evaluation.peers.protocol import Picture
from picolab.evaluation.results import Run
from picolab.study import artefacts, plates, schema
from picolab.study.crops import Crop, choose
from picolab.study.settings import Settings

LEAST_CONDITIONS = 2


@dataclass(frozen=True)
class Planned:
    """How much a study holds."""

    pictures: int
    conditions: int
    pairs: int
    megabytes: float


@dataclass(frozen=True)
class _File:
    """One line of a gallery's results."""

    codec: str
    rate: float
    bpp: float
    path: Path


def plan(
    run: Run,
    engine: Engine,
    settings: Settings,
    codecs: Sequence[str] | None = None,
    rates: dict[str, tuple[float, ...]] | None = None,
    pictures: Sequence[str] | None = None,
) -> Planned:
    """Write a study into an empty database: the codecs, rates and pictures named, or all.

    Raises `ValueError` for names that the gallery does not have and for too little to compare, and
    `peers.Unavailable` for a codec that cannot decode here.
    """
    chosen = _chosen(run, codecs, rates or {}, pictures)
    decoders = {name: peers.make(name) for name in {f.codec for fs in chosen.values() for f in fs}}
    with engine.begin() as connection:
        writer = _Writer(connection, settings)
        writer.study(run, decoders)
        for name, files in chosen.items():
            original = read(Path(run.facts["images"][name]))
            crop = choose(original, settings.crop, settings.crop_rule, f"{settings.seed} {name}")
            if min(crop.width, crop.height) < 64:
                raise ValueError(f"{name} is too small: raters need 64 pixels a side")
            picture = writer.picture(name, run.facts["kinds"][name], crop, crop.cut(original))
            for file in files:
                decoded = decoders[file.codec].decode(file.path.read_bytes())
                if decoded.shape != original.shape:
                    raise ValueError(f"{file.path} does not decode to the size of {name}")
                writer.stimulus(picture, file, crop.cut(decoded))
        writer.plates()
        return writer.planned


def _chosen(
    run: Run,
    codecs: Sequence[str] | None,
    rates: dict[str, tuple[float, ...]],
    pictures: Sequence[str] | None,
) -> dict[str, list[_File]]:
    _known("codec", codecs, run.codecs)
    _known("codec", rates, run.codecs)
    _known("picture", pictures, run.facts["images"])
    found: dict[str, list[_File]] = {}
    offered: dict[str, set[float]] = {}
    for row in run.rows:
        codec, rate = row["codec"], float(row["rate"])
        offered.setdefault(codec, set()).add(rate)
        if codecs is not None and codec not in codecs:
            continue
        if codec in rates and rate not in rates[codec]:
            continue
        if pictures is not None and row["image"] not in pictures:
            continue
        file = _File(codec, rate, float(row["bpp"]), run.folder / row["file"])
        found.setdefault(row["image"], []).append(file)
    for codec, wanted in rates.items():
        _known(f"rate of {codec}", [f"{r:g}" for r in wanted], [f"{r:g}" for r in offered[codec]])
    conditions = {(f.codec, f.rate) for files in found.values() for f in files}
    if len(conditions) < LEAST_CONDITIONS:
        raise ValueError(f"a study compares at least {LEAST_CONDITIONS} codecs or rates")
    return found


def _known(what: str, names: Iterable[str] | None, known: Iterable[str]) -> None:
    there = list(known)
    for name in names or ():
        if name not in there:
            raise ValueError(f"the gallery has no {what} {name}; it has {', '.join(there)}")


class _Writer:
    """Fills the tables of one study, in one transaction."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings
        self.conditions: dict[tuple[str, float], int] = {}
        self.of_picture: dict[int, int] = {}
        self.bytes = 0
        self.checks = 0

    def study(self, run: Run, decoders: dict[str, peers.Codec]) -> None:
        facts = {
            "command": run.facts.get("command", ""),
            "codecs": {name: run.facts["codecs"][name] for name in decoders},
            "decoders": {name: codec.version for name, codec in decoders.items()},
        }
        self._insert(
            schema.study,
            settings=self.settings.to_json(),
            secret=secrets.token_bytes(32),
            source=json.dumps(facts),
        )

    def picture(self, name: str, kind: str, crop: Crop, pixels: Picture) -> int:
        """The original, and its pairs with a known answer."""
        image = self._image(pixels)
        number = self._insert(schema.picture, name=name, kind=kind, crop=asdict(crop), image=image)
        self.of_picture[number] = 0
        for check in ("screen", "trap"):
            # One artefact a picture, in turn, so that a study with many pictures stays small.
            artefact = artefacts.ARTEFACTS[self.checks % len(artefacts.ARTEFACTS)]
            self.checks += 1
            spoilt = artefacts.spoil(pixels, artefact, check == "trap", self.settings.seed)
            self._insert(
                schema.check,
                kind=check,
                picture=number,
                artefact=artefact,
                image=self._image(spoilt),
            )
        self.checks += 1  # the next picture begins with another
        return number

    def stimulus(self, picture: int, file: _File, pixels: Picture) -> None:
        key = (file.codec, file.rate)
        if key not in self.conditions:
            self.conditions[key] = self._insert(schema.condition, codec=file.codec, rate=file.rate)
        self._insert(
            schema.stimulus,
            picture=picture,
            condition=self.conditions[key],
            bpp=file.bpp,
            image=self._image(pixels),
        )
        self.of_picture[picture] += 1

    def plates(self) -> None:
        """Two that everybody reads, and twice as many of the others as a rater sees."""
        if not self.settings.plates:
            return
        others = ["protan", "deutan"] * (self.settings.plates - 1)
        rng = np.random.default_rng(self.settings.seed)
        for number, kind in enumerate(["control", "control", *others]):
            made = plates.make(kind, str(rng.choice(list(plates.DIGITS))), number)
            self._insert(schema.plate, kind=kind, digit=made.digit, image=self._image(made.pixels))

    @property
    def planned(self) -> Planned:
        pairs = sum(count * (count - 1) // 2 for count in self.of_picture.values())
        return Planned(len(self.of_picture), len(self.conditions), pairs, self.bytes / 1e6)

    def _image(self, pixels: Picture) -> int:
        data = encode(pixels)
        self.bytes += len(data)
        return self._insert(schema.image, data=data)

    def _insert(self, table: Table, **values: object) -> int:
        done = self.connection.execute(insert(table).values(**values).returning(table.c.id))
        return int(done.scalar_one())


def encode(pixels: Picture) -> bytes:
    """WebP without loss of `[H, W, 3]`; every browser shows exactly these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=40, method=3)
    return buffer.getvalue()


def decode(data: bytes) -> Picture:
    """`[H, W, 3]` uint8 of what `encode` wrote."""
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
