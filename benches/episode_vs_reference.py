"""A whole ProtoCLIP episode beside a PyTorch implementation: extract, cluster, translate, train.

The other side does what the reference implementation does with the libraries that it uses: OpenCLIP's
towers, AdamW, torchvision's transforms on Pillow, faiss's k-means. Model, losses, batch, number of
prototypes, iterations, restarts and optimizer settings are the same; both extract with the evaluation
transform and start from random weights, so the losses are close, not equal. Both processes are held
to the same cores; run it on an idle machine, since PyTorch's threads wait for each other by spinning.
Reading the settings, building the model and the first import are not counted.

Pictures are made as for images_vs_torchvision.py; captions are drawn from a list of words by seed.

    pip install torch torchvision open_clip_torch faiss-cpu
    cargo build --release
    python3 benches/episode_vs_reference.py target/release/protoclip-studio --threads 1
"""

import os
import sys

THREADS = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
os.environ["OMP_NUM_THREADS"] = THREADS

import argparse
import json
import math
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from images_vs_torchvision import MEAN, STD, pipeline, write_pictures
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from PIL import Image
from torch import nn
from torchvision import transforms

WORDS = """red green small large old wooden quiet bright round happy broken empty house dog river bridge
bird train garden window child boat street mountain cup table horse cloud tower market flower apple
standing running near under beside behind with without two three many holding watching""".split()
LARGEST_SCALE = math.log(100)
KMEANS = {"niter": 20, "nredo": 3, "min_points_per_centroid": 1}
OPTIMIZER = {"lr": 5e-4, "betas": (0.9, 0.98), "eps": 1e-6}
WARMUP, DECAY, CLIP_NORM, TEMPERATURE = 60, 0.5, 10.0, 0.01


def write_data(folder, count, seed):
    """Pictures and pairs.csv; paths and captions."""
    write_pictures(folder, count, None, seed)
    random = np.random.default_rng(seed)
    paths = sorted((folder / "pictures").iterdir())
    captions = [" ".join(random.choice(WORDS, int(random.integers(4, 12)))) for _ in paths]
    lines = [f"{path.relative_to(folder)},{text}" for path, text in zip(paths, captions)]
    (folder / "pairs.csv").write_text("\n".join(["filepath,title", *lines]) + "\n")
    return list(zip(paths, captions))


class Pairs(torch.utils.data.Dataset):
    """Pairs as the reference's data set reads them: decoded and tokenized on access."""

    def __init__(self, pairs, transform, context):
        self.pairs, self.transform, self.context = pairs, transform, context

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        path, caption = self.pairs[index]
        image = self.transform(Image.open(path).convert("RGB"))
        return index, image, open_clip.tokenize([caption], context_length=self.context)[0]


class Model(nn.Module):
    """OpenCLIP's towers, two projection heads and the second scale."""

    def __init__(self, config):
        super().__init__()
        width, head = config["embed_dim"], config["projection_head"]
        towers = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
        self.clip = CLIP(width, *towers)
        self.image_head, self.text_head = (
            nn.Sequential(
                nn.Linear(width, head["hidden"]),
                nn.BatchNorm1d(head["hidden"]),
                nn.ReLU(),
                nn.Linear(head["hidden"], head["output"]),
            )
            for _ in range(2)
        )
        self.scale_proto = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, images, tokens):
        image, text = self.clip.encode_image(images), self.clip.encode_text(tokens)
        projected = self.image_head(image), self.text_head(text)
        return [F.normalize(features, dim=-1) for features in (image, text, *projected)]

    def optimizer(self):
        names = ("bn", "ln", "bias", "logit_scale", "scale_proto", "head")
        plain, decayed = [], []
        for name, parameter in self.named_parameters():
            free = parameter.ndim < 2 or any(part in name for part in names)
            (plain if free else decayed).append(parameter)
        groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": DECAY}]
        return torch.optim.AdamW(groups, **OPTIMIZER)


def cluster(features, k, seed):
    """Centroids and assignments, as faiss finds them."""
    kmeans = faiss.Kmeans(features.shape[1], k, seed=seed, **KMEANS)
    kmeans.train(features)
    _, assigned = kmeans.index.search(features, 1)
    return torch.from_numpy(kmeans.centroids), torch.from_numpy(assigned[:, 0])


def translate(features, assigned, k):
    """Means of one space by the assignments of the other; zero where a prototype is empty."""
    sums = torch.zeros(k, features.shape[1]).index_add_(0, assigned, features)
    return sums / torch.bincount(assigned, minlength=k).clamp(min=1)[:, None]


def proto_loss(students, translated, teacher, assigned, scale):
    target = F.softmax(teacher[assigned] @ teacher.T / TEMPERATURE, dim=-1)
    return F.cross_entropy(scale * students @ translated.T, target)


def extract(model, loader):
    model.eval()
    parts = []
    with torch.no_grad():
        for _, images, tokens in loader:
            parts.append(model(images, tokens)[2:])
    return [torch.cat(each) for each in zip(*parts)]


def train(model, loader, image, text):
    """One pass; `image` and `text` are (translated, teacher, assigned) of the students' space."""
    model.train()
    optimizer, losses = model.optimizer(), []
    for step, (index, images, tokens) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = OPTIMIZER["lr"] * min(1, (step + 1) / WARMUP)
        z_image, z_text, h_image, h_text = model(images, tokens)
        logits = model.clip.logit_scale.exp() * z_image @ z_text.T
        labels = torch.arange(len(index))
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        scale = model.scale_proto.exp()
        for students, (translated, teacher, assigned) in ((h_image, image), (h_text, text)):
            loss = loss + proto_loss(students, translated, teacher, assigned[index], scale) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        with torch.no_grad():
            model.clip.logit_scale.clamp_(0, LARGEST_SCALE)
            model.scale_proto.clamp_(0, LARGEST_SCALE)
        losses.append(loss.item())
    return losses


def theirs(pairs, config, chosen, seed):
    """Seconds of the phases, and the mean loss of the last quarter of the steps."""
    torch.manual_seed(seed)
    size, context = config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"]
    bicubic = transforms.InterpolationMode.BICUBIC
    steps = [transforms.Resize(size, bicubic), transforms.CenterCrop(size), transforms.ToTensor()]
    evaluation = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    model = Model(config)

    def loader(transform, **options):
        data = Pairs(pairs, transform, context)
        options.update(batch_size=chosen.batch, num_workers=chosen.workers)
        return torch.utils.data.DataLoader(data, **options)

    marks = [(time.perf_counter(), os.times())]
    mark = lambda: marks.append((time.perf_counter(), os.times()))
    h_image, h_text = extract(model, loader(evaluation))
    mark()
    c_image, a_image = cluster(h_image.numpy(), chosen.k, seed)
    c_text, a_text = cluster(h_text.numpy(), chosen.k, seed)
    mark()
    image = translate(h_image, a_text, chosen.k), c_text, a_text
    text = translate(h_text, a_image, chosen.k), c_image, a_image
    mark()
    losses = train(model, loader(pipeline(size), shuffle=True, drop_last=True), image, text)
    mark()
    walls = [after[0] - before[0] for before, after in zip(marks, marks[1:])]
    line = dict(zip(("extract", "cluster", "translate", "train"), walls))
    line["wall"] = sum(walls)
    line["cpu"] = sum(marks[-1][1][:4]) - sum(marks[0][1][:4])
    line["loss"] = statistics.mean(losses[len(losses) * 3 // 4 :])
    return line


SETTINGS = """preset = "protoclip"
model = "{model}"
seed = {seed}
batch_size = {batch}
device = "cpu"

[data]
source = "csv"
path = "{path}"

[prototypes]
count = {k}
iterations = 20
restarts = 3
"""


def ours(folder, chosen, seed):
    """The same of `bench episode`."""
    settings = folder / "run.toml"
    path = folder / "pairs.csv"
    text = SETTINGS.format(
        model=chosen.model, seed=seed, batch=chosen.batch, path=path, k=chosen.k
    )
    settings.write_text(text)
    command = [chosen.program, "bench", "episode", str(settings)]
    run = subprocess.run(command, check=True, capture_output=True)
    line = json.loads(run.stdout)
    phases = {name: line[f"seconds_{name}"] for name in ("extract", "cluster", "translate", "train")}
    return {
        **phases,
        "wall": line["wall_seconds"],
        "cpu": line["cpu_seconds"],
        "loss": line["loss"],
        "waiting": line["data_wait_percent_train"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the release build of protoclip-studio")
    parser.add_argument("--threads", type=int, default=1, help="cores that both may use")
    parser.add_argument("--workers", type=int, default=0, help="their processes for data")
    parser.add_argument("--model", default="vit-tiny-64")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.threads])
    torch.set_num_threads(chosen.threads)
    faiss.omp_set_num_threads(chosen.threads)
    models = Path(__file__).parent.parent / "crates/protoclip/src/model/configs"
    config = json.loads((models / f"{chosen.model}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        pairs = write_data(Path(folder), chosen.samples, 0)
        rounds = [
            (ours(Path(folder), chosen, seed), theirs(pairs, config, chosen, seed))
            for seed in range(chosen.rounds)
        ]
    print(
        f"{chosen.model}, {chosen.samples} pairs of JPEG files, batch {chosen.batch}, "
        f"K {chosen.k}, {chosen.threads} threads;"
    )
    print(f"median (min–max) of {chosen.rounds} rounds, seconds\n")
    print("| | ours | theirs | ratio |\n|---|---|---|---|")
    for name in ("extract", "cluster", "translate", "train", "wall", "cpu", "loss"):
        sides = [[line[name] for line in side] for side in zip(*rounds)]
        medians = [statistics.median(side) for side in sides]
        shown = [f"{m:.3f} ({min(s):.3f}–{max(s):.3f})" for m, s in zip(medians, sides)]
        ratio = "" if name == "loss" else f"{medians[1] / medians[0]:.2f}×"
        print(f"| {name} | {shown[0]} | {shown[1]} | {ratio} |")
    waiting = statistics.median(side[0]["waiting"] for side in rounds)
    print(f"\nOur training thread waited {waiting:.2f} % of the training pass for data.")


if __name__ == "__main__":
    main()
