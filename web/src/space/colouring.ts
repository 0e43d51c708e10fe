// Which colour each row has, and what the colours mean.
import { figure, grouped } from "../format.ts";
import { css, groupColour, NONE, palette, rampColour, type Rgb } from "./colours.ts";
import type { MapGroups } from "./maps_api.ts";
import { type Columns, NO_CLASS } from "./packed.ts";

/** `prototype`, `size`, `similarity`, `modality` or `label:NAME`. */
export type ColourBy = string;

/** One line of the legend. */
export interface LegendItem {
  id: number;
  label: string;
  count: number;
  /** CSS colour. */
  colour: string;
}

export interface Colouring {
  /** Palette entry of each row. */
  entries: Uint16Array;
  palette: Uint8Array;
  /** Legend item of each row; `NO_ITEM` for none. Absent for a ramp. */
  items: Uint16Array | null;
  legend: LegendItem[];
  /** Ends and meaning of a ramp. */
  ramp: { low: string; high: string; meaning: string; colours: string[] } | null;
}

export const NO_ITEM = 0xffff;
/** Rows whose colours the next step is compared with; the first ones are a fair sample. */
const REMEMBERED = 20_000;
/** Legend items with a colour of their own. */
const MOST_ITEMS = 10;

export interface Theme {
  dark: boolean;
  none: Rgb;
  image: Rgb;
  text: Rgb;
}

/**
 * Colours for groups of a step that follow those of the step before: each group takes the colour of
 * the earlier group that it shares most samples with, if no larger one has it.
 */
export function carriedColours(
  groups: Uint16Array,
  samples: Uint32Array,
  before: ReadonlyMap<number, number> | null,
  count: number,
): number[] {
  const own = Array.from({ length: count }, (_, i) => i);
  if (!before || before.size === 0) return own;
  const shared = new Map<number, number>();
  for (let row = 0; row < Math.min(groups.length, REMEMBERED); row++) {
    const colour = before.get(samples[row] ?? 0);
    if (colour === undefined) continue;
    const pair = (groups[row] ?? 0) * 1000 + colour;
    shared.set(pair, (shared.get(pair) ?? 0) + 1);
  }
  const taken = new Set<number>();
  const colours = new Array<number>(count).fill(-1);
  for (const [pair] of [...shared].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
    const [group, colour] = [Math.floor(pair / 1000), pair % 1000];
    if (colours[group] !== -1 || taken.has(colour)) continue;
    colours[group] = colour;
    taken.add(colour);
  }
  const free = own.filter((colour) => !taken.has(colour));
  return colours.map((colour) => (colour === -1 ? (free.shift() ?? 0) : colour));
}

/** By prototype: groups of prototypes are hues, prototypes are shades. */
export function byPrototype(
  columns: Columns,
  space: string,
  groups: MapGroups,
  before: ReadonlyMap<number, number> | null,
  theme: Theme,
): Colouring & { colourOfSample: Map<number, number> } {
  const of = columns.whole.get(space) ?? new Uint32Array(columns.rows);
  const samples = columns.whole.get("sample") ?? new Uint32Array(columns.rows);
  const items = Uint16Array.from(of, (prototype) => groups.of_prototype[prototype] ?? NO_ITEM);
  const colours = carriedColours(items, samples, before, groups.groups.length);
  const shade = shades(groups);
  const colour = (prototype: number): Rgb => {
    const group = groups.of_prototype[prototype];
    if (group === undefined) return theme.none;
    return groupColour(colours[group] ?? 0, shade[prototype] ?? 0, theme.dark);
  };
  const colourOfSample = new Map<number, number>();
  items.subarray(0, REMEMBERED).forEach((group, row) => colourOfSample.set(samples[row] ?? 0, colours[group] ?? 0));
  return {
    entries: Uint16Array.from(of, (prototype) => Math.min(prototype, NONE - 1)),
    palette: palette(groups.of_prototype.length, colour, theme.none),
    items,
    legend: groups.groups.map((group, id) => ({
      id,
      label: group.words.join(", ") || `group ${id + 1}`,
      count: group.samples,
      colour: css(groupColour(colours[id] ?? 0, 0, theme.dark)),
    })),
    ramp: null,
    colourOfSample,
  };
}

/** Prototypes of one group evenly from darker to lighter. */
function shades({ of_prototype, groups }: MapGroups): number[] {
  const seen = new Array<number>(groups.length).fill(0);
  const total = new Array<number>(groups.length).fill(0);
  for (const group of of_prototype) total[group] = (total[group] ?? 0) + 1;
  return of_prototype.map((group) => {
    const place = seen[group] ?? 0;
    seen[group] = place + 1;
    const count = total[group] ?? 1;
    return count > 1 ? (2 * place) / (count - 1) - 1 : 0;
  });
}

/** By the classes of a label column: the most frequent have hues, the others are grey together. */
export function byLabel(columns: Columns, name: string, theme: Theme): Colouring {
  const classes = columns.whole.get(name) ?? new Uint32Array(columns.rows).fill(NO_CLASS);
  const names = columns.columns.find((column) => column.name === name)?.classes ?? [];
  const counts = new Array<number>(names.length).fill(0);
  for (const value of classes) if (value < counts.length) counts[value] = (counts[value] ?? 0) + 1;
  const order = counts.map((_, i) => i).filter((i) => (counts[i] ?? 0) > 0);
  order.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  const shown = order.slice(0, MOST_ITEMS);
  const place = new Map(shown.map((value, at) => [value, at]));
  const items = Uint16Array.from(classes, (value) => place.get(value) ?? NO_ITEM);
  const legend = shown.map((value, id) => ({
    id,
    label: names[value] ?? String(value),
    count: counts[value] ?? 0,
    colour: css(groupColour(id, 0, theme.dark)),
  }));
  const others = order.slice(MOST_ITEMS);
  if (others.length > 0) {
    const count = others.reduce((sum, value) => sum + (counts[value] ?? 0), 0);
    legend.push({ id: NO_ITEM, label: `${grouped(others.length)} other classes`, count, colour: css(theme.none) });
  }
  return {
    entries: Uint16Array.from(items, (item) => (item === NO_ITEM ? NONE : item)),
    palette: palette(shown.length, (item) => groupColour(item, 0, theme.dark), theme.none),
    items,
    legend,
    ramp: null,
  };
}

/** By a number: from the second to the ninety-eighth percentile on a ramp. */
export function byNumber(values: ArrayLike<number>, meaning: string, theme: Theme): Colouring {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.floor(share * Math.max(0, sorted.length - 1))] ?? 0;
  const [low, high] = [at(0.02), at(0.98)];
  const span = high - low || 1;
  const share = (value: number) => Math.max(0, Math.min(1, (value - low) / span));
  const entries = new Uint16Array(values.length);
  for (let row = 0; row < values.length; row++) entries[row] = Math.round(255 * share(values[row] ?? 0));
  return {
    entries,
    palette: palette(256, (entry) => rampColour(entry / 255, theme.dark), theme.none),
    items: null,
    legend: [],
    ramp: {
      low: figure(low),
      high: figure(high),
      meaning,
      colours: [0, 0.25, 0.5, 0.75, 1].map((t) => css(rampColour(t, theme.dark))),
    },
  };
}

/** Number of samples of each row's prototype. */
export function sizes(columns: Columns, space: string): Float64Array {
  const of = columns.whole.get(space) ?? new Uint32Array(columns.rows);
  const counts = new Map<number, number>();
  for (const prototype of of) counts.set(prototype, (counts.get(prototype) ?? 0) + 1);
  return Float64Array.from(of, (prototype) => counts.get(prototype) ?? 0);
}

/** One colour for a whole space; two in a joint map. */
export function byModality(columns: Columns, theme: Theme): Colouring {
  const rows = columns.rows;
  const item = (id: number, label: string, colour: Rgb) => ({ id, label, count: rows, colour: css(colour) });
  return {
    entries: new Uint16Array(rows),
    palette: palette(2, (entry) => (entry === 0 ? theme.image : theme.text), theme.none),
    items: null,
    legend: [item(0, "image", theme.image), item(1, "text", theme.text)],
    ramp: null,
  };
}
