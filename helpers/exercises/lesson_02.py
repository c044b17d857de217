"""Exercises of lesson 02: input channels, statistics, overlap, token counts."""

import math

import torch
import torch.nn.functional as F

from helpers.exercises import Verdict, grade
from helpers.patches import extract_patches, absorb_normalization, sum_input_channels, token_grid

_draw = torch.Generator().manual_seed(2)


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_draw)


# --- 2.1: any number of channels ---------------------------------------------------------------------------------------

CHANNEL_CASES = [(_randn(5, 3, 2, 4), in_chans) for in_chans in (1, 2, 3, 4, 7)]


def check_channel_sum(answer) -> Verdict:
    """`channel_sum(weight, in_chans)`: (embed_dim, 3, height, width) to (embed_dim, in_chans, height, width)."""
    return grade(
        answer,
        reference=sum_input_channels,
        cases=CHANNEL_CASES,
        mistakes=MISTAKES["channel_sum"],
        right="These are timm's numbers, for 1, 2, 3, 4 and 7 channels.",
    )


def _planes(weight, in_chans):
    """The three planes in turn, without a scale: R G B R G B ..."""
    return weight[:, [channel % 3 for channel in range(in_chans)]]


def _one_or_more(one, more):
    """A wrong answer put together from what it does for one channel and for more."""
    return lambda weight, in_chans: one(weight) if in_chans == 1 else more(weight, in_chans)


def _sum(weight):
    return weight.sum(dim=1, keepdim=True)


# --- 2.2: statistics absorbed by the stem ------------------------------------------------------------------------------

FOLD_CASES = [(_randn(5, 3, 2, 4), _randn(5), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]


def check_fold(answer) -> Verdict:
    """`fold(weight, bias, mean, std)`: stem for three normalised channels to (weight, bias) for one raw channel."""
    return grade(
        answer,
        reference=absorb_normalization,
        cases=FOLD_CASES,
        mistakes=MISTAKES["fold"],
        right="One raw channel now gives what three normalised copies gave.",
    )


def _fold(scale, shift):
    """A wrong answer: `scale` and `shift` of (weight, mean, std), the statistics as (3, 1, 1)."""

    def answer(weight, bias, mean, std):
        mean, std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
        return scale(weight, mean, std), bias + shift(weight, mean, std)

    return answer


def _scaled(weight, mean, std):
    return (weight / std).sum(dim=1, keepdim=True)


def _shift(weight, mean, std):
    return -(weight * mean / std).sum(dim=(1, 2, 3))


# --- 2.3: patches that overlap -----------------------------------------------------------------------------------------

OVERLAP_CASES = [(_randn(2, 2, 11, 15), _randn(5, 2, 4, 3), _randn(5), stride) for stride in (2, 1)]


def check_overlapping_tokens(answer) -> Verdict:
    """`overlapping_tokens(image, weight, bias, stride)`: (batch, in_chans, freq, time) to (batch, tokens, embed_dim)."""
    return grade(
        answer,
        reference=_tokens,
        cases=OVERLAP_CASES,
        mistakes=MISTAKES["overlapping_tokens"],
        right="The convolution with that stride gives the same tokens, in the same order.",
        atol=1e-4,
    )


def _tokens(image, weight, bias, stride):
    return extract_patches(image, tuple(weight.shape[2:]), stride) @ weight.flatten(1).T + bias


def _grid(image, weight, bias, stride):
    return F.conv2d(image, weight, bias, stride=stride)


def _pixels_turned(image, weight, bias, stride):
    """Patches are flattened time first, the weight frequency first."""
    patches = extract_patches(image, tuple(weight.shape[2:]), stride)
    turned = patches.unflatten(2, tuple(weight.shape[1:])).transpose(3, 4).flatten(2)
    return turned @ weight.flatten(1).T + bias


# --- 2.4: how many tokens is a clip? -----------------------------------------------------------------------------------

# seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens
COUNT_CASES = [
    (10.24, 16_000, 160, 128, 16, 10, 2),
    (5.12, 32_000, 640, 128, 16, 16, 1),
    (1.0, 32_000, 640, 100, 16, 16, 1),
    (7.33, 22_050, 512, 80, 16, 12, 0),  # 315.7 frames: a 316th would make a column more
    (0.95, 16_000, 160, 100, 16, 10, 2),  # one frame more would make a column more
]


def check_count_tokens(answer) -> Verdict:
    """`count_tokens(seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens)`: what attention sees."""
    return grade(
        answer,
        reference=_count(),
        cases=COUNT_CASES,
        mistakes=MISTAKES["count_tokens"],
        right="The first of the clips asked for is AST's: 12 x 101 patches and 2 prefix tokens are 1214.",
    )


def _count(
    along=lambda size, patch, stride: token_grid(size, patch, stride)[0],
    extra_frames=0,
    product=True,
    prefix=1,
):
    """The right count, or a wrong one with another rule for one axis, one frame more, a sum, or no prefix tokens."""

    def answer(seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens):
        frames = int(seconds * sample_rate) // hop_length + extra_frames
        rows, cols = along(n_mels, patch_size, stride), along(frames, patch_size, stride)
        return (rows * cols if product else rows + cols) + prefix * num_prefix_tokens

    return answer


MISTAKES = {
    "channel_sum": {
        "For one channel that is the mean: every response comes out at a third of what three copies give.": _one_or_more(
            lambda weight: weight.mean(dim=1, keepdim=True), sum_input_channels
        ),
        "The scale is missing: four planes that all see the same sound add up to more than three do. Multiply by `3 / in_chans`.": _one_or_more(
            _sum, _planes
        ),
        "The scale is upside down: more channels need smaller weights, `3 / in_chans`.": _one_or_more(
            _sum, lambda weight, in_chans: _planes(weight, in_chans) * in_chans / 3
        ),
        "For one channel the channel axis is gone: a convolution needs its weight 4-D, so keep it.": _one_or_more(
            lambda weight: weight.sum(dim=1), sum_input_channels
        ),
        "That is the sum, always one channel: for more, return `in_chans` of them.": lambda weight, in_chans: _sum(
            weight
        ),
        "The planes come as R R G G B B: take them in turn, R G B R G B.": _one_or_more(
            _sum,
            lambda weight, in_chans: (
                weight.repeat_interleave(math.ceil(in_chans / 3), dim=1)[:, :in_chans] * 3 / in_chans
            ),
        ),
        "That is the sum, shared out evenly: exact for equal planes, but every channel gets the same filter. Repeat the three planes.": (
            lambda weight, in_chans: _sum(weight).expand(-1, in_chans, -1, -1) / in_chans
        ),
        "For one channel that is the red plane three times: add the three planes.": lambda weight, in_chans: (
            _planes(weight, in_chans) * 3 / in_chans
        ),
    },
    "fold": {
        "The weight is right; the bias is still the old one. What does the stem answer to x = 0?": _fold(
            _scaled, lambda weight, mean, std: 0
        ),
        "The bias has moved the wrong way: (x - mean) / std takes mean / std away.": _fold(
            _scaled, lambda *arguments: -_shift(*arguments)
        ),
        "You multiply by std; (x - mean) / std divides.": _fold(
            lambda weight, mean, std: (weight * std).sum(dim=1, keepdim=True),
            lambda weight, mean, std: -(weight * mean * std).sum(dim=(1, 2, 3)),
        ),
        "The mean must be divided by std as well: (x - mean) / std = x / std - mean / std.": _fold(
            _scaled, lambda weight, mean, std: -(weight * mean).sum(dim=(1, 2, 3))
        ),
        "You use one mean and one std for all channels: each plane has its own, so divide before you sum.": _fold(
            lambda weight, mean, std: _sum(weight) / std.mean(),
            lambda weight, mean, std: -weight.sum(dim=(1, 2, 3)) * mean.mean() / std.mean(),
        ),
        "The planes are averaged: add them, as without statistics.": _fold(
            lambda weight, mean, std: (weight / std).mean(dim=1, keepdim=True), _shift
        ),
        "The weight has lost its channel axis: keep it.": _fold(
            lambda weight, mean, std: (weight / std).sum(dim=1), _shift
        ),
    },
    "overlapping_tokens": {
        "These patches do not overlap: you step by the patch, not by the stride.": lambda image, weight, bias, stride: (
            _tokens(image, weight, bias, tuple(weight.shape[2:]))
        ),
        "The bias is missing.": lambda image, weight, bias, stride: _tokens(image, weight, 0 * bias, stride),
        "These are (batch, embed_dim, tokens): swap the last two axes.": lambda *arguments: _grid(*arguments).flatten(
            2
        ),
        "This is still a grid (batch, embed_dim, rows, cols): flatten it, and put the tokens before embed_dim.": _grid,
        "The tokens come column by column: rows first, time fastest.": lambda *arguments: (
            _grid(*arguments).transpose(2, 3).flatten(2).transpose(1, 2)
        ),
        "Inside a patch you read time first, the weight frequency first: the pixels meet the wrong weights.": _pixels_turned,
        "There are too many tokens: you pad the edges, the convolution leaves a patch out that does not fit.": (
            lambda image, weight, bias, stride: _tokens(F.pad(image, (0, stride, 0, stride)), weight, bias, stride)
        ),
    },
    "count_tokens": {
        "The prefix tokens are missing: attention sees them as well.": _count(prefix=0),
        "The stride is not used: that is the count without overlap.": _count(lambda size, patch, stride: size // patch),
        "That is size // stride: the last patch must still fit, so take the patch off first.": _count(
            lambda size, patch, stride: size // stride
        ),
        "One patch along each axis is missing: (size - patch) // stride counts the steps between patches.": _count(
            lambda size, patch, stride: (size - patch) // stride
        ),
        "A patch that does not fit whole is no patch: round down.": _count(
            lambda size, patch, stride: math.ceil((size - patch) / stride) + 1
        ),
        "Steps are counted whole: round down, not to the nearest.": _count(
            lambda size, patch, stride: round((size - patch) / stride) + 1
        ),
        "One frame too many: one comes every hop_length samples, rounded down.": _count(extra_frames=1),
        "You add the rows to the columns: every row has all the columns.": _count(product=False),
        "You count samples: the picture's width is in frames, one every hop_length samples.": (
            lambda seconds, sample_rate, hop_length, *rest: _count()(seconds, sample_rate, 1, *rest)
        ),
    },
}
