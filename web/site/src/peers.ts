/** JPEG and WebP as this browser makes them, at no more bytes than ours: in a worker of its own. */

export interface PeerRequest {
  readonly id: number;
  readonly bitmap: ImageBitmap;
  readonly type: "image/jpeg" | "image/webp";
  readonly bytes: number;
}

export interface PeerAnswer {
  readonly id: number;
  /** Null where the browser has no such encoder. */
  readonly blob: Blob | null;
  /** 1 to 100. */
  readonly quality: number;
}

/** The highest quality of at most so many bytes; the lowest, if none is. */
async function fill({ bitmap, type, bytes }: PeerRequest): Promise<[Blob | null, number]> {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { alpha: type !== "image/jpeg" })!;
  if (type === "image/jpeg") {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  // Quality 1 would be lossless, in WebP.
  const at = (quality: number): Promise<Blob> =>
    canvas.convertToBlob({ type, quality: Math.min(quality / 100, 0.99) });
  let [low, high] = [0, 100];
  let best = await at(low);
  if (best.type !== type) return [null, 0];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const blob = await at(middle);
    if (blob.size <= bytes) [low, best] = [middle, blob];
    else high = middle - 1;
  }
  return [best, low];
}

self.addEventListener("message", async ({ data }: MessageEvent<PeerRequest>) => {
  let answer: PeerAnswer;
  try {
    const [blob, quality] = await fill(data);
    answer = { id: data.id, blob, quality };
  } catch {
    answer = { id: data.id, blob: null, quality: 0 };
  }
  self.postMessage(answer);
});
