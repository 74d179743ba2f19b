/** Where the data of tiles without a model lies, and what it covers: docs/format.md, section 3. */
import { BLOCK, type Header, MARGIN, Mode, tileData } from "./container.js";
import { PicoError } from "./errors.js";

/** Part of a picture, in pixels; of mode 7 with a margin, which may lie beyond its edges. */
export interface Area {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** A tile, or a block of tiles that are coded as one. */
export interface Piece {
  readonly area: Area;
  /** The numbers of the tiles that lie in it, in rising order. */
  readonly tiles: readonly number[];
}

const JOINED: readonly number[] = [Mode.WebPBlock, Mode.Block, Mode.Av1Block];

/** The tile `index`, or its block if it is in one, with the data, the checksum verified. */
export function pieceOf(
  file: Uint8Array,
  header: Header,
  index: number,
): Piece & { readonly data: Uint8Array } {
  const { mode } = header.tiles[index]!;
  const tiles = JOINED.includes(mode) ? blockAround(header, index) : [index];
  const first = header.tiles[tiles[0]!]!;
  const last = header.tiles[tiles.at(-1)!]!;
  const margin = mode === Mode.Av1Photo ? MARGIN : 0;
  const area = {
    top: first.top - margin,
    left: first.left - margin,
    height: last.top + last.height - first.top + 2 * margin,
    width: last.left + last.width - first.left + 2 * margin,
  };
  return { area, tiles, data: tileData(file, header, tiles[0]!) };
}

/** The tiles of the block of tile `index`, all of one mode and the first with all the data. */
function blockAround(header: Header, index: number): number[] {
  const columns = header.columns;
  const rows = header.tiles.length / columns;
  const row = Math.floor(index / columns / BLOCK) * BLOCK;
  const column = Math.floor((index % columns) / BLOCK) * BLOCK;
  const members: number[] = [];
  for (let r = row; r < Math.min(row + BLOCK, rows); r++) {
    for (let c = column; c < Math.min(column + BLOCK, columns); c++) members.push(r * columns + c);
  }
  for (const member of members) {
    const { mode, length, crc } = header.tiles[member]!;
    if (mode !== header.tiles[index]!.mode) {
      throw new PicoError("CorruptTile", `tile ${member} is of another mode than its block`);
    }
    if (member !== members[0] && (length !== 0 || crc !== 0)) {
      throw new PicoError("CorruptTile", `tile ${member} has data beside its block's`);
    }
  }
  return members;
}
