"""A small run of its own process, for the tests that kill it, start it twice, or launch it on two processes.

python tests/fine_tuning_run.py FOLDER OUT [--die PLACE] [--plain]
"""

import argparse
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from helpers import checkpoints, fine_tuning

RECIPE = fine_tuning.Recipe(epochs=3, batch_size=8, lr=1e-3, max_mels=4, max_frames=4, precision="no")
PLAIN = replace(RECIPE, mixup=0, roll=False, gain_db=0, max_mels=0, max_frames=0)  # nothing random but the order


def small_vit(drop_path_rate: float = 0.1) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(
        img_size=(16, 32),
        patch_size=8,
        in_chans=1,
        num_classes=3,
        embed_dim=24,
        depth=2,
        num_heads=3,
        drop_path_rate=drop_path_rate,
    )


def small_sounds() -> tuple[torch.Tensor, torch.Tensor]:
    """24 "clips" of three classes, told apart by the level of one mel bin."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(24) % 3
    features = torch.randn(24, 1, 16, 32, generator=generator)
    features[torch.arange(24), 0, labels * 4] += 3
    return features, labels


def die(*_):
    """As a machine does that is switched off: nothing is cleaned up, nobody is told."""
    os.kill(
        os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM)
    )  # Windows knows only the second, and ends as abruptly


def die_in(module, name: str, call: int) -> None:
    """Let a function of a module kill the process in its so-manieth call, counted from 1."""
    real, calls = getattr(module, name), []

    def deadly(*arguments, **others):
        calls.append(name)
        return die() if len(calls) == call else real(*arguments, **others)

    setattr(module, name, deadly)


PLACES = {  # in the second of three epochs, each of three batches
    "in a batch": lambda: die_in(fine_tuning.F, "cross_entropy", 5),
    "before a checkpoint": lambda: die_in(checkpoints, "save", 2),
    "while a checkpoint is written": lambda: die_in(checkpoints, "_sums", 2),
    "before it gets its name": lambda: die_in(Path, "replace", 2),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--die", choices=list(PLACES))
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    if options.die:
        PLACES[options.die]()

    model = small_vit(0.0 if options.plain else 0.1)
    features, labels = small_sounds()
    recipe = PLAIN if options.plain else RECIPE
    given = {"num_classes": 3, "mean": 0.0, "std": 1.0, "folder": options.folder}
    history = fine_tuning.train(model, features, labels, recipe, **given)
    if PartialState().is_main_process:
        notes = {"processes": str(PartialState().num_processes), "losses": json.dumps([row["loss"] for row in history])}
        save_file(model.state_dict(), options.out, metadata=notes)


if __name__ == "__main__":
    main()
