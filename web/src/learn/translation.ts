// Prototype back translation in two planes: the student's space is the teacher's, turned, shifted
// and blurred. Pure; what the figure says is computed from the points that it shows.
import { choicesOf } from "./choices.ts";
import { generator, means, type Vector } from "./grouping.ts";

export interface TranslationParameters {
  /** Degrees by which the student's space is turned. */
  rotation: number;
  /** Shift of the student's space, in radii of the circle. */
  gap: number;
  /** Standard deviation of what the student adds, in radii. */
  noise: number;
  temperature: number;
}

export interface Translation {
  teacher: Vector[];
  student: Vector[];
  /** The teacher's cluster of every sample. */
  assigned: number[];
  /** The teacher's centroids, as they are. */
  raw: Vector[];
  /** Means of the student's points by the teacher's assignment. */
  translated: Vector[];
  /** Share of samples whose own cluster has the highest score, and the mean cross-entropy. */
  without: Score;
  with: Score;
}

export interface Score {
  accuracy: number;
  loss: number;
}

export const CLUSTERS = 4;
const PER_CLUSTER = 9;
const SPREAD = 0.16;

export function translate(p: TranslationParameters, seed = 11): Translation {
  const draw = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
  const turn = (p.rotation * Math.PI) / 180;
  const teacher: Vector[] = [];
  const student: Vector[] = [];
  const assigned: number[] = [];
  for (let k = 0; k < CLUSTERS; k++) {
    // Uneven angles, so that no turn puts one cluster exactly upon another.
    const angle = (2 * Math.PI * (k + 0.13 * k * k)) / CLUSTERS / 1.3;
    for (let i = 0; i < PER_CLUSTER; i++) {
      const x = Math.cos(angle) + SPREAD * normal();
      const y = Math.sin(angle) + SPREAD * normal();
      const [dx, dy] = [p.noise * normal(), p.noise * normal()];
      teacher.push([x, y]);
      student.push([
        Math.cos(turn) * x - Math.sin(turn) * y + p.gap + dx,
        Math.sin(turn) * x + Math.cos(turn) * y + dy,
      ]);
      assigned.push(k);
    }
  }
  const present = (list: (Vector | null)[]) => list.filter((v): v is Vector => v !== null);
  const raw = present(means(teacher, assigned, CLUSTERS));
  const translated = present(means(student, assigned, CLUSTERS));
  return {
    teacher,
    student,
    assigned,
    raw,
    translated,
    without: score(student, assigned, raw, p.temperature),
    with: score(student, assigned, translated, p.temperature),
  };
}

/** Hard targets over the cosines' scores of L2-normalised student points, as in the method. */
function score(points: Vector[], assigned: number[], centres: Vector[], temperature: number): Score {
  let right = 0;
  let sum = 0;
  points.forEach((point, i) => {
    const size = Math.hypot(point[0], point[1]) || 1;
    const chances = choicesOf([point[0] / size, point[1] / size], centres, 1 / temperature);
    if (chances.indexOf(Math.max(...chances)) === assigned[i]) right += 1;
    sum -= Math.log(chances[assigned[i] ?? 0] ?? 1);
  });
  return { accuracy: right / points.length, loss: sum / points.length };
}
