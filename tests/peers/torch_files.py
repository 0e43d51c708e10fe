"""What PyTorch can write, and what `protoclip-studio import` makes of it.

Saves the golden vision model's weights in many ways: number types, views, shared storages, wrappers, training
state of other kinds, old formats, and pickles that would run code. Prints for each whether it was imported
with the right values or refused, and with which words. Exits 1 when a case does not end as expected, or when
a hostile pickle left its mark.

    pip install torch safetensors numpy
    cargo build && python tests/peers/torch_files.py

`CARGO_TARGET_DIR` is honoured.
"""

import argparse
import collections
import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file
from torch import nn

GOLDEN = Path(__file__).parents[2] / "crates/protoclip/tests/golden"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target")) / "debug"


class Runs:
    """Unpickled by Python, this touches a file."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


class Holder(nn.Module):
    """Modules inside each other with the golden model's names, for TorchScript."""

    def __init__(self, weights):
        super().__init__()
        inner = collections.defaultdict(dict)
        for name, value in weights.items():
            first, _, rest = name.partition(".")
            if rest:
                inner[first][rest] = value
            elif value.is_floating_point():
                self.register_buffer(name, value)
        for name, below in inner.items():
            self.add_module(name, Holder(below))


def readable(weights):
    f32 = {name: value for name, value in weights.items() if value.is_floating_point()}
    half = {name: value.half() for name, value in f32.items()}
    tied = dict(f32)
    tied["logit_scale_proto"] = tied["logit_scale"]
    whole = torch.arange(float(f32["visual.proj"].numel())).reshape(f32["visual.proj"].T.shape)
    view = {**f32, "visual.proj": whole.T}
    store = torch.randn(5 + f32["visual.class_embedding"].numel() * 3)
    strided = {**f32, "visual.class_embedding": store[5::3]}
    parameters = collections.OrderedDict((name, nn.Parameter(value)) for name, value in f32.items())
    module = nn.Module()
    module.linear = nn.Linear(2, 2)
    with_metadata = collections.OrderedDict(f32)
    with_metadata._metadata = module.state_dict()._metadata
    optimizer = torch.optim.AdamW(parameters.values())
    sum(p.sum() for p in parameters.values()).backward()
    optimizer.step()
    stepped = {name: value.detach().clone() for name, value in parameters.items()}
    row = {name: value.reshape(1) if value.dim() == 0 else value for name, value in f32.items()}
    return {
        "plain": (f32, f32),
        "with counters": (weights, f32),
        "f16": (half, {name: value.float() for name, value in half.items()}),
        "bf16": ({n: v.bfloat16() for n, v in f32.items()}, {n: v.bfloat16().float() for n, v in f32.items()}),
        "f64": ({n: v.double() for n, v in f32.items()}, f32),
        "tied": (tied, tied),
        "transposed view": (view, {**view, "visual.proj": view["visual.proj"].contiguous()}),
        "strided view": (strided, strided),
        "scales of one row": (row, f32),
        "parameters": (parameters, stepped),
        "metadata": (with_metadata, f32),
        "compiled, distributed": ({f"module._orig_mod.{n}": v for n, v in f32.items()}, f32),
        "state_dict and optimizer": (
            {"epoch": 3, "best": numpy.float64(0.5), "state_dict": dict(parameters), "optimizer": optimizer.state_dict()},
            stepped,
        ),
        "model": ({"model": f32, "lr": 0.1, "args": {"a": [1, (2, None)], "device": torch.device("cpu")}}, f32),
        "a log beside it": (
            {"state_dict": f32, "seen": {1, 2}, "phase": 1j, "by": collections.defaultdict(dict), "n": numpy.int64(3)},
            f32,
        ),
        "TorchScript": (torch.jit.script(Holder(weights)), f32),
        "TorchScript, f16": (torch.jit.script(Holder(half)), {name: value.float() for name, value in half.items()}),
        "model_state_dict": ({"model_state_dict": f32, "scaler": {}}, f32),
    }


def refused(weights, canary):
    f32 = {name: value for name, value in weights.items() if value.is_floating_point()}
    touch = Runs(os.system, f"touch {canary}")
    return {
        "os.system": ({"state_dict": f32, "extra": touch}, "is code, not data"),
        "eval": ({**f32, "x": Runs(eval, f"open({str(canary)!r}, 'w')")}, "is code, not data"),
        "exec in a key": ({Runs(exec, f"open({str(canary)!r}, 'w')"): f32}, "is code, not data"),
        "getattr": ({"state_dict": Runs(getattr, "text", "upper")}, "is code, not data"),
        "namespace": ({"state_dict": f32, "args": argparse.Namespace(lr=1)}, "argparse.Namespace"),
        "whole module": (nn.Linear(2, 2), "is code, not data"),
        "expanded": ({**f32, "visual.proj": torch.zeros(1, 1).expand(64, 32)}, ".contiguous()"),
        "sparse": ({**f32, "visual.proj": torch.eye(64).to_sparse()}, "is code, not data"),
        "integers": ({**f32, "visual.proj": torch.zeros(64, 32, dtype=torch.long)}, "f64, f32, f16 or bf16 is needed"),
        "a tensor too many": ({**f32, "visual.gate": torch.zeros(3)}, "visual.gate"),
        "a tensor too few": ({n: v for n, v in f32.items() if n != "visual.ln_post.bias"}, "visual.ln_post.bias"),
        "no dictionary": ([1, 2, 3], "torch.save(model.state_dict(), path)"),
        "no tensors": ({"state_dict": {"a": 1}}, "holds no state dict"),
    }


def special(folder, weights, canary):
    """Files that torch.save does not write by itself, with the words expected."""
    f32 = {name: value for name, value in weights.items() if value.is_floating_point()}
    legacy = folder / "legacy.pt"
    torch.save(f32, legacy, _use_new_zipfile_serialization=False)
    yield "before 1.6", legacy, "must be saved again"
    bare = folder / "bare.pt"
    bare.write_bytes(pickle.dumps(Runs(os.system, f"touch {canary}")))
    yield "a bare pickle", bare, "not a zip archive"
    plain = folder / "plain.pt"
    torch.save(f32, plain)
    squeezed = folder / "squeezed.pt"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    yield "compressed again", squeezed, "is compressed"


def run_import(file, model, folder, name):
    command = [BUILT / "protoclip-studio", "import", file, "--model", model, "--name", name, "--data-dir", folder]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.returncode, done.stderr.strip().replace(str(folder), "…")


def main():
    warnings.simplefilter("ignore", FutureWarning)
    weights = torch.load(GOLDEN / "vit_checkpoint.pt", weights_only=True)["state_dict"]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        canary = folder / "canary"
        log = json.loads((GOLDEN / "vit_train.json").read_text())["config"]
        model = folder / "vit.json"
        head = {"hidden": log["projection"]["hidden_dim"], "output": log["projection"]["dim"]}
        keys = {"embed_dim": log["embed_dim"], "vision_cfg": log["vision"], "text_cfg": log["text"]}
        model.write_text(json.dumps({**keys, "quick_gelu": True, "projection_head": head}))
        for number, (title, (saved, wanted)) in enumerate(readable(weights).items()):
            file = folder / "case.pt"
            if isinstance(saved, torch.jit.ScriptModule):
                torch.jit.save(saved, str(file))
            else:
                torch.save(saved, file)
            name = f"case-{number}"
            code, words = run_import(file, model, folder, name)
            good = code == 0
            if good:
                found = load_file(folder / "checkpoints" / name / "model.safetensors")
                good = all(torch.equal(found[key], value.reshape(found[key].shape)) for key, value in wanted.items())
            wrong += not good
            print(f"{'ok ' if good else 'BAD'} {title:<26} {'same values' if good else words}")
        cases = []
        for title, (saved, words) in refused(weights, canary).items():
            file = folder / f"refused-{len(cases)}.pt"
            torch.save(saved, file)
            cases.append((title, file, words))
        cases.extend(special(folder, weights, canary))
        for title, file, words in cases:
            code, said = run_import(file, model, folder, "refused")
            good = code == 1 and words in said
            wrong += not good
            print(f"{'ok ' if good else 'BAD'} {title:<26} {said}")
        touched = canary.exists()
        print(f"{'BAD' if touched else 'ok '} no pickle was run")
    sys.exit(wrong > 0 or touched)


main()
