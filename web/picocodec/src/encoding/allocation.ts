/** How the bits of a picture are shared among its tiles: smooth ones get a higher level. */
import type { Look } from "./features.js";

/** In thousandths of the level: for each halving of the gradient, and at most, either way. */
const FOR_EACH_BIT = 50;
const LEAST = -80;
const MOST = 120;

/** What each tile, taken as a photo, has over the picture's level, in thousandths. */
export function levelOffsets(looks: readonly Look[]): number[] {
  const photos = looks.filter((look) => !look.drawn);
  if (!photos.length) return looks.map(() => 0);
  const typical = photos.reduce((sum, look) => sum + look.gradient, 0) / photos.length;
  return looks.map(({ gradient }) =>
    Math.round(Math.min(Math.max(FOR_EACH_BIT * (typical - gradient), LEAST), MOST)),
  );
}
