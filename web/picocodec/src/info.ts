/** What a file says of itself, read without decoding it. */
import { Coder, type Header, MAX_SIDE, readHeader } from "./format/container.js";
import type { Area } from "./format/tiles.js";
import { orientationOf } from "./images/exif.js";
import { readMetadata } from "./images/metadata.js";

export interface Info {
  readonly width: number;
  readonly height: number;
  readonly mode: "RGB" | "L" | "RGBA" | "LA";
  /** 0 to 100. */
  readonly quality: number;
  /** `name.vN` */
  readonly model: string;
  /** The first eight hexadecimal digits. */
  readonly modelSha256: string;
  readonly tiles: number;
  /** Of them, those from the networks, whose finest texture may be invented. */
  readonly learnedTiles: number;
  readonly bytes: number;
  /** Bits of the whole file for each pixel. */
  readonly bpp: number;
  readonly hasIcc: boolean;
  readonly hasExif: boolean;
  readonly hasXmp: boolean;
  readonly hasAlpha: boolean;
  /** 0 to 1, what the file recommends to its decoder; null: nothing. */
  readonly realism: number | null;
  /** 1 to 8 as EXIF numbers it; `width` and `height` are those before it is turned. */
  readonly orientation: number;
  /** Which part of the picture, as it is stored, is coded how, and in how many bytes. */
  readonly parts: readonly Part[];
}

export interface Part extends Area {
  readonly coder: "learned" | "lossless" | "AV1";
  readonly bytes: number;
}

/** Throws a `PicoError` for what is not a whole file. */
export async function readInfo(file: Uint8Array): Promise<Info> {
  const header = readHeader(file, MAX_SIDE ** 2);
  const { icc, exif, xmp, alpha } = await readMetadata(file, header);
  const mode = `${header.gray ? "L" : "RGB"}${alpha ? "A" : ""}` as Info["mode"];
  return {
    width: header.width,
    height: header.height,
    mode,
    quality: header.level / 10,
    model: header.model,
    modelSha256: header.check,
    tiles: header.rows * header.columns,
    learnedTiles: header.pieces.filter((piece) => piece.coder === Coder.Learned).length,
    bytes: file.length,
    bpp: (8 * file.length) / (header.width * header.height),
    hasIcc: icc !== null,
    hasExif: exif !== null,
    hasXmp: xmp !== null,
    hasAlpha: alpha !== null,
    realism: header.realism === null ? null : header.realism / 255,
    orientation: orientationOf(exif),
    parts: partsOf(header),
  };
}

function partsOf(header: Header): Part[] {
  return header.pieces.map(({ own, coder, length }) => ({
    ...own,
    coder: coder === Coder.Learned ? "learned" : coder === Coder.Lossless ? "lossless" : "AV1",
    bytes: length,
  }));
}
