"""The four presets side by side: same data, same held-out pairs, same samples, several seeds.

Trains `clip`, `protoclip-no-pbt`, `protoclip` and `protoclip-teacher` on the built-in data, a fifth of
the pairs held out by hash, and writes a Markdown table of the held-out figures: after the same number
of samples, and after the same number of seconds (those that the quickest run needed in all; a
figure between two measurements is interpolated). Seconds are those of extraction, clustering and
training; plain CLIP needs no prototypes, so only its training counts.

    cargo build --release
    python3 benches/compare_presets.py target/release/protoclip-studio runs-of-comparison \
        --episodes 30 --seeds 3 > docs/presets.md
"""

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path

PRESETS = ("clip", "protoclip-no-pbt", "protoclip", "protoclip-teacher")
FIGURES = {
    "eval/ari": "ARI × 100",
    "eval/ami": "AMI × 100",
    "eval/recall_mean": "mean recall, %",
    "eval/recall_image_to_text_1": "R@1 image → text, %",
    "eval/modality_gap": "modality gap",
}
PREPARING = ("episode/seconds_extract", "episode/seconds_cluster", "episode/seconds_translate")
TRAINING = "episode/seconds_train"


def config(preset, seed, episodes):
    return f"""preset = "{preset}"
name = "{preset}, seed {seed}"
seed = {seed}
episodes = {episodes}

[data]
holdout = "sha1:5"

[evaluation]
on = "holdout"

[checkpoints]
every_episodes = {episodes}
keep_last = 1
"""


def train(program, folder, preset, seed, episodes):
    """The database of a run, trained unless the folder already holds it."""
    data_dir = folder / f"{preset}-{seed}"
    found = list(data_dir.glob("runs/*/run.db"))
    if not found:
        data_dir.mkdir(parents=True, exist_ok=True)
        settings = data_dir / "run.toml"
        settings.write_text(config(preset, seed, episodes))
        print(f"training {preset}, seed {seed}", file=sys.stderr, flush=True)
        command = [program, "train", str(settings), "--data-dir", str(data_dir)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = list(data_dir.glob("runs/*/run.db"))
    return found[0]


class Run:
    """The curves of one run, with the seconds spent before each step."""

    def __init__(self, database, preset):
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            query = "SELECT step, value FROM points WHERE tag = ? ORDER BY step"
            read = lambda tag: list(connection.execute(query, (tag,)))
            self.figures = {tag: read(tag) for tag in FIGURES}
            # Reported before the steps that they prepare, training after its last step.
            spent = [(step, seconds) for step, seconds in read(TRAINING)]
            if preset != "clip":
                spent += [(step + 0.5, seconds) for tag in PREPARING for step, seconds in read(tag)]
        # What prepares the prototypes after the last step is for looking at them, not for training.
        last = max(step for step, _ in spent if step == int(step))
        self.spent = sorted((step, seconds) for step, seconds in spent if step <= last)
        self.total = self.seconds_at(last)

    def seconds_at(self, step):
        return sum(seconds for end, seconds in self.spent if end <= step)

    def last(self, tag):
        return self.figures[tag][-1][1]

    def after(self, tag, seconds):
        before = (0.0, self.figures[tag][0][1])
        for step, value in self.figures[tag]:
            at = self.seconds_at(step)
            if at > seconds:
                share = (seconds - before[0]) / (at - before[0])
                return before[1] + share * (value - before[1])
            before = (at, value)
        return before[1]


def cell(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def table(runs, value):
    print("| preset | " + " | ".join(FIGURES.values()) + " |")
    print("|---|" + "---|" * len(FIGURES))
    for preset in PRESETS:
        cells = [cell([value(run, tag) for run in runs[preset]]) for tag in FIGURES]
        print(f"| `{preset}` | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    runs = {preset: [] for preset in PRESETS}
    for seed in range(1, options.seeds + 1):
        for preset in PRESETS:
            database = train(options.program, options.folder, preset, seed, options.episodes)
            runs[preset].append(Run(database, preset))
    shortest = min(run.total for group in runs.values() for run in group)
    print("# The presets side by side\n")
    print(
        f"Written by `benches/compare_presets.py`: {options.episodes} episodes, {options.seeds} seeds, "
        f"{platform.machine()} with {os.cpu_count()} threads. Mean ± standard deviation over the seeds of "
        "the figures on the held-out fifth of the built-in data. All presets of a seed train on the same "
        "samples in the same order.\n"
    )
    print("## After the same number of samples\n")
    table(runs, Run.last)
    print(f"\n## After the same {shortest:.0f} seconds\n")
    table(runs, lambda run, tag: run.after(tag, shortest))
    print("\n## Seconds of a whole run\n")
    print("| preset | seconds | times `clip` |\n|---|---|---|")
    clip = statistics.mean(run.total for run in runs["clip"])
    for preset in PRESETS:
        totals = [run.total for run in runs[preset]]
        print(f"| `{preset}` | {cell(totals)} | {statistics.mean(totals) / clip:.2f} |")


main()
