"""Shared by all tests: the tiny codec, released once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # the process that only deals tests out to workers needs no PyTorch
    from picocodec.model.model import Model

# The same examples in every run, on machines of any speed; new ones are what fuzz/ looks for.
settings.register_profile("alike", derandomize=True, deadline=None)
settings.load_profile("alike")

# Tests that would meet if two workers ran them at once, as beginnings of their names: those that
# build or copy the page for browsers, and those that start clusters. Other groups are modules.
MEETING = {
    "tests/web/": "page",
    "tests/project/test_newcomers.py": "page",
    "tests/evaluation/test_gallery.py": "page",
    "tests/picocodec/test_corpus": "clusters",
}
LONGEST = ("page", "tests/project/", "tests/picolab/", "clusters")  # the first to begin


def group(name: str) -> str:
    """The tests that one worker runs in their order, and makes the fixtures of a module for."""
    found = (group for start, group in MEETING.items() if name.startswith(start))
    return next(found, name.split("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give workers whole groups."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""

    def place(item: pytest.Item) -> int:
        beginnings = map(group(item.nodeid).startswith, LONGEST)
        return next((at for at, found in enumerate(beginnings) if found), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny import release_tiny

    return release_tiny(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    from picocodec.model.model import Model

    return Model(model_folder, threads=1)
