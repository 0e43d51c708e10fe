"""Features of captions by a sentence encoder, beside PyTorch and transformers.

Both tokenize the captions, run the encoder, take the mean over the tokens and bring it to length 1; ours
checks the data set and writes the file, too. transformers runs as its users run it, in batches in the order
of the file, and once more with captions of one length side by side, as sentence-transformers sorts them.
Rounds alternate; the table shows medians and ranges of captions per second, and the largest difference
between the features.

    pip install torch transformers
    cargo build --release
    python3 benches/teacher_vs_transformers.py target/release/protoclip-studio \
        --model all-MiniLM-L6-v2 --data pairs.csv --caption-column title
"""

import argparse
import csv
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path


def ours(options, threads, folder):
    out = folder / "features.npy"
    for file in folder.iterdir():
        file.unlink()
    command = [options.program, "teacher", "--model", options.model, "--data", options.data]
    command += ["--caption-column", options.caption_column, "--out", out, "--dim", "0"]
    cores = ",".join(str(core) for core in range(threads))
    began = time.monotonic()
    printed = subprocess.run(
        ["taskset", "-c", cores, *map(str, command)], check=True, capture_output=True, text=True
    ).stdout
    seconds = time.monotonic() - began
    (rows,) = re.findall(r"rows +(\d+)", printed)
    return int(rows) / seconds, out


def peer(captions, tokenizer, model, batch, by_length):
    import torch

    order = range(len(captions))
    if by_length:
        order = sorted(order, key=lambda i: -len(captions[i]))
    features = torch.empty(len(captions), model.config.hidden_size)
    began = time.monotonic()
    with torch.inference_mode():
        for start in range(0, len(captions), batch):
            rows = list(order[start : start + batch])
            given = tokenizer(
                [captions[i] for i in rows], padding=True, truncation=True, return_tensors="pt"
            )
            states = model(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(1) / mask.sum(1)
            features[rows] = torch.nn.functional.normalize(mean, dim=1)
    return len(captions) / (time.monotonic() - began), features


def cell(values):
    if len(values) == 1:
        return f"{values[0]:,.0f}"
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a CSV file")
    parser.add_argument("--caption-column", default="title")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy as np
    import torch
    import transformers

    with options.data.open(newline="", encoding="utf-8") as file:
        captions = [row[options.caption_column].strip() for row in csv.DictReader(file)]
    # Ours leaves out the rows without a caption.
    captions = [caption for caption in captions if caption]
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    model = transformers.AutoModel.from_pretrained(options.model, dtype=torch.float32).eval()
    peer(captions[: 4 * options.batch], tokenizer, model, options.batch, False)

    print(f"{len(captions):,} captions, PyTorch {torch.__version__}, transformers {transformers.__version__}\n")
    print("| threads | transformers | sorted by length | ours | ratio | ratio to sorted |\n|---|---|---|---|---|---|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, range(threads))
        plain, sorted_, own = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.rounds):
                speed, out = ours(options, threads, Path(folder))
                own.append(speed)
                plain.append(peer(captions, tokenizer, model, options.batch, False)[0])
                speed, theirs = peer(captions, tokenizer, model, options.batch, True)
                sorted_.append(speed)
                difference = float(np.abs(np.load(out) - theirs.numpy()).max())
        ratios = [statistics.median(own) / statistics.median(other) for other in (plain, sorted_)]
        shown = " | ".join(f"{ratio:.2f}×" for ratio in ratios)
        print(f"| {threads} | {cell(plain)} | {cell(sorted_)} | {cell(own)} | {shown} |", flush=True)
    print(f"\nLargest difference between the features: {difference:.1e}.")


if __name__ == "__main__":
    main()
