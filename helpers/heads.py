"""Lesson 04: new heads on pretrained models, DeiT's two heads, and what frozen features are worth."""

from numbers import Integral

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from tqdm.auto import tqdm


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Give a timm model new heads, all of them, whose weights and biases are zero; everything else stays.

    All logits of a zero head are equal, so the first loss is ln(num_classes) exactly, whatever the size of the
    features. timm's own two ways differ from it and from each other: `create_model(num_classes=...)` draws as the
    architecture does when it is built, `reset_classifier` as `nn.Linear` does.

    Args:
        model: A timm model. It is changed in place and returned: DeiT gets two heads, any other model one.
        num_classes: Outputs of each new head, at least 1.
    Raises:
        TypeError: If `model` is not timm's.
        ValueError: If `num_classes` is no whole number from 1.
    Source: ViT, arXiv:2010.11929, section 3.2: "a zero-initialized D × K feedforward layer".
    """
    if not hasattr(model, "reset_classifier"):
        raise TypeError(f"model must be a timm model with reset_classifier, got {type(model).__name__}")
    if isinstance(num_classes, bool) or not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number from 1, got {num_classes!r}")
    model.reset_classifier(int(num_classes))
    heads = model.get_classifier()
    for head in heads if isinstance(heads, (tuple, list)) else [heads]:
        for layer in head.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):  # LeViT's heads hold a norm besides
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)
    return model


def both_logits(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of DeiT's class head and of its distillation head, each (batch, num_classes), in any mode.

    Their mean is what the model itself gives, unless it is in training with `set_distilled_training(True)`.

    Raises:
        ValueError: If the model has one head.
    Source: DeiT, arXiv:2012.12877, section 3.
    """
    if not hasattr(model, "head_dist"):
        raise ValueError(f"model must have two heads, as distilled DeiT, got {type(model).__name__} with one")
    tokens = model.head_drop(model.forward_features(x))
    return model.head(tokens[:, 0]), model.head_dist(tokens[:, 1])


def embed(model: nn.Module, x: Tensor, batch_size: int = 32, *, pool: str | None = None) -> Tensor:
    """Frozen features: what the head reads, for every clip, in evaluation mode and without gradients.

    The model's mode is put back afterwards; its device and precision are kept.

    Args:
        model: A timm model, with or without a head.
        x: Inputs of shape (clips, in_chans, height, width), standardised; float16 is converted batch by batch.
        batch_size: Clips at once.
        pool: None for the model's own pooling (class token, mean of DeiT's two tokens, average of a ConvNet's map);
            "avg" for the mean over places, without the prefix tokens.
    Returns:
        float32 features of shape (clips, dim), on the CPU.
    Raises:
        ValueError: If `x` is not 4-D or has no clips, if `pool` is unknown, or if the model gives no single map to average.
    """
    if x.ndim != 4 or not len(x):
        raise ValueError(f"x must be (clips, in_chans, height, width) with at least one clip, got {tuple(x.shape)}")
    if pool not in (None, "avg"):
        raise ValueError(f"pool must be None or 'avg', got {pool!r}")
    parameter, training, features = next(model.parameters()), model.training, []
    model.eval()
    try:
        with torch.inference_mode():
            for batch in tqdm(x.split(batch_size), desc="frozen features", unit="batch", delay=2, leave=False):
                found = model.forward_features(batch.to(parameter))
                pooled = _average(model, found) if pool else model.forward_head(found, pre_logits=True)
                features.append(pooled.float().cpu())
    finally:
        model.train(training)
    return torch.cat(features)


def _average(model: nn.Module, features: Tensor) -> Tensor:
    """Mean over the places of what `forward_features` gives, tokens or a map: (batch, dim)."""
    prefix = getattr(model, "num_prefix_tokens", None)
    if not isinstance(features, Tensor) or features.ndim == 3 and prefix is None:  # VOLO hides a class token in it
        name = type(model).__name__
        raise ValueError(f"{name} gives no single map to average; take the model's own pooling, pool=None")
    if features.ndim == 3:  # (batch, tokens, dim)
        return features[:, prefix:].mean(dim=1)
    return features.mean(dim=(1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else (2, 3))


def linear_probe(features: Tensor, labels, folds) -> np.ndarray:
    """Accuracy in each fold of a logistic regression fitted on the features of the other folds.

    Each feature is standardised by the training folds' mean and standard deviation; nothing is chosen on the test fold.

    Args:
        features: (clips, dim).
        labels, folds: Class and fold of each clip, (clips,).
    Returns:
        Accuracies, in ascending order of the folds.
    Raises:
        ValueError: If the lengths differ, a value is not finite, there is one fold only, or a fold lacks a class.
    """
    return _by_fold(probe_answers(features, labels, folds), labels, folds)


def probe_answers(features: Tensor, labels, folds) -> np.ndarray:
    """The class that the linear probe gives each clip, (clips,), when its fold is the test. Arguments and errors as `linear_probe`."""
    return _answers(LogisticRegression(max_iter=1000), features, labels, folds)


def nearest_neighbours(features: Tensor, labels, folds, n_neighbors: int = 5) -> np.ndarray:
    """Accuracy in each fold of a vote among the `n_neighbors` clips of the other folds with the largest cosine.

    Nothing is trained: it asks whether clips of one class lie together. Arguments, result and errors as `linear_probe`.
    """
    answers = _answers(KNeighborsClassifier(n_neighbors, metric="cosine"), features, labels, folds)
    return _by_fold(answers, labels, folds)


def _answers(classifier, features, labels, folds) -> np.ndarray:
    features, labels, folds = (np.asarray(values) for values in (features, labels, folds))
    if features.ndim != 2 or not len(features) == len(labels) == len(folds):
        shapes = f"{features.shape}, {labels.shape}, {folds.shape}"
        raise ValueError(f"features (clips, dim), labels and folds must have one row per clip, got shapes {shapes}")
    if not np.isfinite(features).all():
        raise ValueError(f"features must be finite, got {(~np.isfinite(features)).sum()} values that are not")
    names, fold_index = np.unique(folds, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"folds must name at least two folds, got {names.tolist()}")
    for name in names:
        if missing := sorted(set(labels.tolist()) - set(labels[folds == name].tolist())):
            raise ValueError(f"every fold must hold every class, but fold {name} has no clip of class {missing[0]}")
    pipeline = make_pipeline(StandardScaler(), classifier)
    with threadpool_limits(1):  # for so few clips several BLAS threads wait for each other, up to 100 times as long
        return cross_val_predict(pipeline, features, labels, cv=PredefinedSplit(fold_index))


def _by_fold(answers: np.ndarray, labels, folds) -> np.ndarray:
    """Share of right answers in each fold, in ascending order of the folds."""
    right, folds = answers == np.asarray(labels), np.asarray(folds)
    return np.array([right[folds == name].mean() for name in np.unique(folds)])
