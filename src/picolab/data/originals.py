"""The files of a source: in a git snapshot, an unpacked package, or a folder."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from picolab.data.sources import Source

ID_DIGITS = 10  # of an original: the first hex digits of its git blob id, wherever it lies


class Absent(Exception):
    """The files of a source are not here."""


@dataclass(frozen=True)
class Original:
    """One file of a source. `key` is what the files of its source read it by."""

    id: str
    source: Source
    path: str
    key: str


class Files(Protocol):
    """All files of an origin."""

    def listing(self) -> Iterator[tuple[str, str, int]]:
        """Key, path and bytes of each picture."""

    def identity(self, key: str) -> str:
        """The git blob id of a file's content."""

    def read(self, key: str) -> bytes: ...

    def close(self) -> None: ...


class FolderFiles:
    """Files under a folder; keys are paths in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def listing(self) -> Iterator[tuple[str, str, int]]:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = path.relative_to(self.folder).as_posix()
                yield name, name, path.stat().st_size

    def identity(self, key: str) -> str:
        data = self.read(key)
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def close(self) -> None:
        pass


class GitFiles:
    """Files in the history of a repository, with or without a work tree; keys are blob ids.

    What a partial or shallow snapshot lacks is passed over.
    """

    def __init__(self, directory: Path, revisions: str) -> None:
        self.directory, self.revisions = directory, revisions
        self.lock = Lock()
        self.reader: subprocess.Popen[bytes] | None = None

    def listing(self) -> Iterator[tuple[str, str, int]]:
        found = self._git("rev-list", "--objects", "--missing=allow-any", self.revisions, "--")
        paths: dict[str, str] = {}
        for line in found.decode("utf-8", "replace").splitlines():
            blob, _, path = line.partition(" ")
            if path and not blob.startswith("?"):
                paths[blob] = path
        check = self._git("cat-file", "--batch-check", given="\n".join(paths) + "\n")
        for line in check.decode().splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == "blob":
                yield words[0], paths[words[0]], int(words[2])

    def identity(self, key: str) -> str:
        return key

    def read(self, key: str) -> bytes:
        with self.lock:
            if self.reader is None:
                command = ["git", f"--git-dir={self.directory}", "cat-file", "--batch"]
                self.reader = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            stdin, stdout = self.reader.stdin, self.reader.stdout
            assert stdin is not None and stdout is not None
            stdin.write(key.encode() + b"\n")
            stdin.flush()
            header = stdout.readline().split()
            if len(header) != 3:
                raise OSError(f"git has no {key}")
            data = stdout.read(int(header[2]))
            stdout.read(1)
            return data

    def close(self) -> None:
        if self.reader is not None:
            self.reader.communicate()
            self.reader = None

    def _git(self, *arguments: str, given: str | None = None) -> bytes:
        done = subprocess.run(
            ["git", f"--git-dir={self.directory}", *arguments],
            input=None if given is None else given.encode(),
            capture_output=True,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Absent(f"git {arguments[0]} failed: {said[-1] if said else 'without a word'}")
        return done.stdout


@dataclass(frozen=True)
class Places:
    """The folders of what was brought here: clones of repositories, and unpacked packages."""

    snapshots: Path | None = None
    packages: Path | None = None

    @contextmanager
    def files(self, source: Source) -> Iterator[Files]:
        """Raises `Absent` where the source is not here, or git cannot read it."""
        files = self._find(source)
        try:
            yield files
        finally:
            files.close()

    def _find(self, source: Source) -> Files:
        if source.repository:
            if self.snapshots is None:
                raise Absent("repositories need --snapshots")
            return GitFiles(git_directory(self.snapshots, source.repository), source.revisions)
        if source.package:
            if self.packages is None:
                raise Absent("packages need --packages")
            folder = self.packages / source.package
        else:
            folder = Path(source.folder or source.tiles)
        if not folder.is_dir():
            raise Absent(f"no folder {folder}")
        return FolderFiles(folder)


def git_directory(snapshots: Path, repository: str) -> Path:
    """Of a clone, bare or not, in `owner+name/repo`, `owner+name` or `owner/name`."""
    joined = repository.replace("/", "+")
    for name in (f"{joined}/repo", joined, f"{joined}.git", repository, f"{repository}.git"):
        for directory in (snapshots / name, snapshots / name / ".git"):
            if (directory / "HEAD").is_file():
                return directory
    raise Absent(f"no clone of {repository} in {snapshots}")


def originals(source: Source, files: Files) -> list[Original]:
    """The pictures of a source by its patterns and its cap, in the order of their paths."""
    found = sorted((path, key) for key, path, size in files.listing() if source.takes(path, size))
    if source.most and len(found) > source.most:
        found = [found[k * len(found) // source.most] for k in range(source.most)]
    return [Original(files.identity(key)[:ID_DIGITS], source, path, key) for path, key in found]
