/** File to picture: container -> payloads -> the coder of each -> seams -> pixels. */
import { av1Image } from "../coders/av1.js";
import { av1Pixels, losslessPixels } from "../coders/browser.js";
import type { LearnedCoder } from "../coders/learned.js";
import { losslessImage } from "../coders/lossless.js";
import { checkModel } from "../coders/symbols.js";
import { CorruptTile } from "../errors.js";
import { Coder, type Header, payloadOf, type Piece } from "../format/container.js";
import { type Area, common, divided, grown, isEmpty, MARGIN } from "../format/tiles.js";
import {
  copyPixels, emptyRaster, indexOf, makeGray, paintCanvas, type Raster,
} from "../images/pixels.js";
import { readGrayPng } from "../images/png.js";
import { PREVIEWS } from "../model/model.js";
import type { Floats } from "../model/tensors.js";
import type { Running } from "../running.js";
import { reduced } from "./reduction.js";
import { Fader, type Frame, frameOf } from "./seams.js";

/** What the sides of a picture can be divided by on the way. */
export const SCALES = [1, 2, 4, 8] as const;
export type Divisor = (typeof SCALES)[number];

export interface Request {
  /** 0 to 1; null: what the file recommends, or else the model's own. */
  readonly realism: number | null;
  /** The part that is wanted, as the file stores it. */
  readonly wanted: Area;
  readonly divisor: Divisor;
}

/** Where the networks of a file's model come from. */
export type LearnedCoders = (model: string) => Promise<LearnedCoder>;

/**
 * The part of a picture that is asked for, its sides divided and rounded up. Only the tiles that it
 * touches are read, and those that fade into it. `alpha` is the data of its chunk. Throws
 * `PicoError`s; all checksums are verified before the first network runs.
 */
export async function decodePixels(
  file: Uint8Array,
  header: Header,
  alpha: Uint8Array | null,
  request: Request,
  coders: LearnedCoders,
  running: Running,
): Promise<Raster> {
  const { wanted, divisor } = request;
  const opacity = alpha && (await readGrayPng(alpha, header.width, header.height));
  const isNeeded = (piece: Piece, margin: number): boolean =>
    piece.tiles.length > 1 ? touches(piece.own, wanted, 0) : touches(piece.own, wanted, margin);
  const reached = header.pieces.some(
    (piece) => piece.coder === Coder.Learned && isNeeded(piece, MARGIN),
  );
  const coder = reached ? await coders(header.model) : null;
  if (coder) checkModel(coder.model, header);
  const realism = request.realism ?? recommended(header, coder);
  const preview = previewFor(request, alpha !== null, coder, realism);
  const isFaded = header.pieces.length > 1 && preview === 1;
  const needed = header.pieces
    .map((piece, number) => ({ piece, number }))
    .filter(({ piece }) => isNeeded(piece, isFaded ? MARGIN : 0));
  for (const { number } of needed) payloadOf(file, header, number);
  coder?.prepare(preview, realism);

  const picture = emptyRaster(divided(wanted, preview));
  const work = new TileWork(file, header, coder, realism, preview, isFaded, picture);
  const fader = new Fader(picture, header.gray);
  let frames: Frame[] = [];
  for (const [i, { piece, number }] of needed.entries()) {
    await running.pause();
    const frame = await work.paint(piece, number);
    if (frame) frames.push(frame);
    const next = needed[i + 1]?.piece;
    if (next?.own.top !== piece.own.top) {
      if (isFaded) fader.fade(frames);
      frames = [];
    }
    running.progress(i + 1, needed.length);
  }
  if (opacity) setAlpha(picture, opacity, header.width);
  const left = divisor / preview;
  return left > 1 ? reduced(picture, left) : picture;
}

function touches(own: Area, wanted: Area, margin: number): boolean {
  return !isEmpty(common(own, grown(wanted, margin)));
}

function recommended(header: Header, coder: LearnedCoder | null): number {
  return header.realism === null ? (coder?.model.realism ?? 0) : header.realism / 255;
}

/** What the preview that will do divides the sides by, the smallest one; 1 for none. */
function previewFor(
  { divisor, wanted }: Request,
  hasAlpha: boolean,
  coder: LearnedCoder | null,
  realism: number,
): number {
  const isOnGrid = wanted.left % divisor === 0 && wanted.top % divisor === 0;
  if (!isOnGrid || hasAlpha || !coder || realism !== coder.model.realism) return 1;
  const enough = [...PREVIEWS]
    .filter(([by, name]) => divisor % by === 0 && coder.model.hashes.has(`${name}.onnx`))
    .map(([by]) => by);
  return Math.max(1, ...enough);
}

function setAlpha(picture: Raster, opacity: Uint8Array, width: number): void {
  const { area, data } = picture;
  for (let row = area.top; row < area.top + area.height; row++) {
    let at = indexOf(picture, row, area.left) + 3;
    for (let column = area.left; column < area.left + area.width; column++, at += 4) {
      data[at] = opacity[row * width + column]!;
    }
  }
}

/** Paints pieces into a picture whose sides are divided by `preview`. */
class TileWork {
  constructor(
    private readonly file: Uint8Array,
    private readonly header: Header,
    private readonly learned: LearnedCoder | null,
    private readonly realism: number,
    private readonly preview: number,
    private readonly isFaded: boolean,
    private readonly picture: Raster,
  ) {}

  /** Paints what is wanted of a piece; its frame, if it is to fade into others. */
  async paint(piece: Piece, number: number): Promise<Frame | null> {
    const frame =
      piece.coder === Coder.Learned
        ? await this.paintLearned(piece, number)
        : await this.paintImage(piece, number);
    if (this.header.gray) makeGray(this.picture, divided(piece.own, this.preview));
    return frame;
  }

  private async paintLearned(piece: Piece, number: number): Promise<Frame | null> {
    const learned = this.learned!;
    const yHat = await this.latentOf(number, piece);
    if (this.preview > 1) {
      const small = await learned.preview(yHat, piece.level, this.preview);
      const margin = Math.floor(MARGIN / this.preview);
      paintCanvas(small, divided(piece.own, this.preview), margin, this.picture);
      return null;
    }
    const canvas = await learned.canvas(yHat, piece.area, piece.level, this.realism);
    paintCanvas(canvas, piece.own, MARGIN, this.picture);
    if (!this.isFaded) return null;
    const [height, width] = [canvas.shape[2]!, canvas.shape[3]!];
    return frameOf(piece.own, (channel, row, column) =>
      canvas.data[(channel * height + row) * width + column]!,
    );
  }

  private async latentOf(number: number, piece: Piece): Promise<Floats> {
    try {
      return await this.learned!.latent(this.file, this.header, number);
    } catch (error) {
      if (error instanceof CorruptTile) error.tile = piece.tiles[0]!;
      throw error;
    }
  }

  private async paintImage(piece: Piece, number: number): Promise<Frame | null> {
    const image =
      piece.coder === Coder.Av1
        ? await av1Pixels(av1Image(this.file, this.header, number))
        : await losslessPixels(losslessImage(this.file, this.header, number));
    const shown: Raster = { area: piece.area, data: image.data };
    if (this.preview > 1) {
      const own = emptyRaster(piece.own);
      copyPixels(shown, own, piece.own);
      copyPixels(reduced(own, this.preview), this.picture, divided(piece.own, this.preview));
      return null;
    }
    copyPixels(shown, this.picture, piece.own);
    if (!this.isFaded || !piece.hasMargin) return null;
    return frameOf(piece.own, (channel, row, column) =>
      image.data[4 * (row * image.width + column) + channel]! / 255,
    );
  }
}
