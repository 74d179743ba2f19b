"""Sets of test pictures into the folder where `picolab evaluate` finds them by name."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from picolab.evaluation.images import SUFFIXES
from picolab.fetch.catalogue import Pictures
from picolab.fetch.store import NotHad, Store


def fetch_pictures(wanted: Pictures, folder: Path, store: Store | None = None) -> list[str]:
    """Write the set to `folder/<its name>`, which is there as a whole or not at all; returns what
    could not be had, one sentence each. What is there already is left as it is."""
    store, problems, found = store or Store(), [], []
    target = folder / wanted.folder
    if target.is_dir():
        print(f"{target}: there already, {_count(target)} pictures")
        return []
    for file in wanted.files:
        try:
            found.append(store.file(file))
        except NotHad as error:
            problems.append(str(error))
    if problems:
        return problems
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in found:
        if path.suffix == ".zip":
            _unpack(path, part / path.stem)
        else:
            shutil.copyfile(path, part / path.name)
    (part / "LICENCE.txt").write_text(
        f"{wanted.title}\n{wanted.licence}\n" + "".join(f"{file.url}\n" for file in wanted.files)
    )
    part.rename(target)
    for path in found:
        path.unlink()
    print(f"{target}: {_count(target)} pictures\n  licence: {wanted.licence}")
    return []


def _count(folder: Path) -> int:
    return sum(path.suffix.lower() in SUFFIXES for path in folder.rglob("*"))


def _unpack(archive: Path, folder: Path) -> None:
    """All pictures of an archive, by their names alone: no path of it is followed."""
    folder.mkdir()
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = PurePosixPath(entry.filename)
            hidden = path.name.startswith(".") or "__MACOSX" in path.parts
            if path.suffix.lower() in SUFFIXES and not hidden:
                with opened.open(entry) as source, open(folder / path.name, "xb") as out:
                    shutil.copyfileobj(source, out)
