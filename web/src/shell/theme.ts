// The theme switch. The choice lives in a cookie, so that the server renders it without a flash.
import { all } from "./dom.ts";

export const THEMES = ["auto", "light", "dark", "contrast"] as const;
export type Theme = (typeof THEMES)[number];

/** The theme after `current` in the order of the switch. */
export function nextTheme(current: string | undefined): Theme {
  const at = THEMES.indexOf((current ?? "auto") as Theme);
  return THEMES[(at + 1) % THEMES.length] ?? "auto";
}

export function mountTheme(): void {
  for (const button of all("[data-theme-switch]", HTMLButtonElement)) {
    button.hidden = false;
    label(button, (document.documentElement.dataset["theme"] ?? "auto") as Theme);
    button.addEventListener("click", () => {
      setTheme(nextTheme(document.documentElement.dataset["theme"]));
    });
  }
}

/** Takes a theme at once and for later pages; the switch says so. */
export function setTheme(theme: Theme): void {
  apply(theme);
  for (const button of all("[data-theme-switch]", HTMLButtonElement)) label(button, theme);
}

function apply(theme: Theme): void {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=strict`;
  document.dispatchEvent(new CustomEvent("studio:theme"));
}

function label(button: HTMLButtonElement, theme: Theme): void {
  const words = { auto: "Auto", light: "Light", dark: "Dark", contrast: "Contrast" };
  button.setAttribute("aria-label", `Theme: ${words[theme]}. Change`);
  const word = button.querySelector("[data-theme-word]");
  if (word) word.textContent = words[theme];
}
