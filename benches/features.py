"""Writes synthetic features for `bench`: clustered unit vectors, like those of an encoder.

Every sample belongs to one of `--clusters` clusters, whose sizes are uneven (weights 1/√rank). Centres
and deviations are Gaussian; the variance of dimension j falls as (1 + j)^-`--decay`, as the spectrum of
encoders does (0: the same in all directions). A sample is its centre plus `--spread` times a
deviation of the same expected length, at length 1. Same arguments, same file.

    python3 benches/features.py features.npy --samples 200000 --dim 128
"""

import argparse

import numpy as np


def features(samples, dim, clusters=2000, spread=0.7, decay=0.5, seed=0):
    random = np.random.default_rng(seed)
    scale = (1.0 + np.arange(dim)) ** (-decay / 2)
    centres = random.standard_normal((clusters, dim), dtype=np.float32) * scale
    weights = 1 / np.sqrt(1.0 + np.arange(clusters))
    labels = random.choice(clusters, size=samples, p=weights / weights.sum())
    rows = np.empty((samples, dim), np.float32)
    for start in range(0, samples, 65536):
        part = labels[start : start + 65536]
        noise = random.standard_normal((len(part), dim), dtype=np.float32) * scale
        block = centres[part] + spread * noise
        rows[start : start + len(part)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help=".npy file to write")
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--clusters", type=int, default=2000)
    parser.add_argument("--spread", type=float, default=0.7)
    parser.add_argument("--decay", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, _ = features(
        chosen.samples, chosen.dim, chosen.clusters, chosen.spread, chosen.decay, chosen.seed
    )
    np.save(chosen.file, rows)


if __name__ == "__main__":
    main()
