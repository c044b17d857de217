"""Exercise of deeper 04: what is averaged where a model has two heads."""

from typing import Any

import torch
from torch import Tensor

from helpers.exercises import Verdict, grade

# --- D4.1: what is averaged? -------------------------------------------------------------------------------------------

_draw = torch.Generator().manual_seed(4)
PAIR_CASES = [tuple(3 * torch.randn(2, 5, 4, generator=_draw)), tuple(torch.randn(2, 3, 7, generator=_draw))]


def check_joint_probabilities(answer) -> Verdict:
    """`joint_probabilities(class_logits, dist_logits)`: (batch, num_classes) each, to probabilities as timm's DeiT means them."""
    return grade(
        answer,
        reference=lambda one, two: ((one + two) / 2).softmax(dim=1),
        cases=PAIR_CASES,
        mistakes=MISTAKES["joint_probabilities"],
        right="The mean of the logits, then one softmax: what the model's own output means.",
    )


def _mean_of_softmaxes(one: Tensor, two: Tensor) -> Tensor:
    return (one.softmax(dim=1) + two.softmax(dim=1)) / 2


MISTAKES: dict[str, dict[str, Any]] = {
    "joint_probabilities": {
        "That is the mean of two softmaxes, as in the DeiT paper. timm averages logits, then applies one softmax.": _mean_of_softmaxes,
        "That is a softmax of the sum. Half of it is the mean; the sum makes the model too sure.": (
            lambda one, two: (one + two).softmax(1)
        ),
        "The softmax runs over the clips: each clip's classes must sum to 1, `dim=1`.": lambda one, two: (
            (one + two) / 2
        ).softmax(0),
        "These are logits: a softmax over the classes makes them probabilities.": lambda one, two: (one + two) / 2,
        "Two softmaxes, one after the other, push all probabilities together.": (
            lambda one, two: _mean_of_softmaxes(one, two).softmax(1)
        ),
        "That is the class head alone.": lambda one, two: one.softmax(1),
    },
}
