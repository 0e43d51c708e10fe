"""Event files as TensorBoard's own code writes them, and what its own reader finds in them.

Writes the folder tests/fixtures/tensorboard: a log directory with two runs, and expected.json with every
point that TensorBoard's event accumulator gives. The Rust tests import the first and compare with the second.

    pip install tensorboard tensorboardX numpy
    python tests/peers/tensorboard_files.py
"""

import json
import math
import shutil
import struct
from pathlib import Path

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar import summary_v2 as scalar
from tensorboard.plugins.histogram import summary_v2 as histogram
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from tensorboardX import SummaryWriter

OUT = Path(__file__).parents[1] / "fixtures" / "tensorboard"
START = 1_700_000_000.0


def event(step, summary=None, **other):
    return event_pb2.Event(wall_time=START + step, step=step, summary=summary, **other)


def simple(tag, value):
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])


def tensor(tag, value, *, listed):
    """A scalar as a tensor of the value's kind, its number as bytes or in the list of its kind."""
    proto = tensor_util.make_tensor_proto(value)
    if listed:
        kind = {"float32": "float_val", "float64": "double_val", "int32": "int_val", "int64": "int64_val",
                "float16": "half_val"}[value.dtype.name]
        raw = value.view(numpy.uint16) if kind == "half_val" else value
        proto.ClearField("tensor_content")
        proto.ClearField(kind)
        getattr(proto, kind).append(raw.item())
    else:
        for kind in ("float_val", "double_val", "int_val", "int64_val", "half_val"):
            proto.ClearField(kind)
        proto.tensor_content = value.tobytes()
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, tensor=proto, metadata=metadata)])


def write(folder, name, events):
    """A file by TensorBoard's writer, under a name without this machine's."""
    writer = EventFileWriter(str(folder), filename_suffix=".new")
    for one in events:
        writer.add_event(one)
    writer.close()
    [written] = folder.glob("*.new")
    written.rename(folder / name)


def first_run(folder):
    folder.mkdir(parents=True)
    events = []
    for step in range(0, 50, 5):
        events.append(event(step, simple("loss", math.exp(-step / 20))))
        if step < 30:
            # That reader forgets numbers of a restart, but not tensors.
            events.append(event(step, scalar.scalar_pb("accuracy", step / 50)))
    kinds = [numpy.float32, numpy.float64, numpy.float16, numpy.int32, numpy.int64]
    for step, kind in enumerate(kinds):
        events.append(event(step, tensor("kinds/content", kind(step + 1), listed=False)))
        events.append(event(step, tensor("kinds/listed", kind(step + 1), listed=True)))
    events.append(event(7, simple("odd", float("nan"))))
    events.append(event(8, simple("odd", float("inf"))))
    events.append(event(9, simple("odd", 2.5)))
    events.append(event(9, histogram.histogram_pb("weights", numpy.arange(20.0))))
    write(folder, "events.out.tfevents.1700000000.fixture", events)
    # Goes on from step 30 in another process, by another writer.
    writer = SummaryWriter(str(folder), purge_step=30, filename_suffix=".new")
    for step in (30, 35, 40):
        writer.add_scalar("loss", 0.1 + step / 1000, step, walltime=START + 1000 + step)
    writer.close()
    [written] = folder.glob("*.new")
    written.rename(folder / "events.out.tfevents.1700001000.fixture")


def second_run(folder):
    folder.mkdir(parents=True)
    name = "events.out.tfevents.1700000000.fixture"
    write(folder, name, [event(step, simple("loss", 1 / (step + 1))) for step in range(6)])
    path = folder / name
    bytes_ = bytearray(path.read_bytes())
    # The fourth event loses a bit, and the file's end a record's.
    offsets, at = [], 0
    while at < len(bytes_):
        offsets.append(at)
        at += 16 + struct.unpack_from("<Q", bytes_, at)[0]
    bytes_[offsets[4] + 20] ^= 1
    path.write_bytes(bytes_[:-5])


def found(folder):
    """What TensorBoard's reader gives; values that JSON has no word for become words."""
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    curves = {}
    for tag in accumulator.Tags()["scalars"]:
        curves[tag] = [[point.step, point.value] for point in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            points = accumulator.Tensors(tag)
            curves[tag] = [[p.step, float(tensor_util.make_ndarray(p.tensor_proto))] for p in points]
    spoken = lambda value: value if math.isfinite(value) else str(value)
    return {tag: [[step, spoken(value)] for step, value in points] for tag, points in sorted(curves.items())}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    logs = OUT / "logs"
    first_run(logs)
    expected = {"": found(logs)}
    second_run(logs / "eval")
    # Its reader gives up at the first damaged record; ours goes on with the next one.
    expected["eval"] = {"loss": [[0, 1.0], [1, 0.5], [2, float(numpy.float32(1 / 3))],
                                 [4, float(numpy.float32(0.2))]]}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for run, curves in expected.items():
        print(run or ".", {tag: len(points) for tag, points in curves.items()})


if __name__ == "__main__":
    main()
