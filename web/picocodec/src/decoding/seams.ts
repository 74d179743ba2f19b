/** How tiles meet: over the pixels that neighbours both decode, one fades into the other (4). */
import { type Area, common, grown, isEmpty, MARGIN } from "../format/tiles.js";
import { indexOf, makeGray, type Raster, toByte } from "../images/pixels.js";

/** What a tile's canvas says, `[3, h, w]` of 0 to 1, of a place in the picture. */
interface Strip {
  readonly owner: Area;
  readonly place: Area;
  readonly values: Float32Array;
}

/** What the canvas of a tile says around each of its borders. */
export interface Frame {
  readonly tile: Area;
  readonly top: Strip;
  readonly bottom: Strip;
  readonly left: Strip;
  readonly right: Strip;
}

/** Reads a canvas: the value, 0 to 1, of a channel at a row and column of it. */
export type CanvasReader = (channel: number, row: number, column: number) => number;

const DEPTH = 2 * MARGIN;

/** The frame of a tile by what its canvas, margin included, says; a copy. */
export function frameOf(tile: Area, canvas: CanvasReader): Frame {
  const whole = grown(tile, MARGIN);
  const strip = (place: Area): Strip => {
    const values = new Float32Array(3 * place.height * place.width);
    let at = 0;
    for (let channel = 0; channel < 3; channel++) {
      for (let r = 0; r < place.height; r++) {
        for (let c = 0; c < place.width; c++) {
          const value = canvas(channel, place.top - whole.top + r, place.left - whole.left + c);
          values[at++] = value > 0 ? Math.min(value, 1) : 0;
        }
      }
    }
    return { owner: tile, place, values };
  };
  const { top, left, height, width } = whole;
  return {
    tile,
    top: strip({ top, left, height: DEPTH, width }),
    bottom: strip({ top: top + height - DEPTH, left, height: DEPTH, width }),
    left: strip({ top, left, height, width: DEPTH }),
    right: strip({ top, left: left + width - DEPTH, height, width: DEPTH }),
  };
}

/** Fades the tiles of a picture into each other as their rows come, from the top. */
export class Fader {
  private above: readonly Frame[] = [];

  constructor(
    private readonly picture: Raster,
    private readonly isGray: boolean,
  ) {}

  /** Call with the frames of a row of tiles, of those that have one, once it is painted. */
  fade(frames: readonly Frame[]): void {
    for (let i = 1; i < frames.length; i++) {
      const [left, right] = [frames[i - 1]!, frames[i]!];
      const { top, height } = right.tile;
      if (left.tile.left + left.tile.width !== right.tile.left) continue;
      const border = { top, left: right.tile.left - MARGIN, height, width: DEPTH };
      this.blend([left.right, right.left], border, [left.tile, right.tile]);
    }
    if (this.above.length && frames.length) {
      const { area } = this.picture;
      const top = frames[0]!.tile.top - MARGIN;
      const border = { top, left: area.left, height: DEPTH, width: area.width };
      const strips = [...this.above.map((f) => f.bottom), ...frames.map((f) => f.top)];
      this.blend(strips, border, [...this.above, ...frames].map((frame) => frame.tile));
    }
    this.above = frames;
  }

  /** The weighted mean of strips, within a window, in the pixels that the tiles own. */
  private blend(strips: readonly Strip[], border: Area, tiles: readonly Area[]): void {
    const window = common(border, this.picture.area);
    if (isEmpty(window)) return;
    const count = window.height * window.width;
    const total = new Float32Array(3 * count);
    const weights = new Float32Array(count);
    for (const strip of strips) add(strip, window, total, weights);
    for (const tile of tiles) {
      const part = common(tile, window);
      if (isEmpty(part)) continue;
      for (let row = part.top; row < part.top + part.height; row++) {
        let from = (row - window.top) * window.width + part.left - window.left;
        let at = indexOf(this.picture, row, part.left);
        for (let c = 0; c < part.width; c++, from++, at += 4) {
          for (let channel = 0; channel < 3; channel++) {
            const mean = Math.fround(total[channel * count + from]! / weights[from]!);
            this.picture.data[at + channel] = toByte(mean);
          }
        }
      }
      if (this.isGray) makeGray(this.picture, part);
    }
  }
}

function add(strip: Strip, window: Area, total: Float32Array, weights: Float32Array): void {
  const { owner, place, values } = strip;
  const shared = common(place, window);
  if (isEmpty(shared)) return;
  const rows = weightsOf(owner.top, owner.height, shared.top, shared.height);
  const columns = weightsOf(owner.left, owner.width, shared.left, shared.width);
  const [count, plane] = [weights.length, place.height * place.width];
  for (let r = 0; r < shared.height; r++) {
    const to = (shared.top + r - window.top) * window.width + shared.left - window.left;
    const from = (shared.top + r - place.top) * place.width + shared.left - place.left;
    for (let c = 0; c < shared.width; c++) {
      const weight = rows[r]! * columns[c]!;
      weights[to + c]! += weight;
      for (let channel = 0; channel < 3; channel++) {
        total[channel * count + to + c]! += weight * values[channel * plane + from + c]!;
      }
    }
  }
}

/** Of positions from `first` on, along one side of a tile: 0 where its margin begins, then up. */
function weightsOf(start: number, length: number, first: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const inside = first + i - start + MARGIN + 0.5;
    const nearest = Math.min(inside, length + DEPTH - inside);
    return Math.min(Math.max(nearest / DEPTH, 0), 1);
  });
}
