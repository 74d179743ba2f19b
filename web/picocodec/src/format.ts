/** The parts of the format, for who wants less than pictures: bytes to structure and symbols. */
export { type Av1Image, av1Image, toRgb } from "./coders/av1.js";
export { av1Pixels, losslessPixels } from "./coders/browser.js";
export { type LosslessImage, losslessImage } from "./coders/lossless.js";
export { decodeSymbols, digest, encodeSymbols, type Symbols, yIndices } from "./coders/symbols.js";
export * from "./errors.js";
export { sha256 } from "./format/checksums.js";
export {
  chunkData, Coder, type Header, MAX_PIXELS, payloadOf, type Piece, readHeader,
} from "./format/container.js";
export { type Area, type Grid, gridOf } from "./format/tiles.js";
export { type Parts, writeFile, type WrittenChunk, type WrittenPiece } from "./format/writer.js";
export { loadModel, type Model } from "./model/model.js";
export { unpack } from "./packing.js";
