/** The page's elements, which are there. */

export function by<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as Kind;
}

export function input(id: string): HTMLInputElement;
export function input<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind;
export function input(id: string): HTMLElement {
  return by(id);
}
