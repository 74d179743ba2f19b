"""Where the sources of picolab are when its wheel is built: hatchling looks for it in this folder
alone, and an editable wheel must not have copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Sources(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        unpacked = Path(self.root) / "src" / "picolab"  # of an archive: found without help
        if version != "editable" and not unpacked.is_dir():
            shared = Path(self.root).parent / "src" / "picolab"
            build_data["force_include"][str(shared)] = "picolab"
