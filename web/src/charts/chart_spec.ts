// What the server says about a chart, in its `data-chart` attribute.

export interface SeriesSpec {
  tag: string;
  label: string;
  /** One of the hues of tokens.css: image, text, teacher, clip, proto, total. */
  hue: string;
  /** Lengths of line and gap; a whole line when absent. */
  dash?: number[];
}

export interface ChartSpec {
  key: string;
  title: string;
  unit: string;
  /** A horizontal line with a meaning, such as ln(batch) for InfoNCE. */
  reference: { value: number; label: string } | null;
  log: boolean;
  /** What the curves run over; steps when absent. */
  axis?: "step" | "samples" | "time";
  series: SeriesSpec[];
}

/** A steering change at a step. */
export interface Marker {
  step: number;
  label: string;
}
