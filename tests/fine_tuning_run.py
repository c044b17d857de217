"""A small run of its own process, for the tests that kill it, start it twice, or launch it on two processes.

python tests/fine_tuning_run.py FOLDER OUT [--die-after N] [--plain]
"""

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from helpers import fine_tuning

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--die-after", type=int, default=-1)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()

    def after_epoch(model, history):
        if len(history) == options.die_after:  # before this epoch's checkpoint
            os.kill(os.getpid(), signal.SIGKILL)

    model = small_vit(0.0 if options.plain else 0.1)
    features, labels = small_sounds()
    recipe = PLAIN if options.plain else RECIPE
    fine_tuning.train(
        model,
        features,
        labels,
        recipe,
        num_classes=3,
        mean=0.0,
        std=1.0,
        folder=options.folder,
        after_epoch=after_epoch,
    )
    if PartialState().is_main_process:
        save_file(model.state_dict(), options.out)


if __name__ == "__main__":
    main()
