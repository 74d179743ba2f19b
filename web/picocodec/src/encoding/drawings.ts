/**
 * Which drawings are kept without loss: the lowest price among that and the learned coding, for a
 * tile alone, and together for a block of tiles that are all kept so (docs/graphics.md). AV1 and
 * fewer colours, which Python's encoder tries, too, are not here.
 */
import { losslessStream } from "../coders/browser.js";
import { Coder } from "../format/container.js";
import { type Area, tilesAlong } from "../format/tiles.js";
import type { WrittenPiece } from "../format/writer.js";
import { indexOf, type Raster } from "../images/pixels.js";

/** Times the bytes of the learned coding: sizes must not leap where quality rises a little. */
export const MOST_FOR_DRAWN = 3;
/** How many times what it is in a photo an error in a drawing is worth. */
const WORTH_IN_DRAWINGS = 8;
/** Tiles to a side of a piece, at most. */
const LONGEST = 4;
/** Of a piece in the header. */
const ENTRY_BYTES = 7;

/** The bits that are worth spending to see a tile itself instead of what `shown` has of it. */
export function priceOfErrors(picture: Raster, shown: Raster, tile: Area, slope: number): number {
  let sum = 0;
  for (let row = tile.top; row < tile.top + tile.height; row++) {
    let a = indexOf(picture, row, tile.left);
    let b = indexOf(shown, row, tile.left);
    for (let column = 0; column < tile.width; column++, a += 4, b += 4) {
      for (let channel = 0; channel < 3; channel++) {
        const difference = picture.data[a + channel]! - shown.data[b + channel]!;
        sum += difference * difference;
      }
    }
  }
  return (WORTH_IN_DRAWINGS * slope * sum) / (3 * 255 ** 2);
}

/** An area without loss; null where this browser cannot. */
export async function drawn(
  picture: Raster,
  area: Area,
  level: number,
  rows = 1,
  columns = 1,
): Promise<WrittenPiece | null> {
  const payload = await losslessStream(picture, area);
  return payload && { payload, coder: Coder.Lossless, level, hasMargin: false, rows, columns };
}

/** A tile's piece; null where that of an earlier tile covers it. */
export type Settled = WrittenPiece | null;

/** The same tiles, those of each block in one piece if all are drawn and that takes less. */
export async function joinBlocks(
  picture: Raster,
  tiles: readonly Area[],
  pieces: readonly WrittenPiece[],
): Promise<Settled[]> {
  const across = tilesAlong(picture.area.width);
  const down = tilesAlong(picture.area.height);
  const settled: Settled[] = [...pieces];
  for (let row = 0; row < down; row += LONGEST) {
    for (let column = 0; column < across; column += LONGEST) {
      const [rows, columns] = [Math.min(LONGEST, down - row), Math.min(LONGEST, across - column)];
      const members = Array.from({ length: rows * columns }, (_, i) =>
        (row + Math.floor(i / columns)) * across + column + (i % columns),
      );
      const block = await joined(picture, members, tiles, pieces, rows, columns);
      if (!block) continue;
      for (const member of members) settled[member] = null;
      settled[members[0]!] = block;
    }
  }
  return settled;
}

async function joined(
  picture: Raster,
  members: readonly number[],
  tiles: readonly Area[],
  pieces: readonly WrittenPiece[],
  rows: number,
  columns: number,
): Promise<WrittenPiece | null> {
  const apart = members.map((member) => pieces[member]!);
  if (members.length < 2 || apart.some((piece) => piece.coder !== Coder.Lossless)) return null;
  const [first, last] = [tiles[members[0]!]!, tiles[members.at(-1)!]!];
  const area = {
    top: first.top,
    left: first.left,
    height: last.top + last.height - first.top,
    width: last.left + last.width - first.left,
  };
  const together = await drawn(picture, area, apart[0]!.level, rows, columns);
  const bytes = apart.reduce((sum, piece) => sum + piece.payload.length + ENTRY_BYTES, 0);
  return together && together.payload.length + ENTRY_BYTES < bytes ? together : null;
}
