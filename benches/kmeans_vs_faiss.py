"""k-means beside faiss: the same features, K, iterations and one start, on the same threads.

Ours also assigns all samples to the last centroids, which its result needs; faiss's seconds are those of
training alone (`cpu_seconds`), the same assignment is timed apart (`assign_cpu_seconds`). `objective` is
that of the last iteration of both; the first centroids are different random samples.

    pip install faiss-cpu
    cargo build --release
    python3 benches/kmeans_vs_faiss.py target/release/protoclip-studio
"""

import json

import numpy as np

from side_by_side import arguments, compare, made_features, scratch_folder, timed


def peer(chosen):
    import faiss

    rows = np.load(chosen.peer).astype(np.float32)
    faiss.omp_set_num_threads(chosen.threads[0])
    clustering = faiss.Clustering(rows.shape[1], chosen.k)
    clustering.niter = chosen.iterations
    clustering.nredo = 1
    clustering.seed = 1234
    clustering.max_points_per_centroid = len(rows)
    index = faiss.IndexFlatL2(rows.shape[1])
    _, cpu, wall = timed(lambda: clustering.train(rows, index))
    stats = clustering.iteration_stats
    (squares, _), assign_cpu, assign_wall = timed(lambda: index.search(rows, 1))
    line = {
        "work": "kmeans",
        "threads": chosen.threads[0],
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "assign_cpu_seconds": assign_cpu,
        "assign_wall_seconds": assign_wall,
        "objective": stats.at(stats.size() - 1).obj,
        "inertia": float(squares.sum(dtype=np.float64)),
    }
    print(json.dumps(line))


def main():
    parser = arguments(__doc__.splitlines()[0], samples=200_000, dim=128, k=20_000, iterations=20)
    chosen = parser.parse_args()
    if chosen.peer:
        return peer(chosen)
    ours = ["kmeans", "--k", str(chosen.k), "--iterations", str(chosen.iterations)]
    with scratch_folder() as folder:
        compare(chosen, made_features(chosen, folder), ours, "faiss", "objective")


if __name__ == "__main__":
    main()
