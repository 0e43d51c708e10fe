"""Data sets of 2.5 million pairs from the pairs of a few WebDataset shards, for `bench index`.

Writes to a folder, each in its own kind:

    big.csv       2,500,000 rows that name the unpacked pictures again and again
    coco.json     500,000 images of five captions each, likewise
    parquet/      files of Hugging Face's layout, one per shard, and hard links to them
    tar/          hard links to the shards

so that every row is parsed and every header read, and the disk holds each picture twice at most.
Readers count every link by itself.

    pip install pyarrow
    python3 benches/large_data_sets.py shards/clipart-*.tar --out large
    protoclip-studio bench index --data large/parquet --label-column category --episode 200000
"""

import argparse
import csv
import json
import os
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet

PAIRS = 2_500_000
CAPTIONS = 5


def pairs_of(shard):
    """Key, ending, bytes, caption and labels of the pairs of a shard."""
    found = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            key, ending = member.name.split(".", 1)
            found.setdefault(key, {})[ending] = archive.extractfile(member).read()
    for key, parts in found.items():
        (ending,) = parts.keys() & {"webp", "png", "jpg"}
        yield key, ending, parts[ending], parts["txt"].decode(), json.loads(parts["json"])


def links(files, folder, count):
    """At least `count` pairs by hard links to files with so many pairs each."""
    folder.mkdir()
    names = 0
    while count > 0:
        for file, pairs in files:
            os.link(file, folder / f"{names:05}{file.suffix}")
            names, count = names + 1, count - pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    pictures = options.out / "pictures"
    pictures.mkdir(parents=True)
    rows, shards, tables = [], [], []
    for shard in options.shards:
        columns = {"image": [], "caption": [], "category": [], "subcategory": []}
        for key, ending, picture, caption, labels in pairs_of(shard):
            name = f"{shard.stem}-{key}.{ending}"
            (pictures / name).write_bytes(picture)
            rows.append((f"pictures/{name}", caption, labels["category"], labels["subcategory"]))
            columns["image"].append({"bytes": picture, "path": name})
            columns["caption"].append(caption)
            for label in ("category", "subcategory"):
                columns[label].append(labels[label])
        table = options.out / f"{shard.stem}.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), table, row_group_size=500)
        tables.append((table, len(columns["caption"])))
        shards.append((shard.resolve(), len(columns["caption"])))
    links(tables, options.out / "parquet", options.pairs)
    links(shards, options.out / "tar", options.pairs)
    with (options.out / "big.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("filepath", "title", "category", "subcategory"))
        table.writerows(rows[i % len(rows)] for i in range(options.pairs))
    images = options.pairs // CAPTIONS
    file_of = lambda i: rows[i % len(rows)][0].removeprefix("pictures/")
    caption_of = lambda i: rows[i % len(rows)][1]
    coco = {
        "images": [{"id": i, "file_name": file_of(i)} for i in range(images)],
        "annotations": [
            {"id": i, "image_id": i // CAPTIONS, "caption": caption_of(i)} for i in range(images * CAPTIONS)
        ],
    }
    (options.out / "coco.json").write_text(json.dumps(coco), encoding="utf-8")


if __name__ == "__main__":
    main()
