"""What a built set of tiles holds: for who built it, and for the card of a model trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from picolab.data.tilefile import SIDE, Tile

NAMED = 12  # held-out originals that are called by name


@dataclass
class Summary:
    """Tiles in their order, and what is not among them: sources (name, reason), files (source,
    path and reason), and originals, counted by source and reason."""

    tiles: list[Tile] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def text(self) -> str:
        lines = [
            f"{len(self.tiles)} tiles of {_originals(self.tiles)} originals, "
            f"{len(self.tiles) * 3 * SIDE**2 / 1e9:.2f} GB",
            f"by category: {_counts(tile.category for tile in self.tiles)}",
            f"by draw group: {_counts(tile.draw for tile in self.tiles)}",
        ]
        return "\n".join([*lines, *self.absent(), self.held_out()])

    def absent(self) -> list[str]:
        """What is not among the tiles, a line for each kind of reason."""
        reasons: Counter[str] = Counter()
        for (_, reason), count in self.left_out.items():
            reasons[reason] += count
        lines = []
        if reasons:
            lines.append(f"originals left out: {_counts(reasons.elements())}")
        if self.unreadable:
            lines.append(f"files passed over: {len(self.unreadable)}")
        if self.missing:
            lines.append(f"sources that are not here: {', '.join(n for n, _ in self.missing)}")
        return lines

    def held_out(self) -> str:
        """What training does not see."""
        held = [tile for tile in self.tiles if tile.held_out]
        if _originals(self.tiles) == 1:
            return (
                f"held out: {held[0].name}, one tile of the only original, which says little; "
                "give more pictures"
            )
        paths = sorted({tile.original: tile.source_path for tile in held}.values())
        named = ", ".join(paths[:NAMED])
        rest = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        kinds = _counts(tile.category for tile in held)
        return f"held out: {len(held)} tiles ({kinds}) of {len(paths)} originals: {named}{rest}"

    def licences(self) -> str:
        """A Markdown table of sources, in the order of their names."""
        lines = [
            "# Sources of these tiles",
            "",
            "Licences are as each source states them; `tiles.csv` has the path of every original.",
            "",
            "| source | licence | originals | natural | text | graphics | held out |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for source, licence in sorted({(tile.source, tile.licence) for tile in self.tiles}):
            of_it = [t for t in self.tiles if (t.source, t.licence) == (source, licence)]
            lines.append(f"| {source} | {licence} | {_row(of_it)} |")
        lines.append(f"| **all** | | {_row(self.tiles)} |")
        if self.missing:
            lines += ["", "Not here when this was built:", ""]
            lines += [f"- {name}: {reason}" for name, reason in self.missing]
        return "\n".join(lines) + "\n"


def _row(tiles: list[Tile]) -> str:
    kinds = Counter(tile.category for tile in tiles)
    cells = [_originals(tiles), *(kinds[c] for c in ("natural", "text", "graphics"))]
    return " | ".join(map(str, [*cells, sum(tile.held_out for tile in tiles)]))


def _originals(tiles: Iterable[Tile]) -> int:
    return len({tile.original for tile in tiles})


def _counts(values: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(values).items()))
