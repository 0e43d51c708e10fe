"""Training in bfloat16 beside training in f32: same data, same order, several seeds.

Trains the built-in data with `precision = "f32"` and `"bf16"` and prints how far the loss curves are
apart, beside how far two seeds in f32 are apart: the noise that a change of precision must stay in.

    cargo build --release
    python3 benches/compare_precisions.py target/release/protoclip-studio runs-of-precisions
"""

import argparse
import itertools
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path

PRECISIONS = ("f32", "bf16")
CURVE = "train/loss_clip"
FIGURES = {
    "eval/ami": "AMI × 100",
    "eval/recall_mean": "mean recall, %",
    "eval/modality_gap": "modality gap",
}
PARTS = 4

SETTINGS = """preset = "protoclip-teacher"
name = "{precision}, seed {seed}"
seed = {seed}
episodes = {episodes}
precision = "{precision}"

[data]
holdout = "sha1:5"

[evaluation]
on = "holdout"

[checkpoints]
every_episodes = {episodes}
keep_last = 1
"""


def train(program, folder, precision, seed, episodes):
    """Points by tag of a run, trained unless the folder already holds it."""
    data_dir = folder / f"{precision}-{seed}"
    if not list(data_dir.glob("runs/*/run.db")):
        data_dir.mkdir(parents=True, exist_ok=True)
        settings = data_dir / "run.toml"
        settings.write_text(SETTINGS.format(precision=precision, seed=seed, episodes=episodes))
        print(f"training {precision}, seed {seed}", file=sys.stderr, flush=True)
        command = [program, "train", str(settings), "--data-dir", str(data_dir)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    database = next(data_dir.glob("runs/*/run.db"))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        query = "SELECT value FROM points WHERE tag = ? ORDER BY step"
        read = lambda tag: [value for (value,) in connection.execute(query, (tag,))]
        return {tag: read(tag) for tag in (CURVE, *FIGURES)}


def parts(curve):
    """Means of consecutive quarters."""
    length = len(curve) // PARTS
    return [statistics.mean(curve[i * length : (i + 1) * length]) for i in range(PARTS)]


def distances(pairs):
    """Mean distance of two curves, quarter by quarter, over the pairs."""
    each = [[abs(a - b) for a, b in zip(parts(x), parts(y), strict=True)] for x, y in pairs]
    return [statistics.mean(values) for values in zip(*each, strict=True)]


def line(name, values, digits):
    return f"| {name} | " + " | ".join(f"{value:.{digits}f}" for value in values) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    runs = {
        (precision, seed): train(options.program, options.folder, precision, seed, options.episodes)
        for seed in seeds
        for precision in PRECISIONS
    }
    curve = lambda precision, seed: runs[precision, seed][CURVE]
    print(f"InfoNCE by quarter of {len(curve('f32', 1))} steps, {options.seeds} seeds:\n")
    print("| | first | second | third | last |\n|---|---|---|---|---|")
    for precision in PRECISIONS:
        means = zip(*(parts(curve(precision, seed)) for seed in seeds), strict=True)
        print(line(precision, [statistics.mean(values) for values in means], 4))
    print(line("between f32 and bf16, same seed", distances([(curve("f32", s), curve("bf16", s)) for s in seeds]), 4))
    others = itertools.combinations(seeds, 2)
    print(line("between two seeds, f32", distances([(curve("f32", a), curve("f32", b)) for a, b in others]), 4))
    print("\nHeld-out figures after the last episode, mean ± standard deviation over the seeds:\n")
    print("| | " + " | ".join(FIGURES.values()) + " |\n|---" * 1 + "|---" * len(FIGURES) + "|")
    for precision in PRECISIONS:
        cells = []
        for tag in FIGURES:
            last = [runs[precision, seed][tag][-1] for seed in seeds]
            cells.append(f"{statistics.mean(last):.2f} ± {statistics.stdev(last):.2f}")
        print(f"| {precision} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
