"""One training and its test, for `run` and `digits`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate.utils import set_seed
from torch import Tensor, nn

from helpers import fine_tuning, spectrograms


def train_and_test(
    create: Callable[[], nn.Module],
    features: Tensor,
    labels: np.ndarray,
    train_clips: np.ndarray,
    test_clips: np.ndarray,
    recipe: fine_tuning.Recipe,
    *,
    num_classes: int,
    folder: Path | None = None,
) -> tuple[list[dict], Tensor]:
    """Fine-tune a fresh model on some clips, with their statistics, and test it on others: history and logits (clips, classes).

    Args:
        create: Makes the model; called after the recipe's seed is set.
        features, labels: Of all clips, see `fine_tuning.train`.
        train_clips, test_clips: Their places.
    """
    mean, std = spectrograms.fit_statistics(features[train_clips])
    set_seed(recipe.seed)
    model, given = create(), {"num_classes": num_classes, "mean": mean, "std": std}
    history = fine_tuning.train(model, features[train_clips], labels[train_clips], recipe, **given, folder=folder)
    return history, fine_tuning.evaluate(model, features[test_clips], mean=mean, std=std)
