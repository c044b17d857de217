"""Spoken digits, split in two ways: clips shuffled, and a speaker nobody trained on. Rows go to `digits.csv`.

    python -m experiments.digits --threads 1            # what is missing; may run twice, two processes share the work
    python -m experiments.digits --models vit_nano_patch16_224

What differs between the two is the split alone: that of `own_sounds.from_folder`, for which each file is a recording of its
own as long as nobody tells it otherwise, and one speaker left out at a time. 30 epochs, every layer at one rate, no mixup:
with lesson 05's own recipe 300 short clips were not learned. Chosen on speakers 4 and 6, each kept out beside speaker 1.
Lesson 06 reads the rows.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import timm
import torch
from filelock import FileLock, Timeout

from experiments import one_fold, records
from helpers import backbones, devices, fine_tuning, heads, own_sounds, recorded, session, spectrograms

DIGITS = session.esc.PROJECT / "helpers" / "spoken_digits"
SPEAKER = r"speaker(\d+)"
SHUFFLED, SPEAKERS = "clips shuffled", "a speaker nobody trained on"
MODELS = [session.PROFILES[name].vit for name in ("laptop", "offline")]
RECIPE = fine_tuning.Recipe(epochs=30, layer_decay=None, mixup=0, roll=False, max_frames=19)


def data():
    """The clips, their log-mel spectrograms, labels, and the test clips of each split and fold."""
    found = own_sounds.inspect(DIGITS)
    settings = own_sounds.front_end(found)
    sounds = own_sounds.from_folder(DIGITS, seconds=settings["seconds"], mode=settings["mode"], found=found)
    log_mel = spectrograms.LogMel(**settings["log_mel"])
    features = spectrograms.features(sounds, log_mel, seconds=settings["seconds"])
    labels, folds = (sounds.table[column].to_numpy() for column in ("label", "fold"))
    speakers = sounds.table["path"].str.extract(SPEAKER)[0].astype(int).to_numpy()
    tests = {SHUFFLED: folds, SPEAKERS: speakers}
    tests = {
        name: {each: np.flatnonzero(held == each) for each in np.unique(held).tolist()} for name, held in tests.items()
    }
    return sounds, features, labels, tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--threads", type=int, help="processor threads; all cores unless given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    here = session.start()
    sounds, features, labels, tests = data()
    runs = [(m, v, f, s) for s in options.seeds for m in options.models for v in reversed(tests) for f in tests[v]]
    for model, variant, fold, seed in runs:
        recipe, test = replace(RECIPE, seed=seed), tests[variant][fold]
        train = np.setdiff1d(np.arange(len(labels)), test)
        facts = [model, variant, fold, asdict(recipe), sounds.table["digest"].tolist(), features.shape]
        digest = hashlib.sha256(json.dumps(facts, default=list).encode()).hexdigest()[:16]
        place = here.runs / "experiments" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(place.with_suffix(".lock"), timeout=0):
                if digest in set(recorded.read("digits")["run"]):
                    continue

                def create(model=model):
                    arguments = {"in_chans": 1, "img_size": tuple(features.shape[2:]), "num_classes": 10}
                    return heads.replace_head(backbones.create(model, here, **arguments), 10)

                history, logits = one_fold.train_and_test(
                    create, features, labels, train, test, recipe, num_classes=10, folder=place
                )
        except Timeout:
            continue  # in work elsewhere
        correct = (logits.argmax(dim=1).numpy() == labels[test]).astype(bool)
        rates = np.array([epoch["clips_per_second"] for epoch in history])
        row = {
            "experiment": "digits",
            "dataset": "spoken_digits",
            "model": model,
            "pretrained": True,
            "variant": variant,
        }
        row |= {"fold": fold, "seed": seed, "epochs": recipe.epochs, "clips": len(train), "profile": here.profile}
        row |= {"accuracy": round(float(correct.mean()), 6), "correct": records.as_letters(correct), "run": digest}
        row |= {"minutes": round(float(len(train) * (1 / rates).sum() / 60), 2), "torch": torch.__version__}
        row |= {"clips_per_second": round(float(np.median(rates)), 1), "timm": timm.__version__}
        row |= {"device": f"{session.describe(here.device)}, {torch.get_num_threads()} threads"}
        row |= {"precision": devices.fast_precision(here.device)}
        records.append("digits", row)
        print(f"{model}, {variant}, {fold}: {row['accuracy']:.1%} in {row['minutes']:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
