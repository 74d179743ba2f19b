"""Files as they come: looked for on this machine first, then downloaded, always checked."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPResponse
from pathlib import Path

from picolab.cached import cache
from picolab.fetch.catalogue import File, Member, Package

BLOCK = 1 << 20  # bytes
PATIENCE = 30  # seconds without an answer


class NotHad(OSError):
    """Something that could not be had; the message says what to put where."""


class Store:
    """The folder of downloads, `downloads` in the cache."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache() / "downloads"
        self._silent: dict[str, str] = {}  # hosts that did not answer, and what came of it

    def has(self, thing: File | Member) -> bool:
        """Whether it is on this machine, unharmed."""
        if isinstance(thing, File):
            return self._found(thing) is not None
        return self._installed(thing) is not None or self._archive(thing.package).is_file()

    def file(self, file: File) -> Path:
        """Its path, downloaded where need be. Raises `NotHad`, also for one that has changed."""
        found = self._found(file)
        if found:
            return found
        target = self.folder / file.name
        if target.is_file():
            raise NotHad(
                f"{target} is not the file that was expected (its hash is another): remove it, "
                "and the command gets it anew"
            )
        self._download(file, target)
        if not _is_it(target, file):
            told = sha256(target)
            target.rename(target.with_name(target.name + ".refused"))
            raise NotHad(
                f"{file.url} gave another file than expected (SHA-256 {told}); it is kept as "
                f"{target}.refused, and nothing uses it"
            )
        return target

    def member(self, member: Member) -> bytes:
        """What a package has at a path: of the installed one, else of its archive. Raises
        `NotHad`."""
        data = self._installed(member)
        if data is not None:
            return data
        archive = self._archive(member.package)
        if not archive.is_file():
            self._pip(member.package)
        if sha256(archive) != member.package.sha256:
            raise NotHad(f"{archive} is not {member.package.requirement} as published: remove it")
        data = _unpacked(archive, member.path)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise NotHad(f"{archive}: {member.path} in it is not the file that was expected")
        return data

    # -- on this machine --------------------------------------------------------------------

    def _found(self, file: File) -> Path | None:
        torch_home = os.environ.get("TORCH_HOME") or cache().parent / "torch"
        for folder in (self.folder, Path(torch_home) / "hub" / "checkpoints"):
            if _is_it(folder / file.name, file):
                return folder / file.name
        return None

    def _installed(self, member: Member) -> bytes | None:
        package, _, inside = member.path.partition("/")
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder) / inside
            if path.is_file() and sha256(path) == member.sha256:
                return path.read_bytes()
        return None

    def _archive(self, package: Package) -> Path:
        return self.folder / package.archive

    # -- from elsewhere ---------------------------------------------------------------------

    def _download(self, file: File, target: Path) -> None:
        """Goes on where an earlier download was cut off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        host = file.url.split("/")[2]
        part = target.with_name(target.name + ".part")
        if host in self._silent:
            raise _unreachable(file.url, self._silent[host], target)
        begun = part.stat().st_size if part.is_file() else 0
        request = urllib.request.Request(file.url, headers={"User-Agent": "picolab"})
        if begun:
            request.add_header("Range", f"bytes={begun}-")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                _write(answer, part, "ab" if answer.status == 206 else "wb", file.name)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # a part that is too long: no part of this file
                part.unlink()
            raise _unreachable(file.url, str(error), target) from error
        except NotHad:
            raise
        except OSError as error:
            reason = str(getattr(error, "reason", error))
            self._silent[host] = reason
            raise _unreachable(file.url, reason, target) from error
        part.replace(target)

    def _pip(self, package: Package) -> None:
        """pip knows where this machine has its packages from; it checks the hash, too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = self.folder / "wanted.txt"
        wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
        command += ["--disable-pip-version-check", "-q", "-r", str(wanted), "-d", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        wanted.unlink()
        archive = self._archive(package)
        if done.returncode or not archive.is_file():
            lines = done.stderr.strip().splitlines() or ["pip said nothing"]
            raise NotHad(
                f"{package.requirement} could not be had by pip ({lines[-1]}): where there is "
                f"internet, pip download --no-deps {package.requirement}, and put "
                f"{package.archive} into {self.folder}"
            )


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_it(path: Path, file: File) -> bool:
    if not path.is_file():
        return False
    if file.sha256:
        return sha256(path) == file.sha256
    from picolab.evaluation.images import fingerprint, read

    try:
        return fingerprint(read(path)) == file.pixels
    except (OSError, SyntaxError):  # no picture
        return False


def _unreachable(url: str, reason: str, target: Path) -> NotHad:
    return NotHad(
        f"{url} cannot be reached ({reason}): get it where there is internet and put it into "
        f"{target.parent}, as {target.name}"
    )


def _write(answer: HTTPResponse, part: Path, mode: str, name: str) -> None:
    from tqdm import tqdm

    bar = tqdm(total=answer.length, unit="B", unit_scale=True, desc=name, disable=None, leave=False)
    with open(part, mode) as out, bar:
        while block := answer.read(BLOCK):
            out.write(block)
            bar.update(len(block))
    if answer.length:  # of what is still to come; None where the server does not say
        raise NotHad(f"{name}: the download broke off; the same command goes on from there")


def _unpacked(archive: Path, path: str) -> bytes:
    """The file at `path` of a wheel, or of a source archive, where a folder is around it."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(path)
        with tarfile.open(archive) as source:
            folder = archive.name.removesuffix(".tar.gz")
            file = source.extractfile(f"{folder}/{path}")
            if file is not None:
                return file.read()
    except KeyError:
        pass
    raise NotHad(f"{archive}: there is no {path} in it")
