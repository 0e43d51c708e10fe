"""CLIP, ProtoCLIP and ProtoCLIP with an external teacher beside what the reference reached.

Trains the three on 11,943 pairs of clip art (WebDataset shards) at the reference run's setting, over
several seeds, and writes a Markdown table of their means beside the reference's figures. The teacher is
a Hugging Face directory of a sentence encoder such as all-MiniLM-L6-v2, reduced to 64 components.

    cargo build --release
    python3 benches/beside_reference_runs.py target/release/protoclip-studio \
        'shards/clipart-{00000..00003}.tar' --teacher all-MiniLM-L6-v2 runs-of-comparison

Retrieval and gap are those of the held-out pairs (sha1 of the key, one in ten); AMI is that of k-means
on the image features of all pairs. A run whose report lies in the folder is not trained again.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

# Measured once with the reference implementation, one seed.
REFERENCE = {
    "clip": (29.54, 13.49, 30.10, 33.04, 0.324),
    "protoclip": (29.79, 13.32, 30.41, 33.61, 0.304),
    "protoclip-teacher": (31.18, 14.25, 30.76, 34.17, 0.297),
}
TITLES = {"clip": "CLIP", "protoclip": "ProtoCLIP", "protoclip-teacher": "ProtoCLIP + encoder, PCA 64"}
COLUMNS = ("mean recall, %", "R@1 image → text, %", "AMI × 100, category", "AMI × 100, subcategory", "gap")
LABELS = ("category", "subcategory")


def config(preset, seed, options, features):
    teacher = f'\n[teacher]\nkind = "npy"\npath = "{features}"\n' if preset == "protoclip-teacher" else ""
    return f"""preset = "{preset}"
name = "{preset}, seed {seed}"
model = "vit-nano-32"
seed = {seed}
episodes = {options.episodes}
batch_size = 128
augmentation = "crop-gray"

[data]
source = "webdataset"
path = "{options.shards}"
label_columns = ["category", "subcategory"]
holdout = "sha1:10"

[prototypes]
count = 1000
iterations = 20
target_temperature = 0.01

[schedule]
warmup_steps = 100
infonce_episodes = 1
{teacher}
[evaluation]
every_episodes = 0

[checkpoints]
every_episodes = {options.episodes}
keep_last = 1
"""


def quietly(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def teacher_features(options):
    features = (options.folder / "teacher.npy").resolve()
    if not features.exists():
        quietly(options.program, "teacher", "--model", options.teacher, "--data", options.shards, "--out", features)
    return features


def report(options, preset, seed, features):
    """The evaluation of one run, trained unless the folder holds it."""
    folder = options.folder / f"{preset}-{seed}"
    file = folder / "report.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "run.toml"
        settings.write_text(config(preset, seed, options, features))
        began = time.monotonic()
        quietly(options.program, "train", settings, "--data-dir", folder)
        print(f"{preset}, seed {seed}: trained in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        (run,) = (folder / "runs").iterdir()
        quietly(options.program, "evaluate", run.name, "--data-dir", folder, "--json", file)
    return json.loads(file.read_text())


def figures(found):
    """The values of a report in the order of the columns."""
    value = lambda part: part["value"]
    grouping = {column["column"]: value(column["grouping"])["ami"] for column in found["columns"]}
    retrieval = value(found["retrieval"])
    return (
        retrieval["mean_recall"],
        retrieval["scores"]["image_to_text"]["at_1"],
        *(grouping[label] for label in LABELS),
        value(found["spaces"])["modality_gap"],
    )


def cell(values, digits):
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("shards")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    features = teacher_features(options)
    runs = {preset: [] for preset in REFERENCE}
    for seed in range(1, options.seeds + 1):
        for preset in REFERENCE:
            runs[preset].append(figures(report(options, preset, seed, features)))
    print(f"{options.episodes} episodes, {options.seeds} seeds, {platform.machine()} with {os.cpu_count()} threads.\n")
    print("| | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
    for preset, reference in REFERENCE.items():
        ours = zip(*runs[preset], strict=True)
        digits = (2, 2, 2, 2, 3)
        print(f"| {TITLES[preset]}, ours | " + " | ".join(cell(v, d) for v, d in zip(ours, digits)) + " |")
        print("| the reference, one seed | " + " | ".join(f"{v:.{d}f}" for v, d in zip(reference, digits)) + " |")


if __name__ == "__main__":
    main()
