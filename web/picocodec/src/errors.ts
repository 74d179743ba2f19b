/** Everything that can go wrong with a file, by the names that Python's picocodec has for it. */

/** Base of all errors about files, models and limits; `kind` is the name of its class. */
export class PicoError extends Error {
  /** The number of the tile that it concerns, row by row from 0. */
  tile: number | null = null;

  constructor(
    readonly kind: ErrorKind,
    message: string,
  ) {
    super(message);
    this.name = kind;
  }
}

/** The data does not begin with the signature of a .pico file. */
export class NotAPicoFile extends PicoError {
  constructor(message: string) {
    super("NotAPicoFile", message);
  }
}

/** The file needs a newer version of the format, or a coder that this browser lacks. */
export class UnsupportedVersion extends PicoError {
  constructor(message: string) {
    super("UnsupportedVersion", message);
  }
}

/** The data ends before the file does. */
export class Truncated extends PicoError {
  constructor(message: string) {
    super("Truncated", message);
  }
}

/** The header contradicts its checksum or the rules of the format. */
export class CorruptHeader extends PicoError {
  constructor(message: string) {
    super("CorruptHeader", message);
  }
}

/** The data of one tile contradicts its checksum, or no encoder can have written it. */
export class CorruptTile extends PicoError {
  constructor(message: string) {
    super("CorruptTile", message);
  }
}

/** A chunk (metadata, alpha) contradicts its checksum or its own format. */
export class CorruptChunk extends PicoError {
  constructor(message: string) {
    super("CorruptChunk", message);
  }
}

/** The model that is asked for is not there, has other weights, or is damaged itself. */
export class UnknownModel extends PicoError {
  constructor(message: string) {
    super("UnknownModel", message);
  }
}

/** A network could not be run: for want of memory, most likely. */
export class NetworkFailed extends PicoError {
  constructor(message: string) {
    super("NetworkFailed", message);
  }
}

/** The picture is larger than the limit in force. */
export class LimitExceeded extends PicoError {
  constructor(message: string) {
    super("LimitExceeded", message);
  }
}

/** A picture that this browser cannot read, or that no file can hold. */
export class UnsupportedImage extends PicoError {
  constructor(message: string) {
    super("UnsupportedImage", message);
  }
}

/** The picture needs more bytes than its target even at the lowest quality. */
export class TargetTooSmall extends PicoError {
  constructor(message: string) {
    super("TargetTooSmall", message);
  }
}

const CLASSES = {
  NotAPicoFile, UnsupportedVersion, Truncated, CorruptHeader, CorruptTile, CorruptChunk,
  UnknownModel, NetworkFailed, LimitExceeded, UnsupportedImage, TargetTooSmall,
};

export type ErrorKind = keyof typeof CLASSES;

/** An error again from its `kind` and message, which is what a worker can send. */
export function errorOf(kind: ErrorKind, message: string, tile: number | null): PicoError {
  const error = new CLASSES[kind](message);
  error.tile = tile;
  return error;
}
