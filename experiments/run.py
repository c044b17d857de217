"""The recorded runs: `python -m experiments.run NAME` makes what an experiment lacks and appends it to NAME.csv.

    esc10            pretrained and from scratch, three seeds; frozen and half-frozen, one seed
    nano             the embedded models on ESC-10, pretrained and from scratch, three seeds
    channels         how the stem's three colours became one channel
    positions        how the table of positions came to its new grid
    recipe           the recipe with one part changed at a time
    learning_curve   2 to 32 clips a class, pretrained and from scratch
    averaged         several models' probabilities averaged: ViT and ConvNet, three seeds, both
    tuning           what the recipe was chosen by: validation clips inside the training folds, no test clip
    nested           ViT, ConvNet and their average, each fold with what its own validation clips chose (`tuning`)

    python -m experiments.run esc10 --threads 1         # may run twice: two processes share the work
    python -m experiments.run esc10 --dataset esc50     # on the gpu profile, into esc10_esc50.csv; not run here
    python -m experiments.run esc10 --list              # how many runs are there and how many are missing, of each kind

A run trains on four official folds for a number of epochs fixed before, and is tested once, on the fifth. It is one row,
written when it is done, and never made again; stopped, it goes on from its last epoch. Models and sounds are those of
`session.start()`: set VISION_WEIGHTS and AUDIO_DATA, or have a network. Checkpoints lie in RUNS until the row is written;
what the members of `averaged` said of the test clips is kept in `predictions`, and they are trained again if it is not there.
"""

import argparse
import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import timm
import torch
from filelock import FileLock, Timeout
from scipy.special import softmax
from torch import nn

from experiments import one_fold, records
from experiments.plans import EXPERIMENTS, LAPTOP, NANO, RECIPES, SOUND, Run
from helpers import backbones, checkpoints, clips, devices, heads, recorded, session, spectrograms

NEEDS_OF_NESTED = ("profile", "dataset", "vit", "convnet")


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
    if run.zero_head:  # said only where it is so: older runs have digests without it
        facts["zero_head"] = True
    return here, name, hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def new_model(run: Run, here: session.Session, name: str, num_classes: int) -> nn.Module:
    arguments = {"in_chans": run.in_chans, "num_classes": num_classes}
    if run.role != "convnet":  # which takes any size and has no tokens to drop
        arguments |= {"img_size": here.img_size, "patch_drop_rate": run.patch_drop}
    model = backbones.create(name, here, pretrained=run.pretrained, **arguments)
    if run.role != "convnet" and run.patch_drop:
        model.patch_drop.num_prefix_tokens = model.num_prefix_tokens  # timm counts 1, DeiT has 2: lesson 04
    if run.zero_head:
        heads.replace_head(model, num_classes)
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
    if records.answers_file(digest).exists():
        return records.answers(digest)
    sounds = clips.load(here.dataset, sample_rate=here.sample_rate)
    features = spectrograms.features(sounds, spectrograms.LogMel(**here.log_mel), seconds=here.seconds)
    train, test = training_clips(run, sounds)
    labels, num_classes = sounds.table["label"].to_numpy(), len(sounds.class_names)
    history, logits = one_fold.train_and_test(
        lambda: new_model(run, here, name, num_classes),
        features,
        labels,
        train,
        test,
        run.recipe,
        num_classes=num_classes,
        folder=checkpoint_folder(here, digest),
    )
    rates = np.array([epoch["clips_per_second"] for epoch in history])
    tested = {"logits": logits.numpy(), "labels": labels[test], "clips": np.array(len(train)), "rates": rates}
    if run.kept:
        records.keep(digest, tested)
    return tested


def precision(run: Run, here: session.Session, digest: str) -> str:
    """What a run was trained in: its checkpoints say so while they are there, its row in another experiment afterwards."""
    begun = checkpoints.begun_with(checkpoint_folder(here, digest), "precision")
    row = None if begun else already(digest, here.dataset)
    said = row["precision"] if row else run.recipe.precision
    return begun or (devices.fast_precision(here.device) if said == "auto" else said)


def do(run: Run, here: session.Session, digest: str, name: str) -> dict:
    """Train and test, a model or several, and return what is recorded of it."""
    parts = [settings(member, here) for member in run.members] or [(here, name, digest)]
    tested = [
        train_and_test(member, place, its_digest, its_name)
        for member, (place, its_name, its_digest) in zip(run.members or [run], parts, strict=True)
    ]
    probabilities = np.mean([softmax(each["logits"], axis=1) for each in tested], axis=0)
    correct = probabilities.argmax(axis=1) == tested[0]["labels"]
    used = [precision(one, here, its) for one, (_, _, its) in zip(run.members or [run], parts, strict=True)]
    seconds = sum(each["clips"] * (1 / each["rates"]).sum() for each in tested)  # of training; saving is not counted
    rates = [np.median(each["rates"]) for each in tested]
    return {
        "dataset": here.dataset,
        "model": name,
        "pretrained": run.pretrained,
        "fold": run.fold,
        "seed": run.seed,
        "epochs": max(member.recipe.epochs for member in run.members or [run]),
        "clips": int(tested[0]["clips"]),
        "accuracy": round(float(correct.mean()), 6),
        "correct": records.as_letters(correct),
        "minutes": round(float(seconds / 60), 2),
        "clips_per_second": round(float(1 / np.sum(np.divide(1, rates))), 1),
        "device": f"{session.describe(here.device)}, {torch.get_num_threads()} threads",
        "precision": " + ".join(dict.fromkeys(used)),
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


def written(file: str) -> set[tuple[str, str]]:
    """Variants and digests of the rows that are there."""
    rows = recorded.read(file)
    return set(zip(rows["variant"], rows["run"], strict=True))


def kind(run: Run, name: str) -> str:
    return f"{name}, {'pretrained' if run.pretrained else 'from scratch'}, {run.variant}"


def counts(runs: list[tuple[Run, session.Session, str, str]], there: set[tuple[str, str]]) -> list[str]:
    """A line for each kind of run: how many are there, and how many are missing."""
    found = {}
    for run, _, name, digest in runs:
        found.setdefault(kind(run, name), []).append((run.variant, digest) in there)
    return [f"{sum(each):4} there, {each.count(False):3} missing: {what}" for what, each in found.items()]


def refuse_nested(here: session.Session) -> None:
    """Its folds use what `tuning` found on ESC-10 with the laptop profile's models: others have no choice."""
    needed, found = ([f"{name} {getattr(place, name)}" for name in NEEDS_OF_NESTED] for place in (LAPTOP, here))
    if other := [each for each in found if each not in needed]:
        raise SystemExit(
            f"nested needs {', '.join(needed)}, by which each fold chose in `tuning`, and got {', '.join(other)}: "
            "set PROFILE=laptop and leave out --dataset."
        )


def make(experiment: str, run: Run, here: session.Session, name: str, digest: str) -> dict | None:
    """Train and test a run, write its row and drop its checkpoints; None where a process beside this one has done so.

    Raises:
        BlockingIOError, Timeout: If a process beside this one has it, or one of its members, in work.
    """
    file, digests = file_name(experiment, here.dataset), [digest, *(settings(each, here)[2] for each in run.members)]
    folders = [checkpoint_folder(here, each) for each in digests]
    # Held until the folders are gone: who came in between would find the row not written and the folder free.
    with ExitStack() as locks:
        for folder in folders:
            folder.parent.mkdir(parents=True, exist_ok=True)
            locks.enter_context(FileLock(folder.with_suffix(".lock"), timeout=0))
        if (run.variant, digest) in written(file):
            return None
        row = already(digest, here.dataset) or do(run, here, digest, name)
        records.append(file, row | {"experiment": experiment, "variant": run.variant})
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return row


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
    here = replace(session.start(), dataset=chosen.dataset)
    if chosen.experiment == "nested":
        refuse_nested(here)
    runs = [(run, *settings(run, here)) for run in EXPERIMENTS[chosen.experiment]()]
    runs = [
        each
        for each in runs
        if each[0].seed in (chosen.seeds or [each[0].seed]) and each[0].role in (chosen.roles or [each[0].role])
    ]
    there = written(file_name(chosen.experiment, chosen.dataset))
    waiting = [each for each in runs if (each[0].variant, each[3]) not in there]
    print(f"{chosen.experiment}: {len(waiting)} runs are missing of {len(runs)}", flush=True)
    if chosen.list:
        print(*counts(runs, there), sep="\n")
        return
    for run, place, name, digest in waiting:
        said = f"{kind(run, name)}, fold {run.fold}, seed {run.seed}"
        try:
            row = make(chosen.experiment, run, place, name, digest)
        except (BlockingIOError, Timeout):
            print(f"{said}: in work elsewhere, passed over", flush=True)
            continue
        if row:
            print(f"{said}: {row['accuracy']:.1%} in {row['minutes']:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
