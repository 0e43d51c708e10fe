// The uPlot options of a live chart: axes, lines, bands, cursor.
import type uPlot from "uplot";
import { duration, figure } from "../format.ts";
import type { ChartSpec } from "./chart_spec.ts";
import { faint, hue, token } from "./palette.ts";

/** uPlot series per curve, in this order after the x axis: low, high, raw, smoothed. */
export const PER_CURVE = 4;
export const SYNC_KEY = "protoclip-live";

const FONT = '11px "Inter", system-ui, sans-serif';
const none = () => null;
/** Distances between ticks of the step axis: there is no half step. */
const WHOLE_STEPS = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((e) => [1, 2, 5].map((m) => m * 10 ** e));

/** Distances between ticks of a time axis, in seconds. */
const EVEN_TIMES = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

export function plotOptions(spec: ChartSpec, smoothing: () => number): uPlot.Options {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const one of spec.series) {
    const base = series.length;
    const line = (width: number, colour: () => string): uPlot.Series => ({
      label: one.label,
      stroke: colour,
      width,
      ...(one.dash ? { dash: one.dash } : {}),
      spanGaps: true,
      points: { show: false },
    });
    const raw = () => (smoothing() > 0 ? faint(hue(one.hue), 30) : hue(one.hue));
    series.push({ ...line(0, raw), paths: none }, { ...line(0, raw), paths: none });
    series.push({ ...line(1.5, raw), points: { show: lonely, size: 5 } }, line(2, () => hue(one.hue)));
    bands.push({ series: [base + 1, base], fill: () => faint(hue(one.hue), 16) });
  }
  return {
    width: 300,
    height: 208,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC_KEY, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      y: false,
    },
    scales: { x: { time: false }, y: yScale(spec) },
    axes: [stepAxis(spec), { ...axis(), size: 52, values: (_, ticks) => ticks.map((t) => label(t)) }],
    series,
    bands,
  };
}

/** A few points (evaluations) are marked; a dense curve is a line only. */
function lonely(plot: uPlot, index: number): boolean {
  const values = plot.data[index] ?? [];
  let count = 0;
  for (const value of values) if (value !== null && value !== undefined && ++count > 40) return false;
  return true;
}

function axis(): uPlot.Axis {
  return {
    font: FONT,
    stroke: () => token("ink-faint"),
    grid: { stroke: () => token("grid"), width: 1 },
    ticks: { show: false },
    border: { show: true, stroke: () => token("grid"), width: 1 },
    size: 28,
  };
}

/** Steps and samples are whole numbers; times are written as durations. */
function stepAxis(spec: ChartSpec): uPlot.Axis {
  if (spec.axis !== "time") return { ...axis(), incrs: WHOLE_STEPS };
  return { ...axis(), incrs: EVEN_TIMES, space: 64, values: (_, ticks) => ticks.map(duration) };
}

function label(value: number | null): string {
  return value === null ? "" : figure(value);
}

function yScale(spec: ChartSpec): uPlot.Scale {
  const reference = spec.reference?.value;
  if (spec.log) return { distr: 3 };
  return {
    range: (_, low, high) => {
      if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, reference ? reference * 1.1 : 1];
      const top = Math.max(high, reference ?? high);
      const bottom = Math.min(low, reference ?? low);
      const room = (top - bottom || Math.abs(top) || 1) * 0.06;
      return [bottom >= 0 ? Math.max(0, bottom - room) : bottom - room, top + room];
    },
  };
}
