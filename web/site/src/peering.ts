/** What the browser's own encoders make of a picture at as many bytes, kept while it is shown. */
import type { PeerAnswer, PeerRequest } from "./peers.js";
import type { Picture } from "./pictures.js";

export interface Peer {
  readonly view: HTMLImageElement;
  readonly size: number;
  readonly quality: number;
}

/** Pictures whose peers are kept. */
const MOST = 6;

export class Peers {
  private readonly worker = new Worker("peers.js", { type: "module" });
  private readonly waiting = new Map<number, (answer: PeerAnswer) => void>();
  private readonly kept = new Map<string, Promise<Peer | null>>();
  private count = 0;

  constructor() {
    this.worker.addEventListener("message", ({ data }: MessageEvent<PeerAnswer>) => {
      this.waiting.get(data.id)?.(data);
      this.waiting.delete(data.id);
    });
  }

  /** Null where the browser has no such encoder. */
  at(picture: Picture, type: PeerRequest["type"], bytes: number): Promise<Peer | null> {
    const key = `${picture.name} ${picture.bytes} ${type} ${bytes}`;
    const known = this.kept.get(key) ?? this.make(picture, type, bytes);
    this.kept.set(key, known);
    const oldest = this.kept.keys().next().value;
    if (this.kept.size > MOST && oldest !== undefined) this.kept.delete(oldest);
    return known;
  }

  private async make(
    picture: Picture,
    type: PeerRequest["type"],
    bytes: number,
  ): Promise<Peer | null> {
    const bitmap = await createImageBitmap(picture.blob);
    const id = ++this.count;
    const { blob, quality } = await new Promise<PeerAnswer>((resolve) => {
      this.waiting.set(id, resolve);
      const request: PeerRequest = { id, bitmap, type, bytes };
      this.worker.postMessage(request, [bitmap]);
    });
    if (!blob) return null;
    const view = new Image();
    view.src = URL.createObjectURL(blob);
    view.alt = "";
    await view.decode();
    URL.revokeObjectURL(view.src);
    return { view, size: blob.size, quality };
  }
}
