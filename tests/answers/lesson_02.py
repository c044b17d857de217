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


def fold_by_response(weight, bias, mean, std):
    """The new bias is what the old stem answers to silence: a normalised zero in every pixel."""
    mean, std = torch.tensor(mean), torch.tensor(std)
    silence = (-mean / std)[None, :, None, None].expand(1, 3, *weight.shape[2:])
    return torch.einsum("dchw,c->dhw", weight, 1 / std)[:, None], F.conv2d(silence, weight, bias).flatten()


def fold_by_loop(weight, bias, mean, std):
    new_weight, new_bias = 0, bias.clone()
    for c in range(3):
        new_weight = new_weight + weight[:, c : c + 1] / std[c]
        new_bias -= mean[c] / std[c] * weight[:, c].flatten(1).sum(1)
    return new_weight, new_bias


def fold_in_numpy(weight, bias, mean, std):
    scaled = weight.numpy() / np.reshape(std, (3, 1, 1))
    return scaled.sum(1, keepdims=True), bias.numpy() - (scaled * np.reshape(mean, (3, 1, 1))).sum((1, 2, 3))


def tokens_by_convolution(image, weight, bias, stride):
    return F.conv2d(image, weight, bias, stride=stride).flatten(2).mT


def tokens_by_unfold(image, weight, bias, stride):
    columns = F.unfold(image, weight.shape[2:], stride=stride)  # (batch, pixels, tokens)
    return (weight.flatten(1) @ columns).transpose(1, 2) + bias


def tokens_by_loop(image, weight, bias, stride):
    height, width = weight.shape[2:]
    tokens = [
        torch.einsum("bchw,dchw->bd", image[:, :, top : top + height, left : left + width], weight) + bias
        for top in range(0, image.shape[2] - height + 1, stride)
        for left in range(0, image.shape[3] - width + 1, stride)
    ]
    return torch.stack(tokens, dim=1)


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
    "fold": [fold_by_response, fold_by_loop, fold_in_numpy],
    "overlapping_tokens": [tokens_by_convolution, tokens_by_unfold, tokens_by_loop],
    "count_tokens": [count_by_formula, count_by_loop, count_by_trying],
}
