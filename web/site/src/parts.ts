/** Which part of a picture is coded how, drawn over it and told beside it. */
import type { Info } from "../../picocodec/src/info.js";
import { bytesIn } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const STYLES = {
  learned: { stroke: "#1fb598", fill: "#1fb59818", dash: "none", name: "Learned" },
  lossless: { stroke: "#e89b1c", fill: "#e89b1c33", dash: "8 6", name: "Lossless" },
  AV1: { stroke: "#8a7bff", fill: "#8a7bff33", dash: "2 5", name: "AV1" },
} as const;

/** Stored places to upright ones, as EXIF numbers the ways, for a picture of `w x h` as stored. */
function turning(orientation: number, w: number, h: number): string {
  const matrices = [
    [1, 0, 0, 1, 0, 0], [-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h],
    [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, h, 0], [0, -1, -1, 0, h, w], [0, -1, 1, 0, 0, w],
  ];
  return `matrix(${matrices[orientation - 1]!.join(" ")})`;
}

/** An SVG of the upright picture's size. */
export function drawParts({ parts, orientation, width, height }: Info): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const [w, h] = orientation >= 5 ? [height, width] : [width, height];
  svg.setAttribute("width", String(w));
  svg.setAttribute("height", String(h));
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("transform", turning(orientation, width, height));
  for (const { top, left, width: across, height: down, coder } of parts) {
    const { stroke, fill, dash } = STYLES[coder];
    const rect = document.createElementNS(SVG, "rect");
    const values = { x: left + 1, y: top + 1, width: across - 2, height: down - 2 };
    for (const [name, value] of Object.entries(values)) {
      rect.setAttribute(name, String(Math.max(value, 0)));
    }
    rect.setAttribute("fill", fill);
    rect.setAttribute("stroke", stroke);
    rect.setAttribute("stroke-width", "3");
    rect.setAttribute("stroke-dasharray", dash);
    rect.setAttribute("vector-effect", "non-scaling-stroke");
    group.append(rect);
  }
  svg.append(group);
  return svg;
}

/** The same in words. */
export function tellParts({ parts, bytes }: Info): HTMLElement[] {
  const lines = Object.entries(STYLES).flatMap(([coder, { name }]) => {
    const own = parts.filter((part) => part.coder === coder);
    if (!own.length) return [];
    const size = own.reduce((sum, part) => sum + part.bytes, 0);
    const count = own.length === 1 ? "1 part" : `${own.length} parts`;
    return [line(`${name}: ${count}, ${bytesIn(size)}`, coder)];
  });
  const inParts = parts.reduce((sum, part) => sum + part.bytes, 0);
  return [...lines, line(`Header, metadata and transparency: ${bytesIn(bytes - inParts)}`)];
}

function line(text: string, coder?: string): HTMLElement {
  const element = document.createElement("div");
  const key = document.createElement("i");
  if (coder) key.className = `key-${coder}`;
  element.append(key, text);
  return element;
}
