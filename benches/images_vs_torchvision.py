"""The image pipeline beside torchvision on Pillow: JPEG files to normalised training batches.

Both decode, crop at random, resize (bicubic, antialiased), flip, change colours, blur and normalise
with the same settings, on one thread; ours prepares the captions, too. What is compared is processor
time, which other processes disturb least; rounds alternate, the table shows medians and ranges.

The pictures are made here from a seed: overlapping leaves of all sizes with textures, whose statistics
and file sizes (about 25 KB) are those of photographs, 256 pixels a side, quality 85 to 90.
--pictures takes pictures of a folder instead, brought to the same size and quality.

    pip install torch torchvision
    cargo build --release
    python3 benches/images_vs_torchvision.py target/release/protoclip-studio
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image, ImageDraw
from torchvision import transforms

SIDE = 256
BATCH = 64
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def noise(random, side, power):
    """A field whose amplitudes fall with frequency to the given power; mean 0, deviation 1."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(random.standard_normal((side, side))) / frequency**power
    field = np.fft.irfft2(spectrum, s=(side, side))
    return (field - field.mean()) / field.std()


def leaves(random):
    """A picture of overlapping ellipses whose radii follow r^-3, as objects in photographs do."""
    picture = Image.new("RGB", (2 * SIDE, 2 * SIDE), tuple(random.integers(40, 216, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    angles = np.linspace(0, 2 * np.pi, 48)
    for _ in range(int(random.integers(150, 400))):
        radius = min(12 / np.sqrt(random.uniform(1e-3, 1)), SIDE / 1.5)
        along, across = radius * np.cos(angles), radius * random.uniform(0.4, 1) * np.sin(angles)
        turn, (x, y) = random.uniform(0, np.pi), random.uniform(0, 2 * SIDE, 2)
        xs = x + along * np.cos(turn) - across * np.sin(turn)
        ys = y + along * np.sin(turn) + across * np.cos(turn)
        colour = tuple(random.integers(20, 236, 3).tolist())
        draw.polygon(list(zip(xs.tolist(), ys.tolist())), fill=colour)
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.LANCZOS), np.float64)
    texture = random.uniform(3, 13) * noise(random, SIDE, 1.0)[..., None]
    grain = 2 * np.stack([noise(random, SIDE, 0.6) for _ in range(3)], -1)
    return Image.fromarray(np.clip(pixels + texture + grain, 0, 255).astype(np.uint8))


def brought_to_size(path):
    """A picture on white, its shorter side enlarged or reduced to the common one."""
    picture = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    scale = SIDE / min(picture.size)
    size = [max(SIDE, round(length * scale)) for length in picture.size]
    return white.convert("RGB").resize(size, Image.BICUBIC)


def write_pictures(folder, count, source, seed):
    """JPEG files in a folder of one class; their number and mean size in bytes."""
    given = []
    if source:
        given = sorted(p for p in Path(source).rglob("*") if p.suffix.lower() in ENDINGS)[:count]
    folder = folder / "pictures"
    folder.mkdir()
    for index in range(len(given) or count):
        random = np.random.default_rng([seed, index])
        picture = brought_to_size(given[index]) if given else leaves(random)
        picture.save(folder / f"{index:05}.jpg", quality=int(random.integers(85, 91)))
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return len(sizes), statistics.mean(sizes)


def pipeline(size):
    """The augmentations of `protoclip-light`; the blur scales with the size as ours does."""
    taps = 2 * max(1, round((21 * size / 224 - 1) / 2)) + 1
    sigmas = (0.1 * size / 224, max(0.5, 2 * size / 224))
    bicubic = transforms.InterpolationMode.BICUBIC
    jitter = transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.5, 1), interpolation=bicubic),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([jitter], 0.2),
            transforms.RandomGrayscale(0.2),
            transforms.RandomApply([transforms.GaussianBlur(taps, sigmas)], 0.2),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def theirs(folder, size, seed):
    """Milliseconds of processor time per picture, and the mean value of the last batch."""
    change = pipeline(size)
    paths = sorted(folder.rglob("*.jpg"))
    whole = len(paths) // BATCH * BATCH
    torch.manual_seed(seed)
    started = time.process_time()
    for start in range(0, whole, BATCH):
        rows = [change(Image.open(p).convert("RGB")) for p in paths[start : start + BATCH]]
        batch = torch.stack(rows)
    spent = time.process_time() - started
    return 1e3 * spent / whole, batch.mean().item()


def ours(program, folder, size, seed, *more):
    """The same of `bench images`."""
    command = [program, "bench", "images", "--data", folder, "--threads", 1, "--batch", BATCH]
    command += ["--image-size", size, "--seed", seed, *more]
    run = subprocess.run([str(part) for part in command], check=True, capture_output=True)
    line = json.loads(run.stdout)
    return 1e3 * line["cpu_seconds"] / line["images"], line["mean"]


def shown(figures):
    return f"{statistics.median(figures):.3f} ({min(figures):.3f}–{max(figures):.3f})"


def compare(program, folder, size, rounds):
    """One row of the table."""
    theirs(folder, size, 0)
    once, kept, peer, means = [], [], [], []
    for seed in range(rounds):
        once.append(ours(program, folder, size, seed))
        peer.append(theirs(folder, size, seed))
        kept.append(ours(program, folder, size, seed, "--passes", 8, "--cache", 2048))
        means.append((once[-1][1], peer[-1][1]))
    once, kept, peer = ([each[0] for each in figures] for figures in (once, kept, peer))
    ratio = statistics.median(peer) / statistics.median(once)
    of_us, of_them = (statistics.mean(side) for side in zip(*means))
    return (
        f"| {size} | {shown(once)} | {shown(peer)} | {ratio:.2f}× "
        f"| {shown(kept)} | {of_us:.3f} / {of_them:.3f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the release build of protoclip-studio")
    parser.add_argument("--pictures", help="take the pictures of this folder")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", default="32,64,224")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        count, size = write_pictures(folder, chosen.count, chosen.pictures, chosen.seed)
        versions = f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
        print(f"{count} JPEG files of {SIDE} px, {size / 1e3:.1f} KB on average; {versions};")
        print(f"ms of processor time per picture, median (min–max) of {chosen.rounds} rounds\n")
        print("| target px | ours | theirs | ratio | ours, 8 passes, kept | mean value |")
        print("|---|---|---|---|---|---|")
        for target in map(int, chosen.sizes.split(",")):
            print(compare(chosen.program, folder, target, chosen.rounds), flush=True)


if __name__ == "__main__":
    main()
