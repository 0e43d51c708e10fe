// Colours of the current theme, read from the custom properties of tokens.css.

export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export const hue = (name: string): string => token(`series-${name}`);

/** The colour with the given opacity in percent. */
export function faint(colour: string, percent: number): string {
  return `color-mix(in srgb, ${colour} ${percent}%, transparent)`;
}
