/** The errors of docs/format.md, section 10, and `UnusableModel` for a model's own files. */
export type ErrorKind =
  | "NotAPicoFile"
  | "UnsupportedVersion"
  | "Truncated"
  | "CorruptHeader"
  | "CorruptTile"
  | "CorruptChunk"
  | "UnknownModel"
  | "LimitExceeded"
  | "UnusableModel";

export class PicoError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
  ) {
    super(message);
    this.name = kind;
  }
}
