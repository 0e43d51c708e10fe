"""PCA beside faiss.PCAMatrix: fit all features, then map all of them, on the same threads.

`explained_variance` is the share of the variance that the kept components hold, for faiss measured on
what it maps to.

    pip install faiss-cpu
    cargo build --release
    python3 benches/pca_vs_faiss.py target/release/protoclip-studio
"""

import json

import numpy as np

from side_by_side import arguments, compare, made_features, scratch_folder, timed


def peer(chosen):
    import faiss

    rows = np.load(chosen.peer).astype(np.float32)
    faiss.omp_set_num_threads(chosen.threads[0])
    pca = faiss.PCAMatrix(rows.shape[1], chosen.components)
    pca.max_points_per_d = len(rows)

    def work():
        pca.train(rows)
        return pca.apply(rows)

    mapped, cpu, wall = timed(work)
    variance = rows.var(0, dtype=np.float64).sum()
    line = {
        "work": "pca",
        "threads": chosen.threads[0],
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "explained_variance": float(mapped.var(0, dtype=np.float64).sum() / variance),
    }
    print(json.dumps(line))


def main():
    parser = arguments(__doc__.splitlines()[0], samples=200_000, dim=1024, components=64)
    chosen = parser.parse_args()
    if chosen.peer:
        return peer(chosen)
    with scratch_folder() as folder:
        path = made_features(chosen, folder)
        compare(chosen, path, ["pca", "--dim", str(chosen.components)], "faiss", "explained_variance")


if __name__ == "__main__":
    main()
