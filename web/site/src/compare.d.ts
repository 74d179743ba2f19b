/** The element of src/picolab/evaluation/viewer/compare.js, which pages without a build use, too. */
interface Layer {
  readonly view: HTMLElement;
  readonly label: string;
}

interface PicoCompare extends HTMLElement {
  show(pictures: {
    readonly width: number;
    readonly height: number;
    readonly left: Layer;
    readonly right: Layer;
  }): void;
  overlay: Element | null;
  split: number;
  readonly zoom: number;
  flicker: boolean;
  fit(): void;
  zoomTo(zoom: number): void;
}
