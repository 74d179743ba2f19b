/** Picture to file: tiles -> looks -> learned or lossless -> payloads -> container. */
import type { LearnedCoder } from "../coders/learned.js";
import { TargetTooSmall, UnsupportedImage } from "../errors.js";
import { Coder, MAX_SIDE } from "../format/container.js";
import { type Area, grown, layout, MARGIN } from "../format/tiles.js";
import { writeFile, type WrittenChunk, type WrittenPiece } from "../format/writer.js";
import { chunksOfMetadata, type Metadata } from "../images/metadata.js";
import { canvasOf, emptyRaster, paintCanvas, type Raster } from "../images/pixels.js";
import { slopeOf } from "../model/model.js";
import type { Running } from "../running.js";
import { levelOffsets } from "./allocation.js";
import { drawn, joinBlocks, MOST_FOR_DRAWN, priceOfErrors } from "./drawings.js";
import { isTooRich, type Look, lookAt } from "./features.js";
import { fill, MAX_PASSES } from "./rate.js";

const MAX_LEVEL = 1000;

/** A tile of a picture, what it looks like, and what its level has over the picture's. */
interface Place {
  readonly tile: Area;
  readonly look: Look;
  readonly offset: number;
}

/** Either a level in thousandths, or the bytes that a file may have. */
export type Rate = { readonly level: number } | { readonly targetSize: number };

/** A whole .pico file. Throws `UnsupportedImage`, `TargetTooSmall` and what networks throw. */
export async function encodePicture(
  picture: Raster,
  metadata: Metadata,
  rate: Rate,
  coder: LearnedCoder,
  running: Running,
): Promise<Uint8Array<ArrayBuffer>> {
  const { height, width } = picture.area;
  if (Math.max(height, width) > MAX_SIDE || height * width === 0) {
    throw new UnsupportedImage(`no file can hold a picture of ${width}x${height} pixels`);
  }
  const chunks = await chunksOfMetadata(metadata, alphaOf(picture), width, height);
  const encoder = new Encoder(picture, chunks, coder, running);
  if ("level" in rate) return encoder.encode(rate.level, 0, 1);
  const beside = chunks.reduce((size, chunk) => size + chunk.data.length, 0);
  if (beside >= rate.targetSize) {
    throw new TargetTooSmall(
      `the target is ${rate.targetSize} bytes, and the picture's metadata and alpha alone need ` +
        `${beside}: raise it, or leave them out`,
    );
  }
  let pass = 0;
  const encode = (level: number): Promise<Uint8Array<ArrayBuffer>> =>
    encoder.encode(level, pass++, MAX_PASSES);
  return fill(encode, rate.targetSize, width * height);
}

/** The opacity `[height, width]` of a picture; null if it is opaque everywhere. */
function alphaOf({ data }: Raster): Uint8Array | null {
  const alpha = new Uint8Array(data.length / 4);
  let least = 255;
  for (let i = 0; i < alpha.length; i++) least = Math.min(least, (alpha[i] = data[4 * i + 3]!));
  return least < 255 ? alpha : null;
}

function isGray({ data }: Raster): boolean {
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return false;
  }
  return true;
}

/** Makes the files of one picture, at any level. */
class Encoder {
  private readonly places: readonly Place[];
  private readonly gray: boolean;

  constructor(
    private readonly picture: Raster,
    private readonly chunks: readonly WrittenChunk[],
    private readonly coder: LearnedCoder,
    private readonly running: Running,
  ) {
    const tiles = layout(picture.area.width, picture.area.height);
    const looks = tiles.map((tile) => lookAt(picture, tile));
    const offsets = levelOffsets(looks);
    this.places = tiles.map((tile, i) => ({ tile, look: looks[i]!, offset: offsets[i]! }));
    this.gray = isGray(picture);
  }

  /** The file at a level in thousandths; `pass` of `passes`, from 0, is for who waits. */
  async encode(level: number, pass: number, passes: number): Promise<Uint8Array<ArrayBuffer>> {
    const { picture, places, running } = this;
    const pieces: WrittenPiece[] = [];
    for (const place of places) {
      await running.pause();
      pieces.push(await this.pieceOf(place, level));
      running.progress(pass * places.length + pieces.length, passes * places.length);
    }
    const settled = await joinBlocks(picture, places.map((place) => place.tile), pieces);
    return writeFile({
      width: picture.area.width,
      height: picture.area.height,
      level,
      model: this.coder.model.name,
      check: this.coder.model.check,
      gray: this.gray,
      pieces: settled.filter((piece) => piece !== null),
      chunks: this.chunks,
    });
  }

  private async pieceOf({ tile, look, offset }: Place, level: number): Promise<WrittenPiece> {
    if (look.drawn) {
      const drawing = await this.asDrawing(tile, level);
      if (drawing) return drawing;
    }
    const own = Math.min(Math.max(level + offset, 0), MAX_LEVEL);
    return this.learned(await this.encodeTile(tile, own), own);
  }

  /** A drawn tile: without loss if that has the lower price; null if it is not worth a try. */
  private async asDrawing(tile: Area, level: number): Promise<WrittenPiece | null> {
    const learned = await this.encodeTile(tile, level);
    const size = learned.payload.length;
    const most = MOST_FOR_DRAWN * size;
    if (isTooRich(this.picture, tile, most)) return null;
    const exact = await drawn(this.picture, tile, level);
    if (!exact || exact.payload.length > most) return null;
    if (exact.payload.length < size) return exact;
    const { model } = this.coder;
    const area = grown(tile, MARGIN);
    const canvas = await this.coder.canvas(learned.yHat, area, level, model.realism);
    const shown = emptyRaster(tile);
    paintCanvas(canvas, tile, MARGIN, shown);
    const price = 8 * size + priceOfErrors(this.picture, shown, tile, slopeOf(model, level));
    return 8 * exact.payload.length < price ? exact : this.learned(learned, level);
  }

  private encodeTile(tile: Area, level: number): ReturnType<LearnedCoder["encode"]> {
    return this.coder.encode(canvasOf(this.picture, tile), grown(tile, MARGIN), level);
  }

  private learned({ payload }: { payload: Uint8Array }, level: number): WrittenPiece {
    return { payload, coder: Coder.Learned, level, hasMargin: true, rows: 1, columns: 1 };
  }
}
