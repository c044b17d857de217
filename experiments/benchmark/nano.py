"""How good are the embedded models? Every goal that was set for them, measured in one run.

    python -m experiments.benchmark nano             # all of it, about 3 minutes on one core
    python -m experiments.benchmark nano --figure    # draws helpers/nano/positions_and_filters.png from the weights

Needs the real ViT-Tiny and MobileNetV2 in `$VISION_WEIGHTS`, and `tiny_imagenet_64px_1.zip` and ESC-10 in `$AUDIO_DATA`.
What is missing is said in its row. The held-out photographs serve this measurement alone: nothing was chosen on them.
"""

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import timm
import torch
from torch import Tensor, nn

from experiments import distil_nano
from helpers import backbones, clips, figures, heads, patches, positions, session, spectrograms

VIT, DEIT, CONVNET = "vit_nano_patch16_224", "deit_nano_distilled_patch16_224", "convnext_nano_patch4_224"


@dataclass
class Row:
    """One line of the table."""

    what: str
    value: str
    goal: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "reached", False: "NOT reached"}[self.reached]
        return f"{self.what:<66} {self.value:>22}  {self.goal:<22} {verdict}"


# ------------------------------------------------------------------------------------------- what the weights alone tell
def neighbours_above_far(model: nn.Module) -> float:
    """Mean cosine of a place to its four neighbours, less that to places 5 or more steps (rows plus columns) away."""
    grid = model.patch_embed.grid_size
    cosines = positions.similarity(model.pos_embed.detach(), grid=grid, num_prefix_tokens=model.num_prefix_tokens)
    row, column = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    steps = (row[..., None, None] - row).abs() + (column[..., None, None] - column).abs()
    return (cosines[steps == 1].mean() - cosines[steps >= 5].mean()).item()


def mirrored_share(model: nn.Module) -> float:
    """Share of the table's variance that is the same left and right: 1 where the table cannot tell them apart."""
    table = model.pos_embed.detach()[0, model.num_prefix_tokens :].unflatten(0, model.patch_embed.grid_size)
    table = table - table.mean(dim=(0, 1))
    return (((table + table.flip(1)) / 2).square().sum() / table.square().sum()).item()


def low_frequency_share(weight: Tensor) -> float:
    """Share of the filters' energy below half the Nyquist frequency along both axes; noise has a quarter of it there.

    The spectrum is taken on a grid fine enough that its edge falls between two frequencies: 4 times the filter's size.
    """
    size = 4 * max(weight.shape[-2:])
    spectrum = torch.fft.fft2(weight.float(), s=(size, size)).abs().square()
    frequency = torch.fft.fftfreq(size).abs()  # cycles per pixel; Nyquist is 0.5
    low = (frequency < 0.25).outer(frequency < 0.25)
    return (spectrum[..., low].sum() / spectrum.sum()).item()


def energy_kept(weight: Tensor) -> float:
    """Share of the whole stem's energy that is left when the colour planes are summed."""
    energy = weight.square().sum(dim=(1, 2, 3))
    return ((patches.energy_kept(weight).nan_to_num() * energy).sum() / energy.sum()).item()


def stem_weight(model: nn.Module) -> Tensor:
    return model.get_submodule(model.pretrained_cfg["first_conv"]).weight.detach()


def weights_rows(here) -> list[Row]:
    rows, names = [], (VIT, DEIT, CONVNET, "vit_tiny_patch16_224", "mobilenetv2_100")
    models = {name: backbones.create(name, here) for name in names if backbones.locate(name, here.weights)}
    for name, model in models.items():
        if hasattr(model, "pos_embed"):
            value = neighbours_above_far(model)
            goal = (">= 0.40", value >= 0.4) if name in (VIT, DEIT) else ("", None)
            rows.append(Row(f"{name}: neighbours above far places, cosine", f"{value:.2f}", *goal))
            rows.append(Row(f"{name}: share of positions mirrored left to right", f"{mirrored_share(model):.0%}"))
    for name, model in models.items():
        value = low_frequency_share(stem_weight(model))
        goal = (
            (">= 60 %", value >= 0.6) if name in (VIT, DEIT) else ("", None)
        )  # 3 or 4 pixels have no room for slow waves
        rows.append(Row(f"{name}: filter energy below half Nyquist", f"{value:.0%}", *goal))
    for name, model in models.items():
        kept = f"{energy_kept(stem_weight(model)):.2f}"
        rows.append(Row(f"{name}: stem energy kept by the sum", kept, "random 0.33"))
    untrained = backbones.create(VIT, here, pretrained=False)
    kept = f"{energy_kept(stem_weight(untrained)):.2f}"
    return [*rows, Row(f"{VIT}, random: stem energy kept by the sum", kept)]


# ------------------------------------------------------------------------------------------------------------ photographs
@torch.inference_mode()
def named_classes(model: nn.Module, images: Tensor) -> Tensor:
    """Class of 1000 that each head names for each photograph, (heads, n), in float32 at 224 pixels."""
    model.eval()
    found = []
    for part in images.split(50):
        x = distil_nano.crop(part, distil_nano.view_boxes(len(part), 0), 224)
        logits = heads.both_logits(model, x) if hasattr(model, "head_dist") else [model(x)]
        found.append(torch.stack([each.argmax(dim=-1) for each in logits]))
    return torch.cat(found, dim=1)


def teachers_classes(name: str, weights: Path, images: Tensor) -> Tensor:
    """What a teacher names each photograph, (n,), computed once: it does not change."""
    file = distil_nano.WORK / f"{name}_held_out.npy"
    if not file.exists():
        np.save(file, named_classes(distil_nano.load_teacher(name, weights), images)[0].numpy())
    return torch.from_numpy(np.load(file))


def agreement_rows(here, photographs: Path) -> list[Row]:
    if not (photographs / "tiny_imagenet_64px_1.zip").exists() or here.weights is None:
        return [Row("agreement with the teachers", "not measured: needs $AUDIO_DATA and $VISION_WEIGHTS")]
    _, images = distil_nano.read_photographs(photographs)
    teacher, other = (teachers_classes(name, here.weights, images) for name in distil_nano.TEACHERS)
    share = lambda a, b: (a == b).float().mean().item()
    rows = [
        Row(f"photographs held out: {len(images)}; ViT-Tiny agrees with MobileNetV2", f"{share(teacher, other):.1%}")
    ]
    for name in (VIT, DEIT, CONVNET):
        found = named_classes(backbones.create(name, here), images)
        value = share(found[0], teacher)
        goal = ("", None) if name == CONVNET else (">= 25 % (reach 35 %)", value >= 0.25)
        rows.append(Row(f"{name}: agreement with ViT-Tiny, 1000 classes", f"{value:.1%}", *goal))
        rows.append(
            Row(
                f"{name}: {'second head, ' if len(found) > 1 else ''}agreement with MobileNetV2",
                f"{share(found[-1], other):.1%}",
            )
        )
        if len(found) > 1:
            differ = 1 - share(*found)
            rows.append(
                Row(f"{name}: photographs on which the heads differ", f"{differ:.1%}", ">= 5 %", differ >= 0.05)
            )
    return rows


# ------------------------------------------------------------------------------------------------------------------ sound
def probe(name: str, here, x: Tensor, sounds, pretrained: bool) -> np.ndarray:
    """Accuracy in each official fold of a linear probe on the frozen model's features."""
    torch.manual_seed(here.seed)
    sizes = {} if name == CONVNET else {"img_size": here.img_size}
    model = backbones.create(name, here, pretrained=pretrained, in_chans=1, **sizes)
    return heads.linear_probe(heads.embed(model, x), sounds.table["label"].to_numpy(), sounds.table["fold"].to_numpy())


def transfer_rows(here, dataset: str) -> list[Row]:
    if clips.locate(dataset) is None:
        return [Row(f"{dataset}: linear probe", "not measured: no clips")]
    sounds = clips.load(dataset, sample_rate=here.sample_rate)
    features = spectrograms.features(sounds, spectrograms.LogMel(**here.log_mel), seconds=here.seconds)
    x = spectrograms.standardize(
        features, *spectrograms.fit_statistics(features)
    )  # a probe's own scaler follows, fitted inside the folds
    rows = []
    for name in (VIT, DEIT, CONVNET):
        trained, random = (probe(name, here, x, sounds, pretrained) for pretrained in (True, False))
        gain = 100 * (trained.mean() - random.mean())
        spread = lambda folds: f"{folds.mean():.1%} ± {folds.std(ddof=1):.1%}"
        apart = trained.mean() - trained.std(ddof=1) > random.mean() + random.std(ddof=1)
        rows.append(Row(f"{dataset}, {name}: probe, {len(trained)} folds", spread(trained)))
        rows.append(Row(f"{dataset}, {name}: the same, random weights", spread(random)))
        goal = (">= 15 points", gain >= 15) if dataset == "esc10" else ("spreads apart", bool(apart))
        rows.append(Row(f"{dataset}, {name}: gain in points", f"{gain:+.1f}", *goal))
    return rows


# ------------------------------------------------------------------------------------------------------------------- time
@torch.inference_mode()
def forward_seconds(models: list[nn.Module], repeats: int = 15) -> list[float]:
    """Best time of one 224 x 224 image, the models taking turns so that a busy machine disturbs all alike."""
    x, best = torch.randn(1, 3, 224, 224), [math.inf] * len(models)
    for _ in range(repeats):
        for i, model in enumerate(models):
            start = time.perf_counter()
            model.eval()(x)
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def time_rows(here) -> list[Row]:
    names = ("vit_tiny_patch16_224", VIT, DEIT, CONVNET)
    tiny, *nanos = forward_seconds([backbones.create(name, here, pretrained=False) for name in names])
    return [Row("vit_tiny_patch16_224: one image forward", f"{1000 * tiny:.1f} ms")] + [
        Row(f"{name}: one image forward, in ViT-Tiny's time", f"{seconds / tiny:.2f}", "<= 0.40", seconds / tiny <= 0.4)
        for name, seconds in zip(names[1:], nanos, strict=True)
    ]


# ----------------------------------------------------------------------------------------------------------------- figure
def draw(path: Path) -> None:
    """Position similarity seen from nine places, and the 24 strongest colour filters, of the ViT's shipped weights."""
    model = timm.create_model(VIT, pretrained=True)
    grid = model.patch_embed.grid_size
    cosines = positions.similarity(model.pos_embed.detach(), grid=grid, num_prefix_tokens=1)
    weight = stem_weight(model)
    strongest = weight.square().sum(dim=(1, 2, 3)).argsort(descending=True)[:24]
    fig = plt.figure(figsize=(9, 4.2), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1, 1.25))
    left.suptitle("Neighbours resemble each other, and\nleft mirrors right (cosine to the place marked)", fontsize=10)
    for ax, (row, column) in zip(
        left.subplots(3, 3).flat, [(r, c) for r in (2, 7, 11) for c in (2, 7, 11)], strict=True
    ):
        image = ax.imshow(cosines[row, column].numpy(), cmap=figures.SIMILARITY_MAP, vmin=-1, vmax=1)
        ax.plot(column, row, marker="s", markersize=4, markerfacecolor="none", markeredgecolor="white")
        ax.set(xticks=[], yticks=[])
    left.colorbar(image, ax=left.axes, shrink=0.7, label="cosine")
    right.suptitle(
        "The 24 strongest of 192 filters: light, dark and colour edges,\nwritten in by the photographs", fontsize=10
    )
    figures.plot_filters(weight[strongest], title="", ax=right.subplots(), columns=6)
    fig.savefig(path, dpi=90)
    plt.close(fig)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark nano",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--figure", action="store_true", help="only draw helpers/nano/positions_and_filters.png")
    parser.add_argument("--only", nargs="*", choices=["weights", "agreement", "esc10", "synthetic", "time"])
    arguments = parser.parse_args(argv)
    if arguments.figure:
        draw(backbones.NANO / "positions_and_filters.png")
        return
    here = session.start("offline")
    here = replace(here, weights=session.folder("VISION_WEIGHTS"), data=session.folder("AUDIO_DATA"))
    measures = {
        "weights": lambda: weights_rows(here),
        "time": lambda: time_rows(here),
        "synthetic": lambda: transfer_rows(here, "synthetic"),
        "esc10": lambda: transfer_rows(here, "esc10"),
        "agreement": lambda: agreement_rows(here, here.data or Path()),
    }
    for name in arguments.only or measures:
        for row in measures[name]():
            print(row, flush=True)
