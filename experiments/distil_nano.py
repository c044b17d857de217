"""How the nano models of `helpers/nano` are made: students that learn from the outputs of two real models.

    python -m experiments.distil_nano teach --teacher vit               # once for each teacher and view: cache what it says
    python -m experiments.distil_nano teach --teacher convnet
    python -m experiments.distil_nano train deit_nano_distilled_patch16_224 --epochs 8
    python -m experiments.distil_nano train deit_nano_distilled_patch16_224 --img-size 224 --keep 0.5 --epochs 3 \\
        --start deit_nano_distilled_patch16_224_112                     # the ViT starts from the same trunk: give its name
    python -m experiments.distil_nano export deit_nano_distilled_patch16_224 --run deit_nano_distilled_patch16_224_224

Teachers: ViT-Tiny (augreg) and MobileNetV2, from `$VISION_WEIGHTS`. Photographs: the 32,000 of Tiny-ImageNet, 64 x 64,
from `$AUDIO_DATA/tiny_imagenet_64px_*.zip`, or a folder in Tiny-ImageNet's own layout given with `--photographs`.
A view is one crop of each photograph, the same in every run; view 0 is the whole. The student sees what the teacher saw
(arXiv:2106.05237), mirrored or not, blended or not; of view 0 it sees new crops, and the teacher's tokens are read there.
It matches the teachers' probabilities and, through a projection thrown away afterwards, the ViT's last tokens averaged
over 7 x 7 regions. No tensor of a teacher enters a student. A run that was stopped goes on; when the checkpoints are
gone, `--start shipped` goes on from the weights of the project. Everything stays in `build/distil`, which git ignores.
"""

import argparse
import csv
import io
import math
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from helpers import backbones

WORK = Path("build/distil")
TEACHERS = {  # architecture, file, arguments, pixels: 160 are more than a photograph has, and half the time of 224
    "vit": ("vit_tiny_patch16_224", "vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors", {}, 224),
    "convnet": ("mobilenetv2_100", "mobilenetv2_100.tf_slim_in1k.safetensors", {"pad_type": "same"}, 160),
}
REGIONS = 7  # tokens are matched on a 7 x 7 grid: the student's own at 112 pixels
TUNING = 1000  # training photographs kept from the student: every choice was made on them, none on the held-out


# ---------------------------------------------------------------------------------------------- photographs and views
def read_photographs(folder: Path) -> tuple[Tensor, Tensor]:
    """Training (n, 3, 64, 64) and held-out photographs as uint8, from the two archives or Tiny-ImageNet's own folders."""
    cache = WORK / "photographs.npz"
    if not cache.exists():
        images, held_out = [], []
        for file, is_held_out in _files(folder):
            images.append(np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).transpose(2, 0, 1))
            held_out.append(is_held_out)
        WORK.mkdir(parents=True, exist_ok=True)
        np.savez(cache, images=np.stack(images), held_out=np.array(held_out))
    stored = np.load(cache)
    images, held_out = torch.from_numpy(stored["images"]), torch.from_numpy(stored["held_out"])
    return images[~held_out], images[held_out]


def _files(folder: Path):
    """Yield (bytes, held out?) for every photograph."""
    if archives := sorted(folder.glob("tiny_imagenet_64px_*.zip")):
        for archive in map(zipfile.ZipFile, archives):
            rows = csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"), encoding="utf-8"))
            yield from (
                (archive.read(row["file"]), row["split"] != "train")
                for row in rows
                if row["file"] in archive.NameToInfo
            )
    else:  # tiny-imagenet-200: the first 160 photographs of each class, and 2,400 of its validation set
        for wnid in sorted(folder.glob("train/n*")):
            yield from ((file.read_bytes(), False) for file in sorted(wnid.glob("images/*.JPEG"))[:160])
        yield from ((file.read_bytes(), True) for file in sorted(folder.glob("val/images/*.JPEG"))[:2400])


def view_boxes(count: int, view: int) -> np.ndarray:
    """(count, 4) corners top, left, bottom, right: view 0 is the whole photograph, the others are crops."""
    whole = np.tile(np.array([0, 0, 64, 64], dtype=np.int16), (count, 1))
    return random_boxes(count, np.random.default_rng((0, view))) if view else whole


def random_boxes(count: int, draw: np.random.Generator) -> np.ndarray:
    """Crops of 30 to 100 % of a photograph, between upright and lying 3 : 4."""
    area = draw.uniform(0.3, 1, count) * 64 * 64
    ratio = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3), count))
    height = np.clip(np.sqrt(area / ratio).round(), 24, 64).astype(int)
    width = np.clip(np.sqrt(area * ratio).round(), 24, 64).astype(int)
    top = (draw.uniform(0, 1, count) * (64 - height + 1)).astype(int)
    left = (draw.uniform(0, 1, count) * (64 - width + 1)).astype(int)
    return np.stack([top, left, top + height, left + width], axis=1).astype(np.int16)


def crop(images: Tensor, boxes: np.ndarray, img_size: int) -> Tensor:
    """(n, 3, 64, 64) uint8 -> (n, 3, img_size, img_size) between -1 and 1, each photograph cut to its box."""
    size = (img_size, img_size)
    if (boxes == (0, 0, 64, 64)).all():
        crops = F.interpolate(images.float(), size=size, mode="bicubic")
    else:
        parts = (image[None, :, y0:y1, x0:x1] for image, (y0, x0, y1, x1) in zip(images, boxes.tolist(), strict=True))
        crops = torch.cat([F.interpolate(part.float(), size=size, mode="bicubic") for part in parts])
    return crops.clamp_(0, 255).div_(127.5).sub_(1)


# ------------------------------------------------------------------------------------------------------------ teachers
def load_teacher(name: str, weights: Path) -> nn.Module:
    architecture, file, arguments, _ = TEACHERS[name]
    overlay = dict(file=str(weights / file))
    model = timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=overlay, **arguments)
    return model.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def teach(name: str, view: int, images: Tensor, weights: Path) -> None:
    """Store a teacher's logits (n, 1000), and the ViT's class token and regions (n, 1 + 49, 192), as float16."""
    if (WORK / f"{name}_{view}.done").exists():
        return
    teacher, boxes, count = load_teacher(name, weights), view_boxes(len(images), view), len(images)
    new = lambda kind, *shape: np.lib.format.open_memmap(WORK / f"{name}_{kind}_{view}.npy", "w+", np.float16, shape)
    logits = new("logits", count, 1000)
    tokens = new("tokens", count, 1 + REGIONS**2, 192) if name == "vit" else None
    start = time.time()
    for i in range(0, count, 64):
        x = crop(images[i : i + 64], boxes[i : i + 64], TEACHERS[name][-1]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            features = teacher.forward_features(x)
            logits[i : i + 64] = teacher.forward_head(features).float()
        if tokens is not None:
            tokens[i : i + 64] = torch.cat([features[:, :1].float(), regions(features[:, 1:].float())], dim=1)
        if i // 64 % 50 == 0:
            print(
                f"{name} view {view}: {i + 64} of {count}, {(i + 64) / (time.time() - start):.0f} images/s", flush=True
            )
    if name == "vit":
        x = crop(images[:256], view_boxes(len(images), 0)[:256], 224)  # one file for all views: of whole photographs
        tokens = teacher.blocks[0](teacher._pos_embed(teacher.patch_embed(x)))
        np.save(WORK / "vit_attention.npy", mean_attention(teacher, tokens, teacher.blocks[1]).numpy())
    (WORK / f"{name}_{view}.done").touch()


def mean_attention(model: nn.Module, tokens: Tensor, block: nn.Module) -> Tensor:
    """How much each patch looks at each other patch in one block, mean over photographs: (heads, patches, patches)."""
    qkv = block.attn.qkv(block.norm1(tokens[:, model.num_prefix_tokens :]))
    query, key, _ = qkv.unflatten(-1, (3, block.attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (block.attn.scale * query @ key.transpose(-1, -2)).float().softmax(dim=-1).mean(dim=0)


def regions(patch_tokens: Tensor) -> Tensor:
    """(n, side * side, dim) -> (n, 49, dim): mean over the patches of each of 7 x 7 regions."""
    side = math.isqrt(patch_tokens.shape[1])
    grid = patch_tokens.unflatten(1, (REGIONS, side // REGIONS, REGIONS, side // REGIONS))
    return grid.mean(dim=(2, 4)).flatten(1, 2)


# ------------------------------------------------------------------------------------------------------------- student
def student_outputs(
    model: nn.Module, x: Tensor, keep: float = 1.0
) -> tuple[list[Tensor], Tensor, Tensor, Tensor | None]:
    """Logits of each head; class token and patch tokens, or a ConvNet's 7 x 7 map; which patches; the first attention.

    With `keep` below 1 a ViT reads only that share of the patches, drawn anew for each batch: most of what it learns
    per photograph for a fraction of the time (arXiv:2212.00794).
    """
    if hasattr(model, "stages"):  # ConvNeXt: its third stage has stride 16, as the patches
        x = model.stem(x)
        for stage in model.stages[:3]:
            x = stage(x)
        places = F.adaptive_avg_pool2d(x, REGIONS).flatten(2).transpose(1, 2)
        return [model.forward_head(model.norm_pre(model.stages[3](x)))], places, torch.arange(REGIONS**2), None
    tokens, prefix, count = (
        model._pos_embed(model.patch_embed(x)),
        model.num_prefix_tokens,
        model.patch_embed.num_patches,
    )
    shown = torch.randperm(count)[: round(keep * count)]
    tokens = torch.cat([tokens[:, :prefix], tokens[:, prefix:][:, shown]], dim=1)
    attention = (
        mean_attention(model, tokens[:16], model.blocks[0]) if model.training else None
    )  # 16 photographs are enough for a mean
    tokens = model.norm(model.blocks(tokens))
    heads = [model.head(tokens[:, 0])] + ([model.head_dist(tokens[:, 1])] if prefix == 2 else [])
    return heads, torch.cat([tokens[:, :1], tokens[:, prefix:]], dim=1), shown, attention


def kl(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of KL(target || student) in nats, for target probabilities (batch, 1000)."""
    return F.kl_div(F.log_softmax(logits.float(), dim=-1), target, reduction="batchmean")


def new_student(name: str, img_size: int) -> nn.Module:
    """timm's initialisation, but for the stem's scale: a tenth, so that filters show what was learned and not the noise."""
    torch.manual_seed(0)
    model = timm.create_model(name, **({} if name.startswith("convnext") else {"img_size": img_size}))
    with torch.no_grad():
        (model.stem[0] if hasattr(model, "stem") else model.patch_embed.proj).weight.mul_(0.1)
    return model


def fit_positions(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Resample the position table of a checkpoint, and leave out the distillation token if the model has none."""
    if "pos_embed" not in state:
        return state
    own, prefix = model.state_dict(), model.num_prefix_tokens
    if "dist_token" in state and "dist_token" not in own:
        table = state["pos_embed"]
        state = {k: v for k, v in state.items() if k in own} | {
            "pos_embed": torch.cat([table[:, :1], table[:, 2:]], dim=1)
        }
    table = resample_abs_pos_embed(state["pos_embed"], list(model.patch_embed.grid_size), num_prefix_tokens=prefix)
    return state | {"pos_embed": table}


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 5 % (500 steps at most), then a half cosine to zero."""
    warm = min(500, steps // 20 + 1)
    return peak * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * min(1, step / steps)))


def new_optimizers(model: nn.Module, project: nn.Module, kind: str) -> list[torch.optim.Optimizer]:
    """AdamW for all, or Muon for the matrices inside the blocks and AdamW for the rest; no decay on norms, biases, tokens."""
    named = [*model.named_parameters(), *((f"project.{name}", p) for name, p in project.named_parameters())]
    inside = {name for name, p in named if kind == "muon" and p.ndim == 2 and name.startswith(("blocks.", "stages."))}
    undecayed = {name for name, p in named if p.ndim < 2 or name in ("pos_embed", "cls_token", "dist_token")}
    group = lambda names, decay: {"params": [p for name, p in named if name in names], "weight_decay": decay}
    others = {name for name, _ in named} - inside
    adamw = torch.optim.AdamW([group(others - undecayed, 0.05), group(undecayed, 0.0)], fused=True)
    if not inside:
        return [adamw]
    return [adamw, torch.optim.Muon(group(inside, 0.05)["params"], weight_decay=0.05, adjust_lr_fn="match_rms_adamw")]


def train(
    name: str,
    images: Tensor,
    *,
    img_size: int,
    epochs: float,
    peak: float,
    start: str,
    run: str,
    batch: int,
    optimizer: str,
    keep: float = 1.0,
) -> None:
    """Train a student on the cached views; stop it and start it again at will, the state is in `build/distil/<run>.pt`.

    Args:
        name, img_size: The student and its pixels.
        epochs, peak, batch, optimizer: Length, highest learning rate, photographs a step, "adamw" or "muon".
        start: Run to start from; "shipped" for the weights of the project; "" for a fresh student.
        keep: Share of the patches that a ViT is shown in training.
    """
    model = new_student(name, img_size)
    project = nn.Linear(128, 192) if hasattr(model, "stages") else nn.Linear(192, 192 + 2 * REGIONS)
    if start == "shipped":
        model.load_state_dict(fit_positions(load_file(backbones.NANO / f"{name}.safetensors"), model))
    elif start:
        stored = torch.load(WORK / f"{start}.pt", weights_only=True)
        model.load_state_dict(fit_positions(stored["model"], model))
        project.load_state_dict(stored["project"])
    if hasattr(model, "stages"):
        model = model.to(memory_format=torch.channels_last)
    optimizers = new_optimizers(model, project, optimizer)
    checkpoint = WORK / f"{run}.pt"
    first = resume(checkpoint, model, project, optimizers)
    views, count = open_views(), len(images) - TUNING
    steps = round(epochs * count / batch)
    clock, losses = time.time(), []
    for step in range(first, steps):
        draw = np.random.default_rng((1, step))
        order = np.random.default_rng((2, step * batch // count)).permutation(count)
        chosen = np.sort(order[step * batch % count :][:batch])
        loss, parts = student_loss(
            model, project, images[chosen], draw.choice(views), chosen, img_size=img_size, draw=draw, keep=keep
        )
        for group in (group for each in optimizers for group in each.param_groups):
            group["lr"] = learning_rate(step, steps, peak)
        model.zero_grad()
        project.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*model.parameters(), *project.parameters()], 1.0)
        for each in optimizers:
            each.step()
        losses.append(parts)
        last = step + 1 == steps
        if last or (step + 1) % 50 == 0:
            means = ", ".join(f"{key} {np.mean([part[key] for part in losses]):.3f}" for key in parts)
            speed = len(losses) * batch / (time.time() - clock)
            print(
                f"{run} {step + 1}/{steps}, epoch {(step + 1) * batch / count:.2f}, {means}, {speed:.0f} images/s",
                flush=True,
            )
            clock, losses = time.time(), []
        if last or (step + 1) % 250 == 0:
            save(checkpoint, model, project, optimizers, step + 1)
        if last or (step + 1) % 500 == 0:
            print(f"{run} tuning slice: {tuning_agreement(model, images, views[0], img_size)}", flush=True)


def resume(checkpoint: Path, model: nn.Module, project: nn.Module, optimizers: list) -> int:
    """Load a checkpoint, if there is one, and return the number of steps that it has behind it."""
    if not checkpoint.exists():
        return 0
    stored = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(stored["model"])
    project.load_state_dict(stored["project"])
    for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    return stored["step"]


def save(checkpoint: Path, model: nn.Module, project: nn.Module, optimizers: list, step: int) -> None:
    """Write a checkpoint under another name and rename it: it is whole or not there."""
    states = [optimizer.state_dict() for optimizer in optimizers]
    part = checkpoint.with_suffix(".part")
    torch.save(dict(model=model.state_dict(), project=project.state_dict(), optimizers=states, step=step), part)
    part.replace(checkpoint)


def open_views() -> list[dict]:
    """What both teachers said about each view, as arrays on disk, and what the ViT's tokens are measured by."""
    numbers = sorted(int(done.stem.split("_")[1]) for done in WORK.glob("vit_*.done"))
    return [_open_view(number) for number in numbers if (WORK / f"convnet_{number}.done").exists()]


def _open_view(number: int) -> dict:
    arrays = {
        kind: np.load(WORK / f"{kind}_{number}.npy", mmap_mode="r")
        for kind in ("vit_logits", "convnet_logits", "vit_tokens")
    }
    sample = torch.from_numpy(arrays["vit_tokens"][:2000].astype(np.float32))
    return arrays | dict(
        whole=number == 0,
        boxes=view_boxes(len(arrays["vit_tokens"]), number),
        mean=sample.mean(dim=0),
        std=sample.std(dim=(0, 1)),
        attention=torch.from_numpy(np.load(WORK / "vit_attention.npy")),
    )


def augment(
    x: Tensor, tokens: Tensor, probabilities: list[Tensor], boxes: np.ndarray, draw
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Mirror half of the photographs and blend half of the batches, and the teachers' answers with them.

    The teacher's tokens (batch, 1 + 49, 192) are read where the crop `boxes` of the photograph lies: the regions of
    the crop, by bilinear interpolation between the regions of the whole.
    """
    flipped = torch.from_numpy(draw.random(len(x)) < 0.5)
    x = torch.where(flipped[:, None, None, None], x.flip(-1), x)
    top, left, bottom, right = (
        torch.from_numpy(boxes.astype(np.float32)).T / 64 * 2 - 1
    )  # grid_sample counts from -1 to 1
    left, right = torch.where(flipped, right, left), torch.where(flipped, left, right)
    zero = torch.zeros_like(top)
    across = torch.stack([(right - left) / 2, zero, (right + left) / 2], dim=-1)
    down = torch.stack([zero, (bottom - top) / 2, (bottom + top) / 2], dim=-1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), [len(x), 192, REGIONS, REGIONS], align_corners=False)
    regions_of_whole = tokens[:, 1:].transpose(1, 2).unflatten(2, (REGIONS, REGIONS))
    regions_of_crop = F.grid_sample(regions_of_whole, grid, padding_mode="border", align_corners=False)
    tokens = torch.cat([tokens[:, :1], regions_of_crop.flatten(2).transpose(1, 2)], dim=1)
    if draw.random() < 0.5:
        share = draw.beta(0.5, 0.5)
        blend = lambda values: share * values + (1 - share) * values.roll(1, dims=0)
        x, tokens, probabilities = blend(x), blend(tokens), [blend(each) for each in probabilities]
    return x, tokens, probabilities


def student_loss(model, project, images, view, chosen, *, img_size, draw, keep) -> tuple[Tensor, dict[str, float]]:
    """KL to both teachers, the squared distance to the ViT's tokens in units of their spread, and two for the places.

    Photographs and their mirror images, seen equally often, ask for a position table that is symmetric, which on a
    spectrogram would confuse the beginning with the end. Against it the projection also names the row and the column
    of each token, and the first block's heads look about as the ViT's second block's do, two at neighbours, one far.
    """
    crops = random_boxes(len(chosen), draw) if view["whole"] else view["boxes"][chosen]
    inside = crops if view["whole"] else view_boxes(len(chosen), 0)  # of a view's own crop the teacher saw no more
    target = (torch.from_numpy(view["vit_tokens"][chosen].astype(np.float32)) - view["mean"]) / view["std"]
    logits = [torch.from_numpy(view[f"{teacher}_logits"][chosen].astype(np.float32)) for teacher in TEACHERS]
    probabilities = [each.softmax(dim=-1) for each in logits]
    x, target, (vit, convnet) = augment(crop(images, crops, img_size), target, probabilities, inside, draw)
    with torch.autocast("cpu", torch.bfloat16):
        heads, matched, shown, attention = student_outputs(model, x, keep)
        matched = project(matched).float()
    losses = {"kl_vit": kl(heads[0], vit)}
    if len(heads) > 1 or attention is None:  # the plain ViT learns from the ViT alone
        losses["kl_convnet"] = kl(heads[-1], convnet)
    if attention is None:  # a ConvNet has no class token and no table of positions
        losses["tokens"] = F.mse_loss(matched, target[:, 1:])
    else:
        side = model.patch_embed.grid_size[0]
        region = torch.stack([shown // side, shown % side], dim=-1) * REGIONS // side  # row and column
        same_places = target[:, 1:][:, region @ torch.tensor([REGIONS, 1])]
        losses["tokens"] = F.mse_loss(matched[:, 1:, :192], same_places) + F.mse_loss(matched[:, 0, :192], target[:, 0])
        named = matched[:, 1:, 192:].unflatten(-1, (2, REGIONS)).permute(0, 3, 1, 2)  # (batch, 7, tokens, 2)
        losses["places"] = 0.1 * F.cross_entropy(named, region.expand(len(x), -1, -1))
        if side == 2 * REGIONS:  # the teacher's own grid: at 224 pixels
            wanted = view["attention"][:, shown][:, :, shown]
            wanted = wanted / wanted.sum(dim=-1, keepdim=True)
            losses["attention"] = 0.5 * kl(attention.log().flatten(0, 1), wanted.flatten(0, 1))
    return sum(losses.values()), {key: loss.item() for key, loss in losses.items()}


@torch.inference_mode()
def tuning_agreement(model: nn.Module, images: Tensor, view: dict, img_size: int) -> str:
    """Share of the tuning slice on which each head names the same class of 1000 as its teacher."""
    model.eval()
    found = []
    for part in torch.arange(len(images) - TUNING, len(images)).split(200):
        with torch.autocast("cpu", torch.bfloat16):
            heads, *_ = student_outputs(model, crop(images[part], view["boxes"][part], img_size))
        found.append(torch.stack([head.argmax(-1) for head in heads]))
    found = torch.cat(found, dim=1)
    model.train()
    vit, convnet = (torch.from_numpy(view[f"{t}_logits"][-TUNING:].astype(np.float32)).argmax(-1) for t in TEACHERS)
    agree = lambda a, b: f"{(a == b).float().mean():.1%}"
    return f"agreement with ViT-Tiny {agree(found[0], vit)}, with MobileNetV2 {agree(found[-1], convnet)}, of the heads {agree(*found[[0, -1]])}"


def export(name: str, run: str) -> None:
    """Write a checkpoint as float16 at 224 pixels to `helpers/nano/<name>.safetensors`."""
    model = new_student(name, 224)
    model.load_state_dict(fit_positions(torch.load(WORK / f"{run}.pt", weights_only=True)["model"], model))
    part = backbones.NANO / f"{name}.part"
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, part)
    part.chmod(0o644)
    part.replace(backbones.NANO / f"{name}.safetensors")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["teach", "train", "export"])
    parser.add_argument("model", nargs="?", choices=list(backbones.default_cfgs))
    parser.add_argument("--photographs", type=Path, default=Path(os.environ.get("AUDIO_DATA", ".")))
    parser.add_argument("--weights", type=Path, default=Path(os.environ.get("VISION_WEIGHTS", ".")))
    parser.add_argument("--teacher", choices=list(TEACHERS))
    parser.add_argument("--view", type=int, default=0)
    parser.add_argument("--img-size", type=int, default=112)
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--keep", type=float, default=1.0, help="share of the patches shown to the student")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="muon")
    parser.add_argument("--start", default="", help="run whose weights to start from, or `shipped`")
    parser.add_argument("--run", help="name of the checkpoint, <model>_<img-size> unless given")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    run = arguments.run or f"{arguments.model}_{arguments.img_size}"
    if arguments.command == "export":
        export(arguments.model, run)
        return
    images, _ = read_photographs(arguments.photographs)
    if arguments.command == "teach":
        teach(arguments.teacher, arguments.view, images, arguments.weights)
        return
    train(
        arguments.model,
        images,
        img_size=arguments.img_size,
        epochs=arguments.epochs,
        peak=arguments.lr,
        start=arguments.start,
        run=run,
        batch=arguments.batch,
        optimizer=arguments.optimizer,
        keep=arguments.keep,
    )


if __name__ == "__main__":
    main()
