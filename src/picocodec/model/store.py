"""Released models, found by name and loaded once a process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from picocodec.errors import UnknownModel
from picocodec.format.container import ModelId
from picocodec.model.model import Model

DEFAULT_MODEL = "photo.v6"
MODEL_PATH_VARIABLE = "PICOCODEC_MODELS"  # more folders to look for models in


def model_folders() -> dict[str, Path]:
    """Every installed model by its full name, `name.vN`."""
    roots = [Path(__file__).parent.parent / "models"]
    roots += [Path(p) for p in os.environ.get(MODEL_PATH_VARIABLE, "").split(os.pathsep) if p]
    return {
        folder.parent.name: folder.parent
        for root in roots
        for folder in sorted(root.glob("*.v*/model.toml"))
    }


def available_models() -> list[str]:
    """The full names of all installed models, sorted."""
    return sorted(model_folders())


def load_model(name: str, threads: int = 0) -> Model:
    """The installed model `name.vN`, verified; raises `UnknownModel`. Loaded once a process."""
    folders = model_folders()
    if name not in folders:
        installed = ", ".join(sorted(folders)) or "none"
        raise UnknownModel(f"model {name} is not installed (installed: {installed})")
    return _load(folders[name], threads)


def load_model_for(model: ModelId, threads: int = 0) -> Model:
    """The model that a file names, with the weights it was made with."""
    found = load_model(str(model), threads)
    if found.identity.check != model.check:
        raise UnknownModel(
            f"the file was made with other weights named {model} "
            f"(its check is {model.check.hex()}, the installed one's {found.identity.check.hex()})"
        )
    return found


_load = lru_cache(maxsize=8)(Model)
_left_behind: list[object] = []


def _begin_anew() -> None:
    """After a fork. The threads of a session do not come along: used again it would wait for
    ever, and deleted it would crash. So it is left alone, and the new process loads its own."""
    global _load
    _left_behind.append(_load)
    _load = lru_cache(maxsize=8)(Model)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
