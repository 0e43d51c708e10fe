"""How far PyTorch itself strays from a golden training log.

Trains `MODEL_train.json` again, from the same weights over the same batches with the same settings,
using open_clip's towers, and prints the relative difference of every figure to the log: once in f32,
once in f64, and once from weights moved by about one unit in the last place. What PyTorch does not
reproduce, no other implementation can be asked to.

    pip install torch open_clip_torch safetensors
    python tests/peers/golden_sensitivity.py crates/protoclip/tests/golden rn
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from torch import nn

UNDECAYED = ("bn", "ln", "bias", "logit_scale", "projection_head")
FIGURES = ("loss_clip", "loss_proto", "loss_external", "loss_total", "grad_norm")


def build(config, weights):
    vision, text = dict(config["vision"]), config["text"]
    if isinstance(vision["layers"], list):
        vision["layers"] = tuple(vision["layers"])
    model = CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=CLIPVisionCfg(**vision),
        text_cfg=CLIPTextCfg(**text),
        quick_gelu=config["quick_gelu"],
    )
    hidden, dim = config["projection"]["hidden_dim"], config["projection"]["dim"]
    for side in ("image", "text"):
        layers = (nn.Linear(config["embed_dim"], hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, dim))
        setattr(model, f"{side}_projection_head", nn.Sequential(*layers))
    model.logit_scale_proto = nn.Parameter(torch.tensor(0.0))
    model.load_state_dict(weights, strict=True)
    return model


def make_optimizer(model, train):
    groups = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim >= 2 and not any(part in name for part in UNDECAYED)
        groups.setdefault((decayed, name.startswith("visual")), []).append(parameter)
    settings = [
        {"params": parameters, "weight_decay": train["weight_decay"] if decayed else 0.0, "visual": visual}
        for (decayed, visual), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=1e-3, betas=train["betas"], eps=train["eps"])


def losses(model, io, train, samples):
    dtype = model.logit_scale.dtype
    z_image = model.encode_image(io["images"][samples].to(dtype))
    z_text = model.encode_text(io["tokens"][samples])
    scores = model.logit_scale.exp() * F.normalize(z_image, dim=-1) @ F.normalize(z_text, dim=-1).T
    diagonal = torch.arange(len(samples))
    clip = (F.cross_entropy(scores, diagonal) + F.cross_entropy(scores.T, diagonal)) / 2
    image = F.normalize(model.image_projection_head(z_image), dim=-1)
    text = F.normalize(model.text_projection_head(z_text), dim=-1)
    scale = model.logit_scale_proto.exp()

    def term(student, teacher, translated, soft):
        labels = io[f"{teacher}_labels"][samples]
        logits = scale * student @ io[translated].to(dtype).T
        if not soft:
            return F.cross_entropy(logits, labels)
        centroids = io[f"{teacher}_centroids"].to(dtype)
        target = F.softmax(centroids[labels] @ centroids.T / train["target_temperature"], dim=-1)
        return F.cross_entropy(logits, target)

    proto = (term(image, "text", "image_from_text", True) + term(text, "image", "text_from_image", True)) / 2
    external = (
        term(image, "external", "image_from_external", False) + term(text, "external", "text_from_external", False)
    ) / 2
    total = train["w_clip"] * clip + train["w_proto"] * proto + train["w_external"] * external
    return clip, proto, external, total


def differences(folder, name, dtype, moved):
    log = json.loads((folder / f"{name}_train.json").read_text())
    io = load_file(folder / f"{name}_io.safetensors")
    model = build(log["config"], load_file(folder / f"{name}_open_clip.safetensors"))
    torch.manual_seed(0)
    if moved:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 1e-7 * torch.randn_like(parameter))
    model = model.to(dtype).train()
    train = log["train"]
    optimizer = make_optimizer(model, train)
    for wanted, samples in zip(log["history"], io["batch_order"]):
        for group in optimizer.param_groups:
            group["lr"] = wanted["lr_visual" if group["visual"] else "lr_rest"]
        found = losses(model, io, train, samples)
        optimizer.zero_grad()
        found[-1].backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), train["max_grad_norm"])
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
            model.logit_scale_proto.clamp_(0, math.log(100))
        yield max(
            abs(value.item() - wanted[figure]) / max(abs(wanted[figure]), 1e-6)
            for figure, value in zip(FIGURES, (*found, norm))
        )


def main():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    courses = [
        list(differences(folder, name, dtype, moved))
        for dtype, moved in ((torch.float32, False), (torch.float64, False), (torch.float32, True))
    ]
    print(f"PyTorch {torch.__version__}, largest relative difference of a step to {name}_train.json")
    print("step        f32        f64   f32, weights moved by 1e-7")
    for step, row in enumerate(zip(*courses)):
        if step < 12 or step % 5 == 4:
            print(f"{step:4}   " + "   ".join(f"{value:8.1e}" for value in row))


main()
