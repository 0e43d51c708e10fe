// The points of one curve as the browser holds them: buckets from the server, then live values.
import type { Series } from "../api.ts";

export class Curve {
  readonly steps: number[] = [];
  /** `null` where every value of a bucket was not a number. */
  readonly mean: (number | null)[] = [];
  readonly min: (number | null)[] = [];
  readonly max: (number | null)[] = [];
  /** Points that the server has stored, shown or not. */
  total = 0;

  constructor(readonly tag: string) {}

  /** Whether some bucket stands for several points. */
  get reduced(): boolean {
    return this.total > this.steps.length;
  }

  get last(): number {
    return this.steps.at(-1) ?? -1;
  }

  /** Forgets everything, live values too. */
  clear(): void {
    for (const column of [this.steps, this.mean, this.min, this.max]) column.length = 0;
    this.total = 0;
  }

  /** Takes the server's version, and keeps live values that are newer than it. */
  replace(series: Series): void {
    const after = series.points.at(-1)?.[0] ?? -1;
    const newer: [number, number][] = [];
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const step = this.steps[i];
      const value = this.mean[i];
      if (step === undefined || step <= after) break;
      if (typeof value === "number") newer.push([step, value]);
    }
    for (const column of [this.steps, this.mean, this.min, this.max]) column.length = 0;
    for (const [step, min, max, mean] of series.points) {
      this.steps.push(step);
      this.min.push(min);
      this.max.push(max);
      this.mean.push(mean);
    }
    this.total = series.total;
    for (const [step, value] of newer.reverse()) this.append(step, value);
  }

  /** Forgets what came after a step: the run went back to it and takes the later steps again. */
  rewind(step: number): void {
    while (this.last > step) {
      for (const column of [this.steps, this.mean, this.min, this.max]) column.pop();
      this.total -= 1;
    }
  }

  /** Adds a live value; a step that is already there (a repeated message) changes nothing. */
  append(step: number, value: number): boolean {
    if (step <= this.last) return false;
    this.steps.push(step);
    this.mean.push(value);
    this.min.push(value);
    this.max.push(value);
    this.total += 1;
    return true;
  }
}

/**
 * Exponential moving average without the pull of its start:
 * m_t = w·m_{t−1} + (1 − w)·x_t, shown as m_t / (1 − w^t). Weight 0 returns the values.
 */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let moving = 0;
  let power = 1;
  return values.map((value) => {
    if (value === null) return null;
    moving = weight * moving + (1 - weight) * value;
    power *= weight;
    return moving / (1 - power);
  });
}

export interface Aligned {
  x: number[];
  /** One row per curve, `null` where it has no point. */
  rows: { mean: (number | null)[]; min: (number | null)[]; max: (number | null)[]; smooth: (number | null)[] }[];
}

/** Puts curves with different steps on one axis. */
export function align(curves: readonly Curve[], weight: number): Aligned {
  const steps = new Set<number>();
  for (const curve of curves) for (const step of curve.steps) steps.add(step);
  const x = [...steps].sort((a, b) => a - b);
  const at = new Map(x.map((step, index) => [step, index]));
  const rows = curves.map((curve) => {
    const place = (values: readonly (number | null)[]): (number | null)[] => {
      const row = new Array<number | null>(x.length).fill(null);
      curve.steps.forEach((step, i) => (row[at.get(step) ?? 0] = values[i] ?? null));
      return row;
    };
    return {
      mean: place(curve.mean),
      min: place(curve.min),
      max: place(curve.max),
      smooth: weight > 0 ? place(smooth(curve.mean, weight)) : [],
    };
  });
  return { x, rows };
}

/** Index of the last value that is not null at or before `index`. */
export function lastAt(row: readonly (number | null)[], index: number): number | null {
  for (let i = Math.min(index, row.length - 1); i >= 0; i--) {
    const value = row[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}
