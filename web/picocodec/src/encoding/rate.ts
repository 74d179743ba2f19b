/** Quality, as users say it, to level; and the level that fills a given number of bytes. */
import { TargetTooSmall } from "../errors.js";

export const DEFAULT_QUALITY = 50;
const LEVEL_STEPS = 1000;
/** Of encoding, to find the level for a target size. */
export const MAX_PASSES = 6;
/** A file this much smaller than its target will do. */
const TOLERANCE = 0.02;
/** A typical photo's bits a pixel at level 0, and how their logarithm grows with each level. */
const TYPICAL_BPP = 0.13;
const TYPICAL_SLOPE = 2.7 / LEVEL_STEPS;

/** Level in thousandths for a quality of 0 to 100; throws `RangeError` for any other. */
export function levelOfQuality(quality: number): number {
  if (!(quality >= 0 && quality <= 100)) {
    throw new RangeError(`quality must be from 0 to 100, not ${quality}`);
  }
  return Math.round((quality * LEVEL_STEPS) / 100);
}

/**
 * The file of at most `target` bytes that comes closest to it, by at most `MAX_PASSES` calls of
 * `encode`, which makes the file of a level. Throws `TargetTooSmall` if the lowest needs more.
 */
export async function fill<File extends { readonly length: number }>(
  encode: (level: number) => Promise<File>,
  target: number,
  pixels: number,
): Promise<File> {
  const goal = Math.log(target * (1 - TOLERANCE / 2));
  const levels = new Map<number, number>(); // by the logarithm of the size
  let [below, above] = [-1, LEVEL_STEPS + 1]; // a level that fits, and one that does not
  let best: File | null = null;
  let last = 0;
  let level = (goal - Math.log((TYPICAL_BPP * pixels) / 8)) / TYPICAL_SLOPE;
  for (let remaining = MAX_PASSES - 1; remaining >= 0; remaining--) {
    const tried = Math.round(Math.min(Math.max(level, below + 1), above - 1));
    const file = await encode(tried);
    last = file.length;
    levels.set(Math.log(last), tried);
    if (last <= target) {
      [best, below] = [file, tried];
      if (last >= target * (1 - TOLERANCE)) break;
    } else above = tried;
    if (above - below === 1) break;
    level = !best && remaining === 1 ? 0 : levelAt(goal, levels, below, above);
  }
  if (best) return best;
  throw new TargetTooSmall(
    `the target is ${target} bytes, but the picture needs ${last} even at quality 0: ` +
      "raise the target, or make the picture smaller",
  );
}

/** The level at a log size, by Lagrange's polynomial through the nearest sizes that are known. */
function levelAt(goal: number, levels: Map<number, number>, below: number, above: number): number {
  const isBracketed = below >= 0 && above <= LEVEL_STEPS;
  const known = [...levels.keys()]
    .sort((a, b) => Math.abs(a - goal) - Math.abs(b - goal))
    .slice(0, isBracketed ? 3 : 2);
  const nearest = known[0]!;
  if (known.length === 1) return levels.get(nearest)! + (goal - nearest) / TYPICAL_SLOPE;
  let level = 0;
  for (const size of known) {
    const others = known.filter((other) => other !== size);
    const share = others.reduce((product, other) => (product * (goal - other)) / (size - other), 1);
    level += levels.get(size)! * share;
  }
  return !isBracketed || (below < level && level < above) ? level : (below + above) / 2;
}
