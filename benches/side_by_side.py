"""Two programs on the same features, in turns: what the `*_vs_*.py` scripts of this folder share.

Each round runs ours and the peer one after the other, each in a process of its own with the number of
threads set from outside. Every run prints a JSON line; at the end stands a Markdown table with medians,
ranges and ratios. Ratios of processor time hardly depend on what else the machine does; those of wall
time need a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from features import features

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def arguments(description, **defaults):
    """A parser with what all scripts ask for; `defaults` become options of the same names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("program", help="the release build: target/release/protoclip-studio")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--features", help=".npy file to use instead of synthetic features")
    parser.add_argument("--data-seed", type=int, default=0, help="of the synthetic features")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser


def made_features(chosen, folder):
    """The .npy file that both sides read."""
    if chosen.features:
        return chosen.features
    path = str(Path(folder) / "features.npy")
    rows, _ = features(chosen.samples, chosen.dim, seed=chosen.data_seed)
    np.save(path, rows)
    return path


def timed(work):
    """The result of `work()` with its processor and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def run(command, threads):
    environment = os.environ | {name: str(threads) for name in THREAD_VARIABLES}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(chosen, path, ours, name, quality):
    """Runs all rounds; `ours` are the arguments of `bench`, `quality` names the figure to show."""
    lines = {}
    for threads in chosen.threads:
        for _ in range(chosen.rounds):
            command = [chosen.program, "bench", *ours, "--features", path, "--threads", str(threads)]
            peer = [sys.executable, *sys.argv, "--peer", path, "--threads", str(threads)]
            for side, line in (("ours", command), (name, peer)):
                result = run(line, threads)
                print(json.dumps({"side": side, **result}), flush=True)
                lines.setdefault((threads, side), []).append(result)
    print(table(chosen, lines, name, quality))


def table(chosen, lines, name, quality):
    rows = [
        f"| threads | clock | ours, s | {name}, s | ratio | {quality}: ours | {quality}: {name} |",
        "|---|---|---|---|---|---|---|",
    ]
    for threads in chosen.threads:
        both = [lines[threads, side] for side in ("ours", name)]
        figures = [f"{statistics.median(line[quality] for line in runs):.6g}" for runs in both]
        for clock in ("cpu_seconds", "wall_seconds"):
            seconds = [[line[clock] for line in runs] for runs in both]
            ratio = statistics.median(seconds[1]) / statistics.median(seconds[0])
            cells = [
                f"{statistics.median(of):.2f} ({min(of):.2f}–{max(of):.2f})" for of in seconds
            ]
            row = [threads, clock.split("_")[0], *cells, f"{ratio:.1f}×", *figures]
            rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def scratch_folder():
    return tempfile.TemporaryDirectory(prefix="protoclip-bench-")
