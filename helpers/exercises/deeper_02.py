"""Exercise of the companion to lesson 02: statistics absorbed by the stem."""

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from helpers.exercises import Verdict, grade
from helpers.patches import absorb_normalization

_draw = torch.Generator().manual_seed(2)


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_draw)


ABSORB_CASES = [
    (_randn(5, 3, 2, 4), _randn(5), IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
    (_randn(5, 3, 2, 4), _randn(5), (-0.2, 0.7, 0.1), (0.5, 0.9, 0.3)),  # whoever has written ImageNet's in
]


def check_absorb(answer) -> Verdict:
    """`absorb(weight, bias, mean, std)`: stem for three normalised channels to (weight, bias) for one raw channel."""
    return grade(
        answer,
        reference=absorb_normalization,
        cases=ABSORB_CASES,
        mistakes=MISTAKES["absorb"],
        right="One raw channel now gives what three normalised copies gave.",
    )


def _absorb(scale, shift):
    """A wrong answer: `scale` and `shift` of (weight, mean, std), the statistics as (3, 1, 1)."""

    def answer(weight, bias, mean, std):
        mean, std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
        return scale(weight, mean, std), bias + shift(weight, mean, std)

    return answer


def _scaled(weight, mean, std):
    return (weight / std).sum(dim=1, keepdim=True)


def _shift(weight, mean, std):
    return -(weight * mean / std).sum(dim=(1, 2, 3))


MISTAKES = {
    "absorb": {
        "The weight is right; the bias is still the old one. What does the stem answer to x = 0?": _absorb(
            _scaled, lambda weight, mean, std: 0
        ),
        "The bias has moved the wrong way: (x - mean) / std takes mean / std away.": _absorb(
            _scaled, lambda *arguments: -_shift(*arguments)
        ),
        "You multiply by std; (x - mean) / std divides.": _absorb(
            lambda weight, mean, std: (weight * std).sum(dim=1, keepdim=True),
            lambda weight, mean, std: -(weight * mean * std).sum(dim=(1, 2, 3)),
        ),
        "The mean must be divided by std as well: (x - mean) / std = x / std - mean / std.": _absorb(
            _scaled, lambda weight, mean, std: -(weight * mean).sum(dim=(1, 2, 3))
        ),
        "You use one mean and one std for all channels: each plane has its own, so divide before you sum.": _absorb(
            lambda weight, mean, std: weight.sum(dim=1, keepdim=True) / std.mean(),
            lambda weight, mean, std: -weight.sum(dim=(1, 2, 3)) * mean.mean() / std.mean(),
        ),
        "The planes are averaged: add them, as without statistics.": _absorb(
            lambda weight, mean, std: (weight / std).mean(dim=1, keepdim=True), _shift
        ),
        "The weight has lost its channel axis: keep it.": _absorb(
            lambda weight, mean, std: (weight / std).sum(dim=1), _shift
        ),
        "The old bias is lost: add it to what the normalisation brings.": (
            lambda weight, bias, mean, std: absorb_normalization(weight, None, mean, std)
        ),
        "You divide by the variance: (x - mean) / std divides by std, once.": _absorb(
            lambda weight, mean, std: (weight / std**2).sum(dim=1, keepdim=True),
            lambda weight, mean, std: -(weight * mean / std**2).sum(dim=(1, 2, 3)),
        ),
        "The bias comes first: return the weight, then the bias.": (
            lambda *arguments: absorb_normalization(*arguments)[::-1]
        ),
        "You have written ImageNet's numbers in: use `mean` and `std`, whatever they are.": (
            lambda weight, bias, mean, std: absorb_normalization(
                weight, bias, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
            )
        ),
    },
}
