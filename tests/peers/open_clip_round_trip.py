"""Models through import, export and OpenCLIP: the features must stay the same.

For the two golden models (both as training checkpoint of the reference) and for every further
checkpoint named: `protoclip-studio import` (golden models only) and `export`, then OpenCLIP's own
strict loading of the exported directory, then both towers of OpenCLIP and of this program on the same
pixel and token tensors. Prints the largest absolute difference of the encoded features; those of the
golden models are also compared with the outputs that the reference wrote. Exits 1 above 1e-4.

    pip install torch open_clip_torch safetensors
    cargo build && cargo build --workspace --example encode
    python tests/peers/open_clip_round_trip.py [CHECKPOINT ...]

`CARGO_TARGET_DIR` is honoured. CHECKPOINT is a directory below `runs/RUN/checkpoints/`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-4
GOLDEN = Path(__file__).parents[2] / "crates/protoclip/tests/golden"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target")) / "debug"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command}: {done.stderr}")
    return done.stdout


def imported(kind, folder):
    """A golden training checkpoint, with the head counts that no shape tells, as our model directory."""
    log = json.loads((GOLDEN / f"{kind}_train.json").read_text())["config"]
    config = {
        "embed_dim": log["embed_dim"],
        "vision_cfg": log["vision"],
        "text_cfg": log["text"],
        "quick_gelu": log["quick_gelu"],
        "projection_head": {"hidden": log["projection"]["hidden_dim"], "output": log["projection"]["dim"]},
    }
    path = folder / f"{kind}.json"
    path.write_text(json.dumps(config))
    program = BUILT / "protoclip-studio"
    run(program, "import", GOLDEN / f"{kind}_checkpoint.pt", "--model", path, "--name", kind, "--data-dir", folder)
    return folder / "checkpoints" / kind


def inputs_for(model):
    generator = torch.Generator().manual_seed(3)
    size, context, words = model.visual.image_size, model.context_length, model.vocab_size
    size = size[0] if isinstance(size, tuple) else size
    images = torch.randn(16, 3, size, size, generator=generator)
    tokens = torch.randint(1, words - 2, (16, context), generator=generator)
    for row, length in enumerate(torch.randint(2, context, (16,), generator=generator).tolist()):
        tokens[row, length] = words - 1
        tokens[row, length + 1 :] = 0
    return {"images": images, "tokens": tokens}


def theirs(model, inputs):
    with torch.no_grad():
        return {
            "image_encoded": model.encode_image(inputs["images"]),
            "text_encoded": model.encode_text(inputs["tokens"]),
        }


def ours(checkpoint, inputs, folder):
    given, made = folder / "inputs.safetensors", folder / "outputs.safetensors"
    save_file({name: inputs[name].contiguous() for name in ("images", "tokens")}, given)
    run(BUILT / "examples" / "encode", checkpoint, given, made)
    return load_file(made)


def check(name, checkpoint, folder, golden=None):
    target = folder / f"export-{name}"
    run(BUILT / "protoclip-studio", "export", checkpoint, "--out", target)
    model = open_clip.create_model(f"local-dir:{target}").eval()
    inputs = golden or inputs_for(model)
    found = theirs(model, inputs)
    pairs = [("OpenCLIP - ours", ours(checkpoint, inputs, folder))]
    pairs.append(("OpenCLIP - ours, from the export", ours(target, inputs, folder)))
    if golden:
        pairs.append(("OpenCLIP - reference", {key: golden[f"eval/{key}"] for key in found}))
    worst = 0.0
    for title, other in pairs:
        for key, values in found.items():
            error = (values - other[key]).abs().max().item()
            size = values.abs().max().item()
            worst = max(worst, error)
            print(f"{name:<12} {title:<34} {key:<14} {error:.2e}  (largest value {size:.2f})")
    scale = (model.logit_scale.exp()).item()
    print(f"{name:<12} strict loading passed; logit_scale {scale:.3f}, {sum(p.numel() for p in model.parameters())} parameters")
    return worst


def main():
    torch.set_num_threads(1)
    print(f"open_clip {open_clip.__version__}, torch {torch.__version__}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for kind in ("vit", "rn"):
            golden = load_file(GOLDEN / f"{kind}_io.safetensors")
            worst = max(worst, check(kind, imported(kind, folder), folder, golden))
        for index, checkpoint in enumerate(sys.argv[1:]):
            worst = max(worst, check(f"run-{index}", Path(checkpoint), folder))
    print(f"largest difference {worst:.2e}, allowed {TOLERANCE:.0e}")
    sys.exit(worst > TOLERANCE)


main()
