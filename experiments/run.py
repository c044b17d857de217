"""The recorded runs: `python -m experiments.run NAME` makes what an experiment lacks and appends it to NAME.csv.

    esc10            pretrained and from scratch, three seeds; frozen and half-frozen, one seed
    nano             the embedded models on ESC-10, pretrained and from scratch, three seeds
    channels         how the stem's three colours became one channel
    positions        how the table of positions came to its new grid
    recipe           the recipe with one part changed at a time
    learning_curve   2 to 32 clips a class, pretrained and from scratch
    averaged         several models' probabilities averaged: ViT and ConvNet, three seeds, both
    tuning           what the recipe was chosen by: validation clips inside the training folds, no test clip

    python -m experiments.run esc10 --threads 1         # may run twice: two processes share the work
    python -m experiments.run esc10 --dataset esc50     # on the gpu profile, into esc10_esc50.csv; not run here
    python -m experiments.run esc10 --list              # what is there and what is missing

A run trains on four official folds for a number of epochs fixed before, and is tested once, on the fifth. It is one row,
written when it is done, and never made again; stopped, it goes on from its last epoch. Models and sounds are those of
`session.start()`: set VISION_WEIGHTS and AUDIO_DATA, or have a network. Checkpoints lie in RUNS until the row is written;
what the members of `averaged` said of the test clips is kept in `predictions`, and they are trained again if it is not there.
"""

import argparse
import hashlib
import itertools
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import timm
import torch
from accelerate.utils import set_seed
from scipy.special import softmax
from torch import Tensor, nn

from helpers import backbones, clips, fine_tuning, patches, positions, recorded, session, spectrograms
from helpers.fine_tuning import Recipe

RECIPES = {
    "vit": Recipe(epochs=25, lr=2e-4, layer_decay=0.75, mixup=1.0),
    "convnet": Recipe(epochs=25, lr=1e-3, layer_decay=None, mixup=1.0),
}
RECIPES["deit"] = RECIPES["vit"]
SOUND = {"log_floor": 1e-2}  # how deep silence is: `tuning` has the lower ones
NANO = session.PROFILES["offline"]
FOLDS = range(1, 6)


@dataclass(frozen=True)
class Run:
    """One training and its test."""

    variant: str
    role: str = "vit"
    pretrained: bool = True
    recipe: Recipe = RECIPES["vit"]
    nano: bool = False  # the embedded model of that role, whatever the session has
    change: Callable[[nn.Module, str], None] | None = None  # what is done to the new model; it may use the model's name
    in_chans: int = 1
    patch_drop: float = 0.25  # share of the patches that a ViT does not see in training, PaSST's patchout
    sound: dict = field(default_factory=dict)  # settings of the session that differ, beside SOUND
    clips_per_class: int | None = None  # all of them
    inner: bool = False  # tested on validation clips inside the training folds
    fold: int = 1
    seed: int = 0
    kept: bool = False  # whether its logits are kept, for averages
    members: tuple["Run", ...] = ()  # in place of a training: the runs whose probabilities are averaged


# ----------------------------------------------------------------------------------------------------- the experiments
def esc10() -> list[Run]:
    models = [
        Run("full", role, trained, RECIPES[role], kept=trained)
        for role in ("vit", "convnet")
        for trained in (True, False)
    ]
    parts = {"frozen": freeze, "half-frozen": freeze_half}
    less = [
        Run(name, role, recipe=RECIPES[role], change=change)
        for role in ("vit", "convnet")
        for name, change in parts.items()
    ]
    return on_folds(models) + on_folds(less) + on_folds(models, seeds=(1, 2))


def nano() -> list[Run]:
    models = [Run("full", role, trained, RECIPES[role], nano=True) for role in RECIPES for trained in (True, False)]
    return on_folds(models, seeds=(0, 1, 2))


def channels() -> list[Run]:
    variants = [
        Run("sum"),
        Run("mean", change=average_stem),
        Run("copy", change=copy_input, in_chans=3),
        Run("random", change=redraw_stem),
    ]
    return on_folds(variants)


def position_tables() -> list[Run]:
    tables = {"cropped": crop_table, "re-initialised": redraw_table, "shuffled": shuffle_table, "trapped": trap_table}
    return on_folds([Run("interpolated"), *(Run(name, change=change) for name, change in tables.items())])


def recipe() -> list[Run]:
    base = RECIPES["vit"]
    changes = {
        "whole recipe": {},
        "without mixup": {"mixup": 0.0},
        "without masks": {"max_mels": 0, "max_frames": 0},
        "without roll": {"roll": False},
        "without gain": {"gain_db": 0.0},
        "without layer decay": {"layer_decay": None},
        "12 epochs": {"epochs": 12},
        "50 epochs": {"epochs": 50},
        "float32": {"precision": "no"},
    }
    parts = [Run(name, recipe=replace(base, **change)) for name, change in changes.items()]
    parts.append(Run("all patches", patch_drop=0.0))
    parts.append(Run("log floor 1e-7", sound={"log_floor": 1e-7}))
    parts.append(Run("16 kHz", sound={"sample_rate": 16_000, "n_fft": 1024, "hop_length": 320}))
    parts.append(Run("100 frames a second", sound={"hop_length": 320}))
    parts.append(Run("patches that overlap", change=overlap_patches))
    return on_folds(parts)


def learning_curve() -> list[Run]:
    """Every size gets 200 updates: few clips are seen more often, not less."""
    runs = []
    for count in (2, 4, 8, 16, 32):
        updates_per_epoch = -(-10 * count // RECIPES["vit"].batch_size)
        epochs = replace(RECIPES["vit"], epochs=round(200 / updates_per_epoch))
        runs += [
            Run(f"{count} clips a class", "vit", trained, epochs, clips_per_class=count) for trained in (True, False)
        ]
    return on_folds(runs)


def averaged() -> list[Run]:
    """ViT and ConvNet together, for each seed; and three seeds of the one, of the other, and of both."""
    of_role = {role: Run("full", role, recipe=RECIPES[role], kept=True) for role in ("vit", "convnet")}
    vit, convnet = (on_folds([one], seeds=(0, 1, 2)) for one in of_role.values())
    runs = [replace(one, variant="averaged", members=(one, other)) for one, other in zip(vit, convnet, strict=True)]
    for models in (vit, convnet, vit + convnet):
        of_fold = {fold: tuple(one for one in models if one.fold == fold) for fold in FOLDS}
        runs += [Run("three seeds averaged", members=members, fold=fold) for fold, members in of_fold.items()]
    return runs


def tuning() -> list[Run]:
    """On validation clips inside the training folds; all that was tried to its end, some of it on two of the five folds."""
    vit, deep = RECIPES["vit"], {"log_floor": 1e-7}
    runs = on_folds(
        [
            Run("recipe"),
            Run("log floor 1e-7", sound=deep),
            Run("log floor 1e-7", "convnet", recipe=RECIPES["convnet"], sound=deep),
            Run("log floor 1e-7, all patches", sound=deep, patch_drop=0.0),
        ]
    )
    runs += on_folds(
        [
            Run("recipe", "convnet", recipe=RECIPES["convnet"]),
            Run("log floor 1e-7, half of the patches", sound=deep, patch_drop=0.5),
            Run(
                "log floor 1e-7, half of the patches, 50 epochs",
                recipe=replace(vit, epochs=50),
                sound=deep,
                patch_drop=0.5,
            ),
            Run("log floor 1e-7, rate 5e-4", recipe=replace(vit, lr=5e-4), sound=deep),
            Run("log floor 1e-7, rate 1e-4", recipe=replace(vit, lr=1e-4), sound=deep),
        ],
        folds=(1, 2),
    )
    return [replace(run, inner=True) for run in runs]


EXPERIMENTS = {
    "esc10": esc10,
    "nano": nano,
    "channels": channels,
    "positions": position_tables,
    "recipe": recipe,
    "learning_curve": learning_curve,
    "averaged": averaged,
    "tuning": tuning,
}


def on_folds(runs: list[Run], seeds=(0,), folds=FOLDS) -> list[Run]:
    """Each run on each fold; one seed of all before the next, so that a stopped experiment compares like with like."""
    return [
        replace(run, fold=fold, seed=seed, recipe=replace(run.recipe, seed=seed))
        for seed, run, fold in itertools.product(seeds, runs, folds)
    ]


# ------------------------------------------------------------------------------------------ what is done to a new model
def freeze(model: nn.Module, name: str) -> None:
    """Only the heads learn; batch norms keep counting their statistics."""
    learning = {id(parameter) for head in _heads(model) for parameter in head.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def freeze_half(model: nn.Module, name: str) -> None:
    """The second half of the blocks learns, and all that comes after them; stem, tokens and positions stay."""
    freeze(model, name)
    children = dict(model.named_children())
    after = list(children)[list(children).index("blocks") + 1 :]
    half = list(model.blocks)[len(model.blocks) // 2 :]
    for module in [*half, *(children[each] for each in after)]:
        module.requires_grad_(True)


def _heads(model: nn.Module) -> list[nn.Module]:
    heads = model.get_classifier()
    return list(heads) if isinstance(heads, (tuple, list)) else [heads]


def average_stem(model: nn.Module, name: str) -> None:
    """timm summed the three colours; a third of the sum is their mean."""
    model.patch_embed.proj.weight.data.div_(3)


def redraw_stem(model: nn.Module, name: str) -> None:
    model.patch_embed.proj.reset_parameters()


def copy_input(model: nn.Module, name: str) -> None:
    """The stem keeps its three colours, and each reads a copy of the spectrogram."""
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0].expand(-1, 3, -1, -1),))


def overlap_patches(model: nn.Module, name: str) -> None:
    """A patch every 10 mel bins and frames, as in AST, in place of every 16."""
    patches.overlap(model, 10)


def crop_table(model: nn.Module, name: str) -> None:
    """AST's rule: cut where the table is long enough, interpolate where it is not."""
    original = _original_table(model, name)
    grids = {"old_grid": _side(original, model), "new_grid": model.patch_embed.grid_size}
    _put(model, positions.cut_or_interpolate(original, **grids, num_prefix_tokens=model.num_prefix_tokens))


def redraw_table(model: nn.Module, name: str) -> None:
    _put(model, nn.init.trunc_normal_(torch.empty_like(model.pos_embed), std=0.02))


def shuffle_table(model: nn.Module, name: str) -> None:
    prefix = model.num_prefix_tokens
    order = torch.randperm(model.pos_embed.shape[1] - prefix)
    _put(model, torch.cat([model.pos_embed[:, :prefix], model.pos_embed[:, prefix:][:, order]], dim=1))


def trap_table(model: nn.Module, name: str) -> None:
    """The equal-count trap: a table of as many places, of a grid that stands upright, is taken as it is."""
    original, (rows, columns) = _original_table(model, name), model.patch_embed.grid_size
    grids = {"old_grid": _side(original, model), "new_grid": (columns, rows)}
    _put(model, positions.resample_pos_embed(original, **grids, num_prefix_tokens=model.num_prefix_tokens))


def _original_table(model: nn.Module, name: str) -> Tensor:
    """The table that the pretrained model has for photographs."""
    here, _ = session.resolve()
    return backbones.create(name, here).pos_embed.detach()


def _side(table: Tensor, model: nn.Module) -> tuple[int, int]:
    side = round((table.shape[1] - model.num_prefix_tokens) ** 0.5)
    return side, side


def _put(model: nn.Module, table: Tensor) -> None:
    model.pos_embed.data.copy_(table)


# ------------------------------------------------------------------------------------------------------------ one run
def settings(run: Run, here: session.Session) -> tuple[session.Session, str, str]:
    """The session of a run, its model's name, and a digest of all that decides what comes out."""
    if run.members:
        members = [settings(member, here)[1:] for member in run.members]
        digest = hashlib.sha256("".join(digest for _, digest in members).encode()).hexdigest()[:16]
        return here, " + ".join(dict.fromkeys(name for name, _ in members)), digest
    here = replace(here, **SOUND | run.sound)
    name = getattr(NANO if run.nano else here, run.role)
    weights = backbones.NANO / f"{name}.safetensors"
    facts = {
        "model": name,
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if run.nano and run.pretrained else run.pretrained,
        "sound": [here.dataset, here.seconds, *here.log_mel.values()],
        "recipe": asdict(run.recipe),
        "change": run.change.__name__ if run.change else None,
        "in_chans": run.in_chans,
        "patch_drop": run.patch_drop if run.role != "convnet" else None,
        "clips_per_class": run.clips_per_class,
        "fold": run.fold,
        "inner": run.inner,
    }
    return here, name, hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def new_model(run: Run, here: session.Session, name: str, num_classes: int) -> nn.Module:
    arguments = {"in_chans": run.in_chans, "num_classes": num_classes}
    if run.role != "convnet":  # which takes any size and has no tokens to drop
        arguments |= {"img_size": here.img_size, "patch_drop_rate": run.patch_drop}
    model = backbones.create(name, here, pretrained=run.pretrained, **arguments)
    if run.role != "convnet" and run.patch_drop:
        model.patch_drop.num_prefix_tokens = model.num_prefix_tokens  # timm counts 1, DeiT has 2: lesson 04
    if run.change:
        run.change(model, name)
    return model


def training_clips(run: Run, sounds: clips.Clips) -> tuple[np.ndarray, np.ndarray]:
    """(training, test): four official folds, or so many clips of each class of them, drawn by the seed; and the fifth."""
    if run.inner:
        return sounds.inner_split(run.fold)
    train, test = sounds.split(run.fold)
    if run.clips_per_class is None:
        return train, test
    draw = np.random.default_rng((run.seed, run.fold))
    drawn = sounds.table.iloc[train].groupby("label").sample(run.clips_per_class, random_state=draw)
    return sounds.table.index.get_indexer(drawn.index), test


def checkpoint_folder(here: session.Session, digest: str) -> Path:
    return here.runs / "experiments" / digest


def train_and_test(run: Run, here: session.Session, digest: str, name: str) -> dict[str, np.ndarray]:
    """Logits and labels of the test clips, and how long it took."""
    kept = recorded.FOLDER / "predictions" / f"{digest}.npz"
    if kept.exists():
        return dict(np.load(kept))
    sounds = clips.load(here.dataset, sample_rate=here.sample_rate)
    features = spectrograms.features(sounds, spectrograms.LogMel(**here.log_mel), seconds=here.seconds)
    train, test = training_clips(run, sounds)
    labels = sounds.table["label"].to_numpy()
    mean, std = spectrograms.fit_statistics(features[train])
    set_seed(run.seed)
    model = new_model(run, here, name, len(sounds.class_names))
    history = fine_tuning.train(
        model, features[train], labels[train], run.recipe, num_classes=len(sounds.class_names), mean=mean, std=std, folder=checkpoint_folder(here, digest)
    )  # fmt: skip
    logits = fine_tuning.evaluate(model, features[test], mean=mean, std=std)
    rates = np.array([epoch["clips_per_second"] for epoch in history])
    tested = {"logits": logits.numpy(), "labels": labels[test], "clips": np.array(len(train)), "rates": rates}
    if run.kept:
        kept.parent.mkdir(exist_ok=True)
        part = kept.with_suffix(f".{uuid.uuid4().hex}.part.npz")
        np.savez_compressed(part, **tested)
        part.replace(kept)
    return tested


def do(run: Run, here: session.Session, digest: str, name: str) -> dict:
    """Train and test, a model or several, and return what is recorded of it."""
    parts = [settings(member, here) for member in run.members] or [(here, name, digest)]
    tested = [
        train_and_test(member, place, its_digest, its_name)
        for member, (place, its_name, its_digest) in zip(run.members or [run], parts, strict=True)
    ]
    probabilities = np.mean([softmax(each["logits"], axis=1) for each in tested], axis=0)
    correct = probabilities.argmax(axis=1) == tested[0]["labels"]
    seconds = sum(each["clips"] * (1 / each["rates"]).sum() for each in tested)  # of training; saving is not counted
    rates = [np.median(each["rates"]) for each in tested]
    return {
        "dataset": here.dataset,
        "model": name,
        "pretrained": run.pretrained,
        "fold": run.fold,
        "seed": run.seed,
        "epochs": run.recipe.epochs,
        "clips": int(tested[0]["clips"]),
        "accuracy": round(float(correct.mean()), 6),
        "correct": "".join("y" if each else "n" for each in correct),
        "minutes": round(float(seconds / 60), 2),
        "clips_per_second": round(float(1 / np.sum(np.divide(1, rates))), 1),
        "device": f"{here.device.type}, {torch.get_num_threads()} threads",
        "precision": fine_tuning.fast_precision(here.device)
        if run.recipe.precision == "auto"
        else run.recipe.precision,
        "profile": here.profile,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "run": digest,
    }


# ----------------------------------------------------------------------------------------------------------- all of them
def file_name(experiment: str, dataset: str) -> str:
    """ESC-10's is the experiment's; another data set has its own."""
    return experiment if dataset == "esc10" else f"{experiment}_{dataset}"


def already(digest: str, dataset: str) -> dict | None:
    """The row of the same run in another experiment: it is the same training, and not made twice."""
    for name in EXPERIMENTS:
        rows = recorded.read(file_name(name, dataset))
        for row in rows[rows["run"] == digest].to_dict("records"):
            return row
    return None


def missing(experiment: str, here: session.Session) -> list[tuple[Run, session.Session, str, str]]:
    """What is not yet in the file, with its settings."""
    rows = recorded.read(file_name(experiment, here.dataset))
    there = set(zip(rows["variant"], rows["run"], strict=True))
    runs = [(run, *settings(run, here)) for run in EXPERIMENTS[experiment]()]
    return [each for each in runs if (each[0].variant, each[3]) not in there]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=list(EXPERIMENTS))
    parser.add_argument("--dataset", choices=["synthetic", "esc10", "esc50"], default="esc10")
    parser.add_argument("--threads", type=int, help="processor threads; all cores unless given")
    parser.add_argument("--seeds", type=int, nargs="*", help="only these")
    parser.add_argument("--roles", nargs="*", choices=list(RECIPES), help="only these models")
    parser.add_argument("--list", action="store_true", help="only say what is missing")
    chosen = parser.parse_args(argv)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    here, file = replace(session.start(), dataset=chosen.dataset), file_name(chosen.experiment, chosen.dataset)
    waiting = [
        each
        for each in missing(chosen.experiment, here)
        if each[0].seed in (chosen.seeds or [each[0].seed]) and each[0].role in (chosen.roles or [each[0].role])
    ]
    print(
        f"{chosen.experiment}: {len(waiting)} runs are missing of {len(EXPERIMENTS[chosen.experiment]())}", flush=True
    )
    for run, place, name, digest in [] if chosen.list else waiting:
        said = f"{name}, {'pretrained' if run.pretrained else 'from scratch'}, {run.variant}, fold {run.fold}, seed {run.seed}"
        if digest in set(recorded.read(file)["run"]):  # by a process beside this one
            continue
        try:
            row = already(digest, chosen.dataset) or do(run, place, digest, name)
        except BlockingIOError:
            print(f"{said}: in work elsewhere, passed over", flush=True)
            continue
        recorded.append(file, row | {"experiment": chosen.experiment, "variant": run.variant})
        for done in [digest, *(settings(member, here)[2] for member in run.members)]:
            shutil.rmtree(checkpoint_folder(place, done), ignore_errors=True)
        print(f"{said}: {row['accuracy']:.1%} in {row['minutes']:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
