// Representation grouping on a circle: pictures and captions with one angle each, moved by the
// gradient of the method's own losses. Pure, so that tests can compare it with finite differences.

export interface GroupingParameters {
  /** Weight of InfoNCE. */
  clip: number;
  /** Weight of the prototype loss. */
  proto: number;
  /** 1 over the scale of the cosines, for all terms. */
  temperature: number;
  /** Radians by which captions start beside pictures. */
  gap: number;
  /** Clusters of each space. */
  prototypes: number;
  /** Radians per unit of gradient. */
  rate: number;
  /** Whether clusters are carried into the student's space. */
  pbt: boolean;
}

export interface GroupingState {
  step: number;
  /** Angles of pictures and captions, pair by pair. */
  images: number[];
  texts: number[];
  /** True category of each pair; no loss sees it. */
  categories: number[];
  /** Cluster of each picture and each caption in its own space. */
  imageClusters: number[];
  textClusters: number[];
}

/** Sums over samples as the losses need them: fixed targets while a step is taken. */
export interface Supervision {
  /** Where scores of pictures are taken against, [k][2]. */
  forImages: (Vector | null)[];
  forTexts: (Vector | null)[];
  /** Target cluster of each picture and caption: its partner's. */
  imageTargets: number[];
  textTargets: number[];
}

export type Vector = readonly [number, number];

export const CATEGORIES = 3;
const PER_CATEGORY = 5;
/** Steps between two clusterings, the figure's episode. */
export const EPISODE = 25;
const ROUNDS = 20;

/** A generator of uniform numbers (mulberry32): the same seed, the same figure. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Pictures anywhere, captions of one category near each other, the gap between the two. */
export function start(parameters: GroupingParameters, seed = 1): GroupingState {
  const draw = generator(seed);
  const images: number[] = [];
  const texts: number[] = [];
  const categories: number[] = [];
  for (let category = 0; category < CATEGORIES; category++) {
    const centre = (2 * Math.PI * category) / CATEGORIES;
    for (let i = 0; i < PER_CATEGORY; i++) {
      categories.push(category);
      images.push(2 * Math.PI * draw());
      texts.push(centre + parameters.gap + 0.9 * (draw() - 0.5));
    }
  }
  const state = { step: 0, images, texts, categories, imageClusters: [], textClusters: [] };
  return cluster(state, parameters.prototypes);
}

const unit = (angle: number): Vector => [Math.cos(angle), Math.sin(angle)];
const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1];

/** Clusters both spaces anew by k-means on the unit vectors. */
export function cluster(state: GroupingState, k: number): GroupingState {
  return {
    ...state,
    imageClusters: kmeans(state.images, k),
    textClusters: kmeans(state.texts, k),
  };
}

function kmeans(angles: number[], k: number): number[] {
  const points = angles.map(unit);
  const centres = farthest(points, Math.min(k, points.length));
  let assigned: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    assigned = points.map((point) => nearest(point, centres));
    centres.forEach((_, c) => {
      const mean = meanOf(points.filter((_, i) => assigned[i] === c));
      if (mean) centres[c] = mean;
    });
  }
  return assigned;
}

/** The first point, then each time the one farthest from those chosen. */
function farthest(points: Vector[], k: number): Vector[] {
  const chosen: Vector[] = points.slice(0, 1);
  while (chosen.length < k) {
    const distances = points.map((p) => Math.min(...chosen.map((c) => distance(p, c))));
    const at = distances.indexOf(Math.max(...distances));
    const next = points[at];
    if (!next) break;
    chosen.push(next);
  }
  return chosen;
}

const distance = (a: Vector, b: Vector): number => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;

function nearest(point: Vector, centres: Vector[]): number {
  const distances = centres.map((centre) => distance(point, centre));
  return distances.indexOf(Math.min(...distances));
}

export function meanOf(points: Vector[]): Vector | null {
  if (points.length === 0) return null;
  const sum = points.reduce<Vector>((s, p) => [s[0] + p[0], s[1] + p[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** Means of points by an assignment; none where a cluster has no point. */
export function means(points: Vector[], assigned: number[], k: number): (Vector | null)[] {
  return Array.from({ length: k }, (_, c) => meanOf(points.filter((_, i) => assigned[i] === c)));
}

/** What teaches both towers in this state. Captions teach pictures and the other way round. */
export function supervision(state: GroupingState, { prototypes, pbt }: GroupingParameters): Supervision {
  const images = state.images.map(unit);
  const texts = state.texts.map(unit);
  return {
    forImages: means(pbt ? images : texts, state.textClusters, prototypes),
    forTexts: means(pbt ? texts : images, state.imageClusters, prototypes),
    imageTargets: state.textClusters,
    textTargets: state.imageClusters,
  };
}

function softmax(scores: number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The loss of these angles under fixed supervision. */
export function loss(images: number[], texts: number[], by: Supervision, p: GroupingParameters): number {
  const scale = 1 / p.temperature;
  const rows = images.map((i) => softmax(texts.map((t) => scale * Math.cos(i - t))));
  const columns = texts.map((t) => softmax(images.map((i) => scale * Math.cos(i - t))));
  const n = images.length;
  const own = (lists: number[][]) => lists.reduce((sum, list, i) => sum - Math.log(list[i] ?? 1), 0) / n;
  const clip = (own(rows) + own(columns)) / 2;
  const side = (angles: number[], centres: (Vector | null)[], targets: number[]) =>
    angles.reduce((sum, angle, i) => {
      const chances = choices(angle, centres, scale);
      return sum - Math.log(chances[targets[i] ?? 0] ?? 1);
    }, 0) / n;
  const proto =
    (side(images, by.forImages, by.imageTargets) + side(texts, by.forTexts, by.textTargets)) / 2;
  return p.clip * clip + p.proto * proto;
}

/** Probability of each cluster for a point; 0 for clusters without a centre, which are masked. */
export function choices(angle: number, centres: (Vector | null)[], scale: number): number[] {
  const point = unit(angle);
  return softmax(centres.map((centre) => (centre ? scale * dot(point, centre) : -Infinity)));
}

/** The gradient of `loss` in every angle. */
export function gradient(
  images: number[],
  texts: number[],
  by: Supervision,
  p: GroupingParameters,
): { images: number[]; texts: number[] } {
  const scale = 1 / p.temperature;
  const n = images.length;
  const toImages = images.map(() => 0);
  const toTexts = texts.map(() => 0);
  const rows = images.map((i) => softmax(texts.map((t) => scale * Math.cos(i - t))));
  const columns = texts.map((t) => softmax(images.map((i) => scale * Math.cos(i - t))));
  images.forEach((image, i) => {
    texts.forEach((text, j) => {
      const target = i === j ? 1 : 0;
      const pull = ((rows[i]?.[j] ?? 0) - target + ((columns[j]?.[i] ?? 0) - target)) / 2;
      const slope = (p.clip * scale * pull * Math.sin(image - text)) / n;
      toImages[i] = (toImages[i] ?? 0) - slope;
      toTexts[j] = (toTexts[j] ?? 0) + slope;
    });
  });
  const side = (angles: number[], centres: (Vector | null)[], targets: number[], into: number[]) =>
    angles.forEach((angle, i) => {
      const chances = choices(angle, centres, scale);
      centres.forEach((centre, k) => {
        if (!centre) return;
        const pull = (chances[k] ?? 0) - (k === targets[i] ? 1 : 0);
        const slope = -Math.sin(angle) * centre[0] + Math.cos(angle) * centre[1];
        into[i] = (into[i] ?? 0) + (p.proto * scale * pull * slope) / (2 * n);
      });
    });
  side(images, by.forImages, by.imageTargets, toImages);
  side(texts, by.forTexts, by.textTargets, toTexts);
  return { images: toImages, texts: toTexts };
}

/** One step down the gradient; clusters anew at the end of an episode. */
export function advance(state: GroupingState, parameters: GroupingParameters): GroupingState {
  const by = supervision(state, parameters);
  const slope = gradient(state.images, state.texts, by, parameters);
  const moved = (angles: number[], by: number[]) =>
    angles.map((angle, i) => angle - parameters.rate * angles.length * (by[i] ?? 0));
  const next = {
    ...state,
    step: state.step + 1,
    images: moved(state.images, slope.images),
    texts: moved(state.texts, slope.texts),
  };
  return next.step % EPISODE === 0 ? cluster(next, parameters.prototypes) : next;
}

/** What the state shows: share of points nearest to their own target, gap of the means, tightness. */
export function facts(state: GroupingState, parameters: GroupingParameters) {
  const by = supervision(state, parameters);
  const scale = 1 / parameters.temperature;
  const right = state.images.filter((angle, i) => {
    const chances = choices(angle, by.forImages, scale);
    return chances.indexOf(Math.max(...chances)) === by.imageTargets[i];
  });
  const images = state.images.map(unit);
  const mean = meanOf(images) ?? [0, 0];
  const other = meanOf(state.texts.map(unit)) ?? [0, 0];
  const spread = means(images, state.categories, CATEGORIES).map((m) => (m ? Math.hypot(m[0], m[1]) : 0));
  const partner = state.images.filter((image, i) => {
    const cosines = state.texts.map((text) => Math.cos(image - text));
    return cosines.indexOf(Math.max(...cosines)) === i;
  });
  return {
    loss: loss(state.images, state.texts, by, parameters),
    accuracy: right.length / state.images.length,
    recall: partner.length / state.images.length,
    gap: Math.hypot(mean[0] - other[0], mean[1] - other[1]),
    tightness: spread.reduce((a, b) => a + b, 0) / CATEGORIES,
  };
}
