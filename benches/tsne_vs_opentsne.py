"""t-SNE beside openTSNE with FFT interpolation: same perplexity and iterations, same threads.

Both maps are measured by one evaluator: affinities from exact neighbours and a search for every
sample's width, the sum of q over all pairs, both in double precision. openTSNE starts from principal
components and takes its own defaults (approximate neighbours by Annoy, 250 exaggerated iterations and
then the rest); its seconds hold everything from features to map, as ours do.

    pip install openTSNE
    cargo build --release
    python3 benches/tsne_vs_opentsne.py target/release/protoclip-studio
"""

import json
import sys
from pathlib import Path

import numpy as np

import side_by_side
from side_by_side import arguments, compare, made_features, scratch_folder, timed

BLOCK = 500


def peer(chosen):
    import openTSNE

    rows = np.load(chosen.peer)
    exaggerated = chosen.iterations // 4
    tsne = openTSNE.TSNE(
        perplexity=chosen.perplexity,
        early_exaggeration_iter=exaggerated,
        n_iter=chosen.iterations - exaggerated,
        negative_gradient_method="fft",
        n_jobs=chosen.threads[0],
        random_state=chosen.data_seed,
    )
    embedding, cpu, wall = timed(lambda: tsne.fit(rows))
    points = np.asarray(embedding, np.float32)
    line = {
        "work": "tsne",
        "threads": chosen.threads[0],
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "own_kl": float(embedding.kl_divergence),
        "kl": divergence(rows, points, chosen.perplexity),
    }
    print(json.dumps(line))


def widths(squares, perplexity):
    """p(j|i) of rows of squared distances to the neighbours, by bisection."""
    squares = squares - squares[:, :1]
    low, high = np.zeros(len(squares)), np.full(len(squares), np.inf)
    precision = 1 / np.maximum(squares.mean(1), 1e-12)
    for _ in range(64):
        weights = np.exp(-precision[:, None] * squares)
        total = weights.sum(1)
        entropy = np.log(total) + precision * (weights * squares).sum(1) / total
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, precision, low), np.where(wide, high, precision)
        precision = np.where(np.isinf(high), 2 * precision, (low + np.minimum(high, 1e300)) / 2)
    return weights / total[:, None]


def divergence(rows, points, perplexity):
    """KL(P‖Q) with P over exact neighbours and Q over all pairs."""
    count, samples = int(3 * perplexity), len(rows)
    rows, points = rows.astype(np.float64), points.astype(np.float64)
    norms, spread = (rows**2).sum(1), (points**2).sum(1)
    ids, given, weight = [], [], 0.0
    for start in range(0, samples, BLOCK):
        block = slice(start, start + BLOCK)
        squares = norms[block, None] - 2 * rows[block] @ rows.T + norms
        own = np.arange(len(squares))
        squares[own, start + own] = np.inf
        nearest = np.argpartition(squares, count, 1)[:, :count]
        near = np.take_along_axis(squares, nearest, 1)
        order = np.argsort(near, 1)
        ids.append(np.take_along_axis(nearest, order, 1))
        given.append(widths(np.take_along_axis(near, order, 1), perplexity))
        distances = spread[block, None] - 2 * points[block] @ points.T + spread
        weight += (1 / (1 + np.maximum(distances, 0))).sum() - len(distances)
    left = np.repeat(np.arange(samples), count)
    right, p = np.concatenate(ids).ravel(), np.concatenate(given).ravel() / (2 * samples)
    keys = np.concatenate([left * samples + right, right * samples + left])
    pairs, places = np.unique(keys, return_inverse=True)
    p = np.bincount(places, np.concatenate([p, p]))
    squares = ((points[pairs // samples] - points[pairs % samples]) ** 2).sum(1)
    kept = p > 0
    return float((p[kept] * np.log(p[kept] * (1 + squares[kept]) * weight)).sum())


def main():
    parser = arguments(
        __doc__.splitlines()[0], samples=20_000, dim=128, perplexity=30.0, iterations=1000
    )
    chosen = parser.parse_args()
    if chosen.peer:
        return peer(chosen)
    with scratch_folder() as folder:
        path, out = made_features(chosen, folder), str(Path(folder) / "map.npy")
        ours = ["tsne", "--perplexity", str(chosen.perplexity)]
        ours += ["--iterations", str(chosen.iterations), "--out", out]
        plain = side_by_side.run

        def evaluated(command, threads):
            line = plain(command, threads)
            if command[0] != sys.executable:
                kl = divergence(np.load(path), np.load(out), chosen.perplexity)
                line = line | {"own_kl": line["kl"], "kl": kl}
            return line

        side_by_side.run = evaluated
        compare(chosen, path, ours, "openTSNE", "kl")


if __name__ == "__main__":
    main()
