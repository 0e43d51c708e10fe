// Colours of points as a palette of 65,536 entries: recolouring uploads the palette, not the points.

export type Rgb = readonly [number, number, number];

/** Entries of the palette, and the side of its square texture. */
export const ENTRIES = 65_536;
export const SIDE = 256;
/** The entry of points without a colour of their own. */
export const NONE = ENTRIES - 1;

/** Ten hues that can be told apart, in OKLCH hue degrees and chroma; after Okabe and Ito. */
const HUES: readonly (readonly [number, number])[] = [
  [245, 0.13], [60, 0.14], [165, 0.12], [345, 0.12], [225, 0.09],
  [40, 0.16], [105, 0.14], [300, 0.12], [195, 0.09], [20, 0.08],
];

const clamp = (v: number) => Math.max(0, Math.min(255, Math.round(v)));

/** sRGB of an OKLCH colour (Ottosson 2020); lightness 0–1, hue in degrees. */
export function oklch(lightness: number, chroma: number, hue: number): Rgb {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const [r, g, blue] = linear.map((v) => {
    const c = Math.max(0, v);
    return clamp(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055));
  });
  return [r ?? 0, g ?? 0, blue ?? 0];
}

/** The colour of a group; `shade` from −1 to 1 varies lightness inside it. */
export function groupColour(group: number, shade: number, dark: boolean): Rgb {
  const [hue, chroma] = HUES[group % HUES.length] ?? [0, 0];
  return oklch((dark ? 0.72 : 0.6) + shade * 0.1, chroma, hue);
}

/** A ramp that is even to the eye and to the colour-blind: blue over grey to yellow. */
export function rampColour(share: number, dark: boolean): Rgb {
  const t = Math.max(0, Math.min(1, share));
  const lightness = dark ? 0.45 + 0.45 * t : 0.32 + 0.48 * t;
  const hue = t < 0.5 ? 258 : 85;
  return oklch(lightness, 0.13 * Math.abs(2 * t - 1) + 0.01, hue);
}

/** A CSS colour. */
export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

/** A CSS colour such as `#0072b2` as numbers; grey for what is no such text. */
export function fromHex(text: string): Rgb {
  const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text.trim());
  if (!found) return [128, 128, 128];
  const part = (at: number) => Number.parseInt(found[at] ?? "80", 16);
  return [part(1), part(2), part(3)];
}

/** A palette from the colour of each entry in use. */
export function palette(count: number, colour: (entry: number) => Rgb, none: Rgb): Uint8Array {
  const bytes = new Uint8Array(ENTRIES * 4);
  for (let entry = 0; entry < ENTRIES; entry++) {
    if (entry >= count && entry !== NONE) continue;
    const [r, g, b] = entry === NONE ? none : colour(entry);
    bytes.set([r, g, b, 255], 4 * entry);
  }
  return bytes;
}
