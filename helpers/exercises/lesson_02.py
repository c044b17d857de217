"""Exercises of lesson 02: input channels, token counts."""

import math

import torch

from helpers.exercises import Verdict, grade
from helpers.patches import sum_input_channels, token_grid

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


# --- 2.2: how many tokens is a clip? -----------------------------------------------------------------------------------

# seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens
COUNT_CASES = [
    (10.24, 16_000, 160, 128, 16, 10, 2),
    (5.12, 32_000, 640, 128, 16, 16, 1),
    (1.0, 32_000, 640, 100, 16, 16, 1),
    (7.33, 22_050, 512, 80, 16, 12, 0),  # 315.7 frames: a 316th would make a column more
    (0.95, 16_000, 160, 100, 16, 10, 2),  # one frame more would make a column more
    (25, 22_050, 512, 128, 8, 6, 1),  # 43.07 frames a second: 25 times 43 would make a column less
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
        "You round the frames of one second: multiply by the seconds first, then round down once.": (
            lambda seconds, sample_rate, hop_length, *rest: _count()(seconds, sample_rate // hop_length, 1, *rest)
        ),
        "You add the rows to the columns: every row has all the columns.": _count(product=False),
        "You count samples: the picture's width is in frames, one every hop_length samples.": (
            lambda seconds, sample_rate, hop_length, *rest: _count()(seconds, sample_rate, 1, *rest)
        ),
    },
}
