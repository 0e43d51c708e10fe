"""Writes the small data sets of crates/protoclip/src/data/fixtures with other programs' own writers.

Needs pyarrow and pillow. Pictures are of one colour each; red is 10 times the row's number.

    python tests/peers/data_fixtures.py crates/protoclip/src/data/fixtures
"""

import gzip
import io
import json
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CAPTIONS = ["a cat", "a dog", "a cat asleep", "ein Hündchen", "a dog\nthat barks", "the last cat"]


def picture(number, kind):
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.new("RGB", (8, 6), (10 * number, 100, 200)).save(file, kind, **options)
    return file.getvalue()


def parquet(path):
    """As `datasets` writes an image data set: struct of bytes and path, class names in the metadata."""
    rows = range(len(CAPTIONS))
    images = [{"bytes": picture(n, "PNG"), "path": f"{n:03}.png"} for n in rows]
    table = pa.table(
        {
            "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "caption": pa.array(CAPTIONS),
            "label": pa.array([int("dog" in c or "Hund" in c) for c in CAPTIONS], pa.int64()),
        }
    )
    features = {
        "image": {"_type": "Image"},
        "caption": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=4)


def shard(path):
    """By Python's own tar writer, with a name that needs a PAX header and pictures before captions."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, caption in enumerate(CAPTIONS):
            key = f"{number:03}" if number < 5 else "ü" * 120
            members = {
                f"{key}.webp": picture(number, "WEBP"),
                f"{key}.txt": caption.encode(),
                f"{key}.json": json.dumps({"kind": "dog" if "dog" in caption else "cat"}).encode(),
            }
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(plain.getvalue(), mtime=0))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    parquet(folder / "hugging_face.parquet")
    shard(folder / "python.tar.gz")
