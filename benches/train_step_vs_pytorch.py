"""One optimizer step of the same model here and in PyTorch, turn by turn.

PyTorch's model is OpenCLIP's `CLIP` with the same configuration; its step is what a training script
does: forward, InfoNCE, backward, `clip_grad_norm_`, AdamW with two parameter groups, clamp of the
scale. Images are noise there and pictures here, captions are full length there and real here: neither
changes what PyTorch computes, since it works on padding, too.

    cargo build --release
    python3 benches/train_step_vs_pytorch.py target/release/protoclip-studio \
        --models vit-tiny-64 rn-tiny-64 --threads 1 2 --modes eager

Needs torch and open_clip_torch. Modes: eager, compile, bf16 (autocast), compile-bf16.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parent.parent / "crates" / "protoclip" / "src" / "model" / "configs"
WARM_UP = 5


def ours(program, model, batch, steps, threads, extra):
    command = [program, "bench", "train-step", "--model", model, "--batch", str(batch)]
    command += ["--steps", str(steps), "--threads", str(threads), *extra]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(line)


def theirs(model, batch, steps, threads, mode):
    command = [sys.executable, __file__, "--peer", model, str(batch), str(steps), str(threads), mode]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode != 0:
        sys.exit(f"PyTorch failed for {model}, {mode}:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def peer(name, batch, steps, threads, mode):
    """Runs in a process of its own, so that its threads and memory are its own."""
    import time

    import torch
    from open_clip.model import CLIP
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = json.loads((CONFIGS / f"{name}.json").read_text())
    vision = {key: value for key, value in config["vision_cfg"].items() if value is not None}
    text = config["text_cfg"]
    model = CLIP(config["embed_dim"], vision, text).train()
    step_model = torch.compile(model) if "compile" in mode else model

    def plain(name, parameter):
        return parameter.ndim < 2 or any(part in name for part in ("bn", "ln", "bias", "logit_scale"))

    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if plain(n, p)], "weight_decay": 0.0},
        {"params": [p for n, p in named if not plain(n, p)], "weight_decay": 0.5},
    ]
    optimizer = torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.98), eps=1e-6)
    side = vision["image_size"]
    images = torch.randn(batch, 3, side, side)
    tokens = torch.randint(1, text["vocab_size"] - 2, (batch, text["context_length"]))
    tokens[:, -1] = text["vocab_size"] - 1
    targets = torch.arange(batch)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in mode):
            image, caption, scale = step_model(images, tokens)[:3]
            logits = scale * image @ caption.T
            loss = (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e5)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        return float(loss.detach())

    for _ in range(WARM_UP):
        step()
    cpu, wall = [], []
    for _ in range(steps):
        started = time.process_time(), time.perf_counter()
        loss = step()
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    line = {
        "work": "train-step",
        "program": f"PyTorch {torch.__version__} {mode}",
        "model": name,
        "batch": batch,
        "threads": threads,
        "cpu_seconds": statistics.median(cpu),
        "wall_seconds": statistics.median(wall),
        "loss": loss,
    }
    print(json.dumps(line))


def row(model, threads, mode, mine, other):
    def figure(runs):
        milliseconds = sorted(1e3 * run["wall_seconds"] for run in runs)
        middle = statistics.median(milliseconds)
        return middle, f"{middle:.0f} ({milliseconds[0]:.0f}–{milliseconds[-1]:.0f})"

    (ours_middle, ours_text), (theirs_middle, theirs_text) = figure(mine), figure(other)
    ratio = theirs_middle / ours_middle
    return f"| {model} | {threads} | {mode} | {theirs_text} | {ours_text} | {ratio:.2f}× |"


def main():
    if sys.argv[1:2] == ["--peer"]:
        name, batch, steps, threads, mode = sys.argv[2:]
        peer(name, int(batch), int(steps), int(threads), mode)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--models", nargs="+", default=["vit-tiny-64", "rn-tiny-64"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--modes", nargs="+", default=["eager"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", nargs="*", default=[], help="more arguments for our program")
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        for threads in arguments.threads:
            mine, other = [], {mode: [] for mode in arguments.modes}
            for _ in range(arguments.rounds):
                sizes = model, arguments.batch, arguments.steps, threads
                mine.append(ours(arguments.program, *sizes, arguments.ours))
                print(json.dumps(mine[-1]), flush=True)
                for mode, runs in other.items():
                    runs.append(theirs(*sizes, mode))
                    print(json.dumps(runs[-1]), flush=True)
            rows += [row(model, threads, mode, mine, runs) for mode, runs in other.items()]
    print("\n| model | threads | PyTorch | ms per step, median (min–max) | ours | ratio |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
