/** Light or dark: as the system says, until the button says otherwise. */

const KEY = "theme";

export function followTheme(button: HTMLElement): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = (): void => {
    const isDark = (localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(isDark));
  };
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    const isDark = document.documentElement.dataset.theme === "dark";
    localStorage.setItem(KEY, isDark ? "light" : "dark");
    apply();
  });
  apply();
}
