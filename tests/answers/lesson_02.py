"""Right answers in other spellings than the folded solutions of lesson 02."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from timm.models._manipulate import adapt_input_conv


def sum_of_slices(weight, in_chans):
    if in_chans == 1:
        return weight[:, 0:1] + weight[:, 1:2] + weight[:, 2:3]
    repeated = torch.cat([weight] * math.ceil(in_chans / 3), dim=1)
    return 3 * repeated[:, :in_chans] / in_chans


def sum_in_numpy(weight, in_chans):
    weight = weight.numpy()
    if in_chans == 1:
        return np.einsum("dchw->dhw", weight)[:, None]
    return np.stack([weight[:, i % 3] for i in range(in_chans)], axis=1) * 3 / in_chans


def count_by_formula(seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens):
    frames = round(seconds * sample_rate) // hop_length
    rows, cols = (n_mels - patch_size) // stride + 1, (frames - patch_size) // stride + 1
    return num_prefix_tokens + rows * cols


def count_by_loop(seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens):
    frames = math.floor(seconds * sample_rate / hop_length)
    rows = len(range(0, n_mels - patch_size + 1, stride))
    return rows * len(range(0, frames - patch_size + 1, stride)) + num_prefix_tokens


def count_by_trying(seconds, sample_rate, hop_length, n_mels, patch_size, stride, num_prefix_tokens):
    image = torch.zeros(1, 1, n_mels, int(seconds * sample_rate) // hop_length)
    return F.max_pool2d(image, patch_size, stride).numel() + num_prefix_tokens


RIGHT = {
    "channel_sum": [sum_of_slices, sum_in_numpy, lambda weight, in_chans: adapt_input_conv(in_chans, weight)],
    "count_tokens": [count_by_formula, count_by_loop, count_by_trying],
}
