/** Numbers as people read them. */

/** 31 KB, 1.2 MB: in thousands, as file managers count. */
export function bytesIn(count: number): string {
  if (count < 1000) return `${count}\u00a0B`;
  const [value, unit] = count < 1e6 ? [count / 1e3, "KB"] : [count / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0${unit}`;
}

/** 12.2 MP, or 0.35 MP. */
export function megapixels(width: number, height: number): string {
  const count = (width * height) / 1e6;
  return `${count < 10 ? count.toFixed(2) : count.toFixed(1)}\u00a0MP`;
}

/** A file's name with another ending. */
export function renamed(name: string, ending: string): string {
  return `${name.replace(/\.[^.]*$/, "")}.${ending}`;
}
