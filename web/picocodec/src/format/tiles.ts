/** Where tiles lie, and parts of pictures: docs/format.md, section 4. */

export const TILE = 504;
/** What a last tile may have more than that, so that no sliver is left. */
const TILE_EXTRA = 64;
/** Pixels that a tile shares with its neighbours, on each side. */
export const MARGIN = 4;
/** The sides of canvases are multiples of this, which is that of z's positions. */
export const Z_STEP = 64;
const Y_STEP = 16;

/** Part of a picture, in pixels. */
export interface Area {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export type Span = readonly [start: number, length: number];

/** Rows and columns of z, rows and columns of y, and how many of the latter are coded. */
export interface Grid {
  readonly zRows: number;
  readonly zColumns: number;
  readonly yRows: number;
  readonly yColumns: number;
  readonly usedRows: number;
  readonly usedColumns: number;
}

/** Of what a learned piece covers, its margin included. */
export function gridOf({ height, width }: Area): Grid {
  const zRows = Math.ceil(height / Z_STEP);
  const zColumns = Math.ceil(width / Z_STEP);
  const perZ = Z_STEP / Y_STEP;
  return {
    zRows,
    zColumns,
    yRows: perZ * zRows,
    yColumns: perZ * zColumns,
    usedRows: Math.ceil(height / Y_STEP),
    usedColumns: Math.ceil(width / Y_STEP),
  };
}

/** The number of tiles along a side of a picture. */
export function tilesAlong(side: number): number {
  return Math.max(1, Math.ceil((side - TILE_EXTRA) / TILE));
}

/** Start and length of each tile along a side. */
export function spans(side: number): Span[] {
  const count = tilesAlong(side);
  return Array.from({ length: count }, (_, i) => [
    i * TILE,
    i < count - 1 ? TILE : side - i * TILE,
  ]);
}

/** What each tile of a picture owns, row by row. */
export function layout(width: number, height: number): Area[] {
  return spans(height).flatMap(([top, tileHeight]) =>
    spans(width).map(([left, tileWidth]) => ({
      top, left, height: tileHeight, width: tileWidth,
    })),
  );
}

/** What two areas have in common, which may be empty. */
export function common(a: Area, b: Area): Area {
  const [top, left] = [Math.max(a.top, b.top), Math.max(a.left, b.left)];
  const bottom = Math.min(a.top + a.height, b.top + b.height);
  const right = Math.min(a.left + a.width, b.left + b.width);
  return { top, left, height: bottom - top, width: right - left };
}

export function isEmpty({ height, width }: Area): boolean {
  return height <= 0 || width <= 0;
}

/** An area and what lies around it, beyond the edges of the picture, too. */
export function grown({ top, left, height, width }: Area, margin: number): Area {
  return {
    top: top - margin,
    left: left - margin,
    height: height + 2 * margin,
    width: width + 2 * margin,
  };
}

/** In a picture of sides divided by that, rounded up; its corner lies at multiples of it. */
export function divided({ top, left, height, width }: Area, by: number): Area {
  return {
    top: top / by,
    left: left / by,
    height: Math.ceil(height / by),
    width: Math.ceil(width / by),
  };
}
