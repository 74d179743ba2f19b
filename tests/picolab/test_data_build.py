"""`picolab data build`: what gets in, what stays out, and what is held out."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from tiny import photo

from picolab.cli import main
from picolab.data.blocks import block_steps
from picolab.data.build import Builder, in_order, share
from picolab.data.choice import Seen, choose
from picolab.data.likeness import Known, perceptual_hash
from picolab.data.originals import Original, Places, git_directory, originals
from picolab.data.photos import Glance, Photo, Unreadable, glance
from picolab.data.places import SCALES, places
from picolab.data.sources import PICTURES, Review, Source, read_sources
from picolab.data.summary import Summary
from picolab.data.tilefile import (
    COLUMNS,
    SIDE,
    Tile,
    TileWriter,
    hold_out,
    mark_held_out,
    read_table,
    reflected,
)

SOURCES = Path(__file__).parents[2] / "recipes" / "sources.toml"


def scene(seed: int, height: int = 540, width: int = 560) -> NDArray[np.uint8]:
    """A picture like no other: a few large patches under the waves and grain of `photo`."""
    patches = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    ground = Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)
    mixed = 0.8 * np.asarray(ground) + 0.2 * photo(height, width, seed)
    return mixed.round().astype(np.uint8)


def folder_of(path: Path, count: int, height: int = 540, width: int = 560) -> Path:
    path.mkdir()
    for n in range(count):
        Image.fromarray(scene(n, height, width)).save(path / f"{n:02}.png", compress_level=1)
    return path


def build(output: Path, *sources: Source, **options: object) -> Summary:
    quiet = {"say": lambda line: None, **options}
    return Builder(sources, Review(), Places(), **quiet).run(output)  # type: ignore[arg-type]


def tiles_of(folder: Path) -> NDArray[np.uint8]:
    return np.fromfile(folder / "tiles.u8", np.uint8).reshape(-1, SIDE, SIDE, 3)


def seen(name: str, width: int, height: int, **values: object) -> Seen:
    told = {"format": "PNG", "quality": 100, "deviation": 50.0, "hash": hash(name) & (2**64 - 1)}
    source = values.pop("source", Source(name="s", folder="f"))
    category = values.pop("category", "natural")
    look = Glance(width, height, **{**told, **values})  # type: ignore[arg-type]
    original = Original(name, source, f"{name}.png", name)  # type: ignore[arg-type]
    return Seen(original, look, category)  # type: ignore[arg-type]


def test_twenty_photos_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = folder_of(tmp_path / "photos", 20)
    out = tmp_path / "tiles"
    assert main(["data", "build", "--folder", str(photos), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "20 tiles of 20 originals" in said and "held out: 1 tiles (natural 1)" in said
    rows = read_table(out)
    assert list(rows[0]) == COLUMNS == [
        "index", "name", "original", "category", "draw", "held_out", "source", "source_path",
        "licence", "source_width", "source_height", "source_format", "reduced_by", "detail",
    ]  # fmt: skip
    assert [row["index"] for row in rows] == [str(n) for n in range(20)]
    assert {row["draw"] for row in rows} == {"many"} and {row["source"] for row in rows} == {
        "photos"
    }
    assert sum(row["held_out"] == "1" for row in rows) == 1
    assert any(f": {row['source_path']}" in said for row in rows if row["held_out"] == "1")
    assert sorted(p.name for p in out.iterdir()) == ["sources.md", "tiles.csv", "tiles.u8"]
    assert "| photos | not stated | 20 | 20 | 0 | 0 | 1 |" in (out / "sources.md").read_text()
    # Each tile is a part of its photo, as it is.
    for tile, row in zip(tiles_of(out), rows, strict=True):
        whole = np.asarray(Image.open(photos / row["source_path"]))
        parts = np.lib.stride_tricks.sliding_window_view(whole, (SIDE, SIDE, 3))[:, :, 0]
        assert (parts[:, :, 0, :8] == tile[0, :8]).all((2, 3)).any()


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 3, 700, 1100)
    source = Source(name="photos", folder=str(photos))
    for name, threads in (("one", 1), ("other", 3)):
        build(tmp_path / name, source, threads=threads)
    for name in ("tiles.u8", "tiles.csv", "sources.md"):
        one, other = (tmp_path / which / name for which in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()
    rows = read_table(tmp_path / "one")
    assert len({row["reduced_by"] for row in rows}) == 2  # several scales


def test_held_out_originals() -> None:
    thousand = {f"{n:010x}" for n in range(1000)}
    chosen = hold_out(thousand)
    assert 15 < len(chosen) < 50 and chosen < thousand
    assert chosen == hold_out(sorted(thousand, reverse=True))
    assert hold_out(set(list(chosen)[:2])) < chosen  # never all ...
    assert len(hold_out(thousand - chosen)) == 1  # ... and never none
    assert hold_out({"alone"}) == set()


def test_of_a_single_photo_a_tile_is_held_out(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 1, 1100, 1100)
    summary = build(tmp_path / "tiles", Source(name="photos", folder=str(photos)))
    held = [tile.held_out for tile in summary.tiles]
    assert len(held) > 2 and held == [0] * (len(held) - 1) + [1]
    assert "the only original" in summary.held_out()
    with pytest.raises(ValueError, match="too little"):
        mark_held_out(summary.tiles[:1])


def test_near_duplicates_and_evaluation_pictures_are_left_out(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 6, 600, 800)
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    whole = Image.open(photos / "00.png")
    whole.resize((300, 225), Image.Resampling.LANCZOS).save(evaluation / "shown.jpg", quality=60)
    Image.open(photos / "01.png").save(photos / "smaller.jpg", quality=90)
    shutil.copy(photos / "02.png", photos / "copy.png")
    source = Source(name="photos", folder=str(photos))
    summary = build(tmp_path / "tiles", source, evaluation=[evaluation])
    assert sorted(tile.source_path for tile in summary.tiles) == [
        "01.png", "02.png", "03.png", "04.png", "05.png",
    ]  # fmt: skip
    assert summary.left_out == {
        ("photos", "like an evaluation picture"): 1,
        ("photos", "near-duplicate"): 1,
        ("photos", "another copy"): 1,
    }


def test_an_evaluation_source_is_only_looked_at(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 4)
    held = tmp_path / "held"
    held.mkdir()
    (photos / "03.png").rename(held / "03.png")
    shutil.copy(held / "03.png", photos / "again.png")
    training = Source(name="photos", folder=str(photos))
    summary = build(
        tmp_path / "tiles", training, Source(name="held", folder=str(held), role="evaluation")
    )
    assert {tile.source_path for tile in summary.tiles} == {"00.png", "01.png", "02.png"}


def test_hashes_outlive_reduction_and_tell_pictures_apart() -> None:
    def hashed(image: Image.Image) -> int:
        return perceptual_hash(image.convert("L").resize((32, 32), Image.Resampling.BOX))

    images = [Image.fromarray(scene(n, 480, 640)) for n in range(12)]
    known = Known()
    assert known.distance(0) == 64
    for image in images:
        assert known.distance(hashed(image)) > 12
        known.add(hashed(image))
        small = image.resize((200, 150), Image.Resampling.LANCZOS)
        assert known.distance(hashed(small)) <= 4


def test_the_best_version_wins_but_what_is_known_keeps_its_name() -> None:
    small, large = seen("a", 900, 900, hash=7), seen("b", 1800, 1800, hash=7, quality=80)
    assert [s.original.id for s in choose([small, large], (), Review())[0]] == ["b"]
    assert [s.original.id for s in choose([small, large], (), Review(), {"a"})[0]] == ["a"]


def test_what_people_decided_and_what_is_unfit() -> None:
    picky = Source(name="p", folder="f", least_megapixels=1, one_of=r"^(\w)")
    candidates = [
        seen("dropped", 900, 900),
        seen("strip", 3000, 500),
        seen("plain", 900, 900, deviation=3.0),
        seen("blocks", 900, 900, quality=50),
        seen("small", 900, 900, source=picky),
        seen("x1", 1200, 1200, source=picky),
        seen("x2", 1100, 1100, source=picky),
        seen("held", 900, 900, hash=0xFF),
        seen("good", 900, 900),
    ]
    review = Review(frozenset({"dropped"}), evaluation_hashes=(0xFE,))
    kept, left_out = choose(candidates, (), review)
    assert [one.original.id for one in kept] == ["x1", "good"]
    assert sorted(reason for _, reason in left_out) == [
        "another copy", "left out by review", "like an evaluation picture", "low JPEG quality",
        "plain", "too long", "too small",
    ]  # fmt: skip


def test_places_lie_inside_at_several_scales_and_anywhere() -> None:
    found = places(seen("a", 4000, 3000), 16)
    assert found == places(seen("a", 4000, 3000), 16) != places(seen("b", 4000, 3000), 16)
    assert len(found) == 16 and len({place.reduced_by for place in found}) > 2
    for n in range(50):
        for place in places(seen(f"{n}", 1500, 1301), 16):
            left, top, right, bottom = place.box
            assert 0 <= left < right <= 1500 and 0 <= top < bottom <= 1301
            assert place.reduced_by in SCALES and place.width == place.height == SIDE
    poor = seen("a", 4000, 3000, format="JPEG", quality=80)
    assert min(place.reduced_by for place in places(poor, 99)) == 1.8
    page = seen("a", 4000, 3000, category="text")
    assert len(places(page, 16)) == 3 and {p.reduced_by for p in places(page, 16)} <= {1.0, 1.25}
    (whole,) = places(seen("a", 300, 700), 16)
    assert (whole.width, whole.height, whole.reduced_by) == (300, 512, 1.0)


def test_photos_with_traces_of_blocks_are_reduced() -> None:
    image = Image.fromarray(scene(1, 700, 900))
    assert block_steps(image) < 0.1 and block_steps(image.crop((0, 0, 20, 20))) == 0
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=30)
    with Image.open(stream) as opened:
        again = opened.convert("RGB").crop((3, 5, 900, 700))
    assert block_steps(again) > 0.5
    assert {p.reduced_by for p in places(seen("a", 2000, 2000), 99, 0.3)} == {1.25, 1.8, 2.7}
    assert {p.reduced_by for p in places(seen("a", 2000, 2000), 99, 0.6)} == {1.8, 2.7}


def test_all_photos_get_fewer_tiles_where_there_are_too_many() -> None:
    kept = [seen(f"{n}", 2000, 2000) for n in range(10)]
    assert set(share(kept, 16, 1000).values()) == {16}
    assert set(share(kept, 16, 55).values()) == {5}
    assert len(share(kept, 16, 4)) == 4 and set(share(kept, 16, 4).values()) == {1}
    assert share(kept, 16, -1) == {}


def test_smaller_pictures_are_continued_by_reflection(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 2, 300, 400)
    build(tmp_path / "tiles", Source(name="photos", folder=str(photos)))
    tiles = tiles_of(tmp_path / "tiles")
    whole = scene(0, 300, 400)
    assert np.array_equal(tiles[0, :300, :400], whole)
    assert np.array_equal(tiles[0, 300:, :400], whole[298 : 298 - 212 : -1])
    assert np.array_equal(tiles[0, :300, 400:], whole[:, 398 : 398 - 112 : -1])
    assert reflected(whole[:1, :1]).shape == (SIDE, SIDE, 3)
    with pytest.raises(ValueError, match="512x512"):
        reflected(np.zeros((513, 5, 3), np.uint8))


def test_damaged_pictures_are_passed_over_with_a_word(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", 3)
    whole = (photos / "00.png").read_bytes()
    (photos / "half.png").write_bytes(whole[: len(whole) // 2])
    stream = io.BytesIO()
    Image.fromarray(scene(9)).save(stream, "jpeg")
    (photos / "half.jpg").write_bytes(stream.getvalue()[:9000])
    (photos / "none.jpg").write_bytes(b"no picture")
    lines: list[str] = []
    summary = build(tmp_path / "tiles", Source(name="photos", folder=str(photos)), say=lines.append)
    assert len(summary.tiles) == 3 and len(summary.unreadable) == 3
    assert any("passed over half.jpg: damaged (" in line for line in lines)
    assert "photos: passed over none.jpg: no picture that can be read here" in lines


def test_profiles_become_srgb() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    for profile, expected in ((srgb, (255, 0, 0)), (swapped, (0, 255, 0)), (b"none", (255, 0, 0))):
        stream = io.BytesIO()
        image.save(stream, "png", icc_profile=profile)
        part = Photo(stream.getvalue()).part((0, 0, 8, 8), (4, 4))
        assert np.abs(np.asarray(part).astype(int) - expected).max() <= 2


def test_pictures_are_upright_rgb() -> None:
    image = Image.fromarray(scene(1, 60, 100))
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(stream, "png", exif=exif)
    look = glance(stream.getvalue())
    assert (look.width, look.height, look.quality) == (60, 100, 100)
    part = np.asarray(Photo(stream.getvalue()).part((0, 0, 60, 100), (60, 100)))
    assert np.array_equal(part, np.rot90(np.asarray(image), 3))
    stream = io.BytesIO()
    Image.new("LA", (9, 9), (0, 0)).save(stream, "png")
    assert np.asarray(Photo(stream.getvalue()).image).min() == 255  # nothing, on white
    stream = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(stream, "jpeg")
    with pytest.raises(Unreadable, match="CMYK"):
        Photo(stream.getvalue())


@pytest.mark.parametrize("quality", [60, 75, 90, 95])
def test_jpeg_qualities_are_recognised(quality: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(scene(1, 60, 100)).save(stream, "jpeg", quality=quality)
    assert abs(glance(stream.getvalue()).quality - quality) <= 1


def commit(repository: Path, message: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["add", "-A"], ["commit", "-qm", message]):
        subprocess.run(["git", *who, *command], cwd=repository, check=True)


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    """A bare clone of a repository whose history has a picture that its last state has not."""
    work = folder_of(tmp_path / "work", 4)
    subprocess.run(["git", "init", "-q"], cwd=work, check=True)
    (work / "readme.txt").write_text("words")
    commit(work, "all")
    (work / "00.png").unlink()
    (work / "01.png").rename(work / "logo.png")
    commit(work, "fewer")
    bare = tmp_path / "snapshots" / "someone+photos" / "repo"
    bare.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return tmp_path / "snapshots"


def test_a_snapshot_of_a_repository(snapshots: Path, tmp_path: Path) -> None:
    listing = tmp_path / "sources.toml"
    listing.write_text(
        """
        review = "review.toml"
        [defaults]
        licence = "CC0-1.0"
        [[source]]
        name = "photos"
        repository = "someone/photos"
        exclude = "logo"
        [[source]]
        name = "elsewhere"
        repository = "someone/else"
        """
    )
    (tmp_path / "review.toml").write_text('drop = []\nevaluation_hashes = ["00ff00ff00ff00ff"]\n')
    out = tmp_path / "tiles"
    command = ["data", "build", str(listing), "--snapshots", str(snapshots), "-o", str(out)]
    assert main(command) == 0
    rows = read_table(out)
    assert sorted(row["source_path"] for row in rows) == ["00.png", "02.png", "03.png"]
    assert {(row["source"], row["licence"]) for row in rows} == {("someone/photos", "CC0-1.0")}
    blob = subprocess.run(
        ["git", "hash-object", "02.png"], cwd=tmp_path / "work", capture_output=True, text=True
    ).stdout
    assert blob[:10] in {row["original"] for row in rows}
    assert "no clone of someone/else" in (out / "sources.md").read_text()


def test_patterns_caps_and_where_clones_may_lie(snapshots: Path, tmp_path: Path) -> None:
    where = Places(snapshots=snapshots)

    def paths(**values: object) -> list[str]:
        source = Source(name="p", repository="someone/photos", **values)  # type: ignore[arg-type]
        with where.files(source) as files:
            return [one.path for one in originals(source, files)]

    assert paths(include=r"^0\d") == ["00.png", "02.png", "03.png"]
    assert len(paths()) == 4 and len(paths(most=2)) == 2
    assert paths(least_kilobytes=1e6) == []
    for name in ("someone/other", "someone+more"):
        (tmp_path / name / ".git").mkdir(parents=True)
        (tmp_path / name / ".git" / "HEAD").touch()
    assert git_directory(tmp_path, "someone/other") == tmp_path / "someone/other/.git"
    assert git_directory(tmp_path, "someone/more") == tmp_path / "someone+more/.git"


def test_tiles_made_before_are_taken_as_they_are(tmp_path: Path) -> None:
    ready = folder_of(tmp_path / "ready", 2, 512, 512)
    (ready / "00.png").rename(ready / "abc-0.png")
    (ready / "01.png").rename(ready / "text01-0.png")
    (ready / "manifest.csv").write_text(
        "file,category,source,source_path,licence,source_width,source_height,source_format,"
        "reduced_by\n"
        "abc-0.png,natural,someone/photos,a.jpg,CC0-1.0,4000,3000,JPEG,2.5\n"
        "text01-0.png,text,us,rendered on abc-1,CC0-1.0,512,512,rendered,1\n"
    )
    photos = folder_of(tmp_path / "photos", 4)
    summary = build(
        tmp_path / "tiles",
        Source(name="ready", tiles=str(ready)),
        Source(name="photos", folder=str(photos), category="graphics"),
    )
    first, second = summary.tiles[:2]
    assert (first.name, first.draw, first.source_width) == ("abc-0.png", "natural", 4000)
    assert (second.draw, second.category, second.original) == ("text", "text", "abc")
    assert first.held_out == second.held_out
    assert {tile.draw for tile in summary.tiles[2:]} == {"many_graphics"}
    assert np.array_equal(tiles_of(tmp_path / "tiles")[0], scene(0, 512, 512))
    Image.fromarray(scene(0, 600, 600)).save(ready / "large.png")
    with pytest.raises(ValueError, match="say folder = "):
        build(tmp_path / "tiles", Source(name="ready", tiles=str(ready)))


def test_a_failed_build_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with TileWriter(folder) as writer:
        writer.add(scene(0, 512, 512))
        writer.finish([Tile(0, "a", "a", "natural", "many", 0, "s", "p", "l", 1, 1, "f", 1, 1)])
    before = (folder / "tiles.u8").read_bytes()
    with pytest.raises(RuntimeError), TileWriter(folder) as writer:
        writer.add(scene(1, 512, 512))
        raise RuntimeError
    assert (folder / "tiles.u8").read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == ["tiles.csv", "tiles.u8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[source]]\nname = "a"', "give one of repository, package, folder, tiles"),
        ('[[source]]\nname = "a"\nfolder = "f"\nlicense = "x"', "a source has no license"),
        ('[[source]]\nname = "a"\nfolder = "f"\ncategory = "x"', "category is one of natural"),
        ('[[source]]\nname = "a"\nfolder = "f"\ninclude = "("', "include is no pattern"),
        ('[[source]]\nfolder = "f"', "a source without a name"),
        ('[[source]]\nname = "a"\nfolder = "f"\n' * 2, "two sources are called a"),
        ('[[source]]\nname = "a"\nfolder = "f"\nrole = "evaluation"', "no source to train on"),
        ("[[source]\n", "sources.toml: "),
    ],
)
def test_mistakes_in_a_sources_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_sources(path)


def test_mistakes_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "-o", str(tmp_path / "out")]) == 1
    assert "give a file of sources or --folder" in capsys.readouterr().err
    assert main(["data", "build", "--folder", str(tmp_path / "no"), "-o", "out"]) == 1
    assert "no folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    empty = ["data", "build", "--folder", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]
    assert main(empty) == 1
    assert "no picture here can be trained on" in capsys.readouterr().err
    Image.new("RGB", (600, 600)).save(tmp_path / "empty" / "black.png")
    assert main(empty) == 1
    assert "originals left out: plain 1" in capsys.readouterr().err


def test_the_projects_own_sources_are_sound() -> None:
    sources, review = read_sources(SOURCES)
    assert {source.role for source in sources} == {"training", "evaluation"}
    assert all(source.licence != "not stated" for source in sources)
    assert len(review.drop) > 400 and len(review.evaluation_hashes) == 15
    assert Source(name="a", folder="f").include == PICTURES


def test_results_come_in_order() -> None:
    assert list(in_order(lambda x: x * x, range(50), 4)) == [n * n for n in range(50)]
